# Two commands do all: `make search` and `make test`. Each makes its environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: search test quick drill lint benchmarks clean

search: $(VENV)/installed  ## the main job on data that needs no download
	$(BIN)/python -m nas.search --dataset shapes --preset quick

test: lint  ## everything that can be checked on this machine
	$(BIN)/python -m pytest -n 2 --dist worksteal

quick: $(VENV)/installed  ## the tests without the slow ones
	$(BIN)/python -m pytest -m "not slow and not drill"

drill: $(VENV)/installed  ## what may go wrong in a long run, provoked many times; see docs/reliability.md
	$(BIN)/python -m pytest -m drill

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

BENCHMARKS := cache_read candidate_agreement candidate_step candidate_training inference local_correlation ray_executor \
	startup worth_of_parts

benchmarks: $(VENV)/installed  ## those that need no data and no words
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and "dyncell needs Python 3.11 or 3.12; say which: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info

"""What every test shares: one thread, as small tensors gain nothing from more, and no deadlines on slow machines."""

import sys

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("dyncell", deadline=None, derandomize=True)
hypothesis.settings.load_profile("dyncell")


@pytest.fixture(autouse=True, scope="session")
def single_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_modules_are_forgotten():
    """Tests write modules of one's own called `mine`; the next test's is another file."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]

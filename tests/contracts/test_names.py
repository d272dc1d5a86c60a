"""The command line offers exactly what there is: a name that is listed in one place alone is found here."""

from typing import get_args, get_type_hints

import pytest

from cache.datasets.catalog import BY_NETWORK, MADE_UP, ON_DISK
from cache.static.encoders import ENCODERS
from nas.settings.config import CandidateConfig, DataConfig, EncoderName, SearchConfig, StaticConfig, StrategyName
from nas.strategies.catalog import STRATEGIES
from nas.training.candidates.objective import OBJECTIVES

CASES = [
    (DataConfig, "dataset", {*ON_DISK, *MADE_UP, BY_NETWORK}),
    (CandidateConfig, "objective", OBJECTIVES),
]


@pytest.mark.parametrize(("config", "setting", "there"), CASES, ids=[setting for _, setting, _ in CASES])
def test_the_command_line_offers_exactly_what_there_is(config, setting, there):
    assert set(get_args(get_type_hints(config)[setting])) == set(there)


@pytest.mark.parametrize(
    ("config", "setting", "names", "there"),
    [(SearchConfig, "strategy", StrategyName, STRATEGIES), (StaticConfig, "encoder", EncoderName, ENCODERS)],
    ids=["strategy", "encoder"],
)
def test_the_command_line_names_exactly_those_that_there_are_and_takes_one_of_a_person_s_own(
    config, setting, names, there
):
    assert set(get_args(names)) == set(there)
    assert set(get_args(get_type_hints(config)[setting])) == {names, str}

import time

import pytest
import torch

from nas.evaluation.latency import measure


def test_the_median_is_of_the_repetitions_after_the_warm_up():
    pauses = iter([0.2, 0.2, 0.01, 0.03, 0.02])
    found = measure(lambda: time.sleep(next(pauses)), torch.device("cpu"), repeats=3)
    assert found.median == pytest.approx(0.02, abs=0.009)
    assert found.low < found.median < found.high < 0.1

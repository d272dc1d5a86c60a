"""What every test shares: one thread, as small tensors gain nothing from more, and no deadlines on slow machines."""

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("dyncell", deadline=None, derandomize=True)
hypothesis.settings.load_profile("dyncell")


@pytest.fixture(autouse=True, scope="session")
def single_thread():
    torch.set_num_threads(1)

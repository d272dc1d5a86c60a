import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """The tensors here are too small to share, and threads that wait for a busy machine take seconds."""
    torch.set_num_threads(1)

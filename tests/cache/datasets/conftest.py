"""Pictures on disk for the loaders to read."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def put():
    """Write an array as an image, making its folder; returns the path."""

    def put(path, pixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
        return path

    return put


@pytest.fixture
def picture():
    """Noise (H, W, 3)."""

    def picture(size=(6, 8), seed=0):
        return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)

    return picture

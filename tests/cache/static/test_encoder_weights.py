"""Checks on loading ImageNet weights: strictly, with errors that name the first thing wrong."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cache.errors import DataError
from cache.static.encoder_weights import fetch_encoder, load_encoder
from cache.static.mobilenet_v2 import MobileNetV2

WEIGHTS = Path(__file__).parents[3] / "../shared/weights/mobilenet_v2_imagenet.pt"
PUBLISHED = MobileNetV2.published


@pytest.fixture(scope="module")
def published():
    """Random weights in torchvision's naming, with the head that this encoder has not."""
    torch.manual_seed(1)
    weights = {
        name: torch.rand(value.shape).half() if value.ndim else value
        for name, value in MobileNetV2().state_dict().items()
    }
    return weights | {"features.18.0.weight": torch.zeros(1), "classifier.1.bias": torch.zeros(1000)}


def saved(path, weights):
    torch.save(weights, path)
    return path


def test_half_precision_weights_load_as_float32(published, tmp_path):
    encoder = MobileNetV2()
    load_encoder(encoder, saved(tmp_path / "w.pt", published))
    for name, value in encoder.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, published[name].to(value.dtype))


@pytest.mark.skipif(not WEIGHTS.exists(), reason="the ImageNet weights are not on this machine")
def test_the_real_weights_load():
    encoder = MobileNetV2()
    load_encoder(encoder, WEIGHTS)
    assert encoder.features[17].conv[3].running_var.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.3.conv.2.weight": None}, r"no tensor 'features\.3\.conv\.2\.weight'"),
        (
            {"features.0.0.weight": torch.zeros(32, 3, 5, 5)},
            r"'features\.0\.0\.weight' .* \(32, 3, 5, 5\), .* \(32, 3, 3, 3\)",
        ),
        ({"features.19.weight": torch.zeros(1)}, r"hold 'features\.19\.weight', which this encoder lacks"),
        ({"features.0.1.bias": torch.full((32,), torch.nan)}, r"'features\.0\.1\.bias' .* is infinite or not a number"),
        ({"features.0.1.bias": "text"}, r"no tensor 'features\.0\.1\.bias'"),
    ],
    ids=["missing", "shape", "extra", "no number", "no tensor"],
)
def test_a_misfit_is_named_and_the_encoder_stays_as_it_was(published, tmp_path, change, message):
    encoder = MobileNetV2()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    weights = {name: value for name, value in (published | change).items() if value is not None}
    with pytest.raises(DataError, match=message):
        load_encoder(encoder, saved(tmp_path / "w.pt", weights))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_a_download_is_checked_kept_and_not_repeated(published, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    torch.save(published, buffer)
    calls = []

    def answer(url, timeout):
        calls.append(url)
        return io.BytesIO(buffer.getvalue())

    monkeypatch.setattr("urllib.request.urlopen", answer)
    with pytest.raises(DataError, match="not the published file"):
        fetch_encoder(PUBLISHED, tmp_path)
    assert not list(tmp_path.iterdir())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    ours = replace(PUBLISHED, sha256_start=digest[:8])
    monkeypatch.setattr(MobileNetV2, "published", ours)
    path = fetch_encoder(ours, tmp_path)
    assert fetch_encoder(ours, tmp_path) == path
    assert len(calls) == 2
    load_encoder(MobileNetV2(), path)
    torch.save(published, path, _use_new_zipfile_serialization=False)  # the published file's format
    with pytest.raises(DataError, match=r"b0353104\.pth are damaged: they are not the published file"):
        load_encoder(MobileNetV2(), path)

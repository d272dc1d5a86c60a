"""Checks on the static network: published size, freezing, features, checkpoints."""

import hashlib
import re
import zipfile

import pytest
import torch

from cache.errors import DataError
from cache.static.network import LOW, StaticNetwork, load_checkpoint, save_checkpoint, weights_fingerprint
from cache.tensor_files import load_tensors, save_tensors

T1_EXPANSION = 32 * 32 + 2 * 32  # of the published encoder's first bottleneck: computes nothing an expansion should
DEAD_ADAPTER = 24 * 64 + 2 * 64  # of layer1, which no block of arch2 takes: never gets a gradient


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = StaticNetwork(classes=3).eval()
    for tensor in network.state_dict().values():  # as after training: statistics that are not their defaults
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(torch.rand_like(tensor) / 4)
    return network


@pytest.mark.parametrize(("classes", "published"), [(11, 2_847_371), (19, 2_851_987), (21, 2_853_141)])
def test_size_is_the_published_one_without_two_of_its_quirks(classes, published):
    """Left out: the useless expansion and the dead adapter. Kept: convolutions of the constant map in each cell."""
    network = StaticNetwork(classes, auxiliary=False)
    assert (T1_EXPANSION, DEAD_ADAPTER) == (1_088, 1_664)
    assert sum(p.numel() for p in network.parameters()) == published - T1_EXPANSION - DEAD_ADAPTER


def test_auxiliary_heads_have_the_published_size():
    assert sum(p.numel() for p in StaticNetwork(19).auxiliary.parameters()) == 32_889


@pytest.mark.parametrize("size", [(360, 480), (180, 240), (65, 33), (8, 8)])
def test_features_have_the_sizes_a_cell_expects(network, size):
    with torch.inference_mode():
        features = network.features(torch.randn(1, 3, *size))
    grid = {stride: tuple(-(-side // stride) for side in size) for stride in (8, 16, 32)}
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in features.items()}
    assert shapes == {
        "layer2": (32, *grid[8]), "layer3": (96, *grid[16]), "layer4": (320, *grid[32]), "dec": (64, *grid[8])
    }  # fmt: skip


def triangle(length):
    """Weights (half, length) by which pixels of a line are averaged when it is shortened to half, as Pillow does."""
    half = -(-length // 2)
    scale = length / half
    rows = []
    for place in range(half):
        centre = (place + 0.5) * scale
        weights = torch.tensor([max(0.0, 1 - abs((pixel + 0.5 - centre) / scale)) for pixel in range(length)])
        rows.append(weights / weights.sum())
    return torch.stack(rows)


@pytest.mark.parametrize("size", [(40, 56), (65, 33)])
@torch.inference_mode()
def test_features_of_halved_frames_are_the_encoders_of_the_resized_image(network, size):
    images = torch.randn(2, 3, *size)
    small = triangle(size[0]) @ images @ triangle(size[1]).T
    expected = network.encoder(small)
    found = network.features(images, LOW)
    assert found.keys() == set(LOW)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name.removeprefix("low.")], rtol=1e-3, atol=1e-5)
    for name, tensor in network.features(images, ("low.layer3", "layer2")).items():
        torch.testing.assert_close(tensor, {**found, **network.encoder(images)}[name])


def test_all_ways_to_the_logits_agree(network):
    images = torch.randn(2, 3, 40, 56)
    with torch.inference_mode():
        logits, *auxiliary = network.forward_with_auxiliary(images)
        torch.testing.assert_close(network(images), logits)
        torch.testing.assert_close(network.classifier(network.features(images)["dec"]), logits)
    assert [tuple(each.shape) for each in auxiliary] == [(2, 3, 5, 7), (2, 3, 5, 7), (2, 3, 3, 4)]


def test_frozen_means_frozen_bit_for_bit_even_under_train():
    network = StaticNetwork(classes=3).freeze()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    head = torch.nn.Conv2d(network.channels["dec"], 3, kernel_size=1)
    network.train()
    head(network.features(torch.randn(2, 3, 64, 64))["dec"]).sum().backward()
    assert not network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_a_checkpoint_gives_the_same_network_back(network, tmp_path):
    path = tmp_path / "network.pt"
    save_checkpoint(path, network.to(memory_format=torch.channels_last), {"epoch": 7, "miou": 0.5})
    loaded, meta = load_checkpoint(path, classes=3)
    images = torch.randn(1, 3, 40, 56)
    assert meta == {"epoch": 7, "miou": 0.5}
    assert len(loaded.auxiliary) == 0
    torch.testing.assert_close(loaded.eval()(images), network(images), rtol=1e-4, atol=1e-4)
    assert weights_fingerprint(loaded) == weights_fingerprint(network)


def test_the_fingerprint_sees_one_changed_weight_and_one_changed_statistic(network):
    before = weights_fingerprint(network)
    for tensor in (network.classifier.bias.data, network.encoder.features[3].conv[3].running_var):
        tensor[0] += 1
        assert weights_fingerprint(network) != before
        tensor[0] -= 1


def test_a_checkpoint_of_other_classes_is_refused(network, tmp_path):
    save_checkpoint(tmp_path / "n.pt", network, {})
    with pytest.raises(DataError, match=r"n\.pt has 3 classes, but the data has 11"):
        load_checkpoint(tmp_path / "n.pt", classes=11)


def test_a_checkpoint_of_other_shapes_is_refused(network, tmp_path):
    save_checkpoint(tmp_path / "n.pt", network, {})
    content = torch.load(tmp_path / "n.pt", weights_only=True)
    content["weights"]["classifier.bias"] = torch.zeros(4)
    save_tensors(tmp_path / "n.pt", content)
    with pytest.raises(DataError, match=r"n\.pt is damaged or of another version .*size mismatch for classifier\.bias"):
        load_checkpoint(tmp_path / "n.pt")


def test_a_checkpoint_from_before_there_was_a_choice_of_encoders_is_of_the_first(network, tmp_path):
    save_checkpoint(tmp_path / "n.pt", network, {})
    content = load_tensors(tmp_path / "n.pt")
    assert content.pop("encoder") == "mobilenet_v2"
    save_tensors(tmp_path / "n.pt", content)
    loaded, _ = load_checkpoint(tmp_path / "n.pt")
    assert loaded.encoder_name == "mobilenet_v2"
    assert weights_fingerprint(loaded) == weights_fingerprint(network)


def test_a_checkpoint_of_an_encoder_that_is_not_here_is_refused_by_name(network, tmp_path):
    save_checkpoint(tmp_path / "n.pt", network, {})
    save_tensors(tmp_path / "n.pt", load_tensors(tmp_path / "n.pt") | {"encoder": "vgg"})
    with pytest.raises(DataError, match=r"n\.pt is damaged or of another version .*no encoder 'vgg'; known are"):
        load_checkpoint(tmp_path / "n.pt")


def test_the_fingerprint_of_the_first_encoder_is_that_of_before_it_had_a_name():
    network = StaticNetwork(2, auxiliary=False)
    for place, tensor in enumerate(network.state_dict().values()):
        tensor.fill_(place % 7)
    before = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        before.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode() + tensor.contiguous().numpy().tobytes())
    assert weights_fingerprint(network) == before.hexdigest()
    network.encoder_name = "another with equal weights"
    assert weights_fingerprint(network) != before.hexdigest()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*absent\.pt"):
        load_checkpoint(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(DataError, match=re.escape("text.pt is not a file of plain tensors")):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt is not a static network"):
        load_checkpoint(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds list"):
        load_checkpoint(tmp_path / "list.pt")


@pytest.mark.parametrize("classes", [0, 256, 3.0, "3", None, torch.zeros(3)], ids=str)
def test_a_number_of_classes_that_no_label_map_can_hold_is_refused(network, tmp_path, classes):
    save_checkpoint(tmp_path / "n.pt", network, {})
    save_tensors(tmp_path / "n.pt", load_tensors(tmp_path / "n.pt") | {"classes": classes})
    with pytest.raises(DataError, match=r"n\.pt is damaged .*classes must be a whole number from 1 to 255"):
        load_checkpoint(tmp_path / "n.pt", classes=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(network, tmp_path, value):
    save_checkpoint(tmp_path / "n.pt", network, {})
    content = load_tensors(tmp_path / "n.pt")
    content["weights"]["encoder.features.3.conv.3.running_var"][1] = value
    save_tensors(tmp_path / "n.pt", content)
    with pytest.raises(DataError, match=r"n\.pt is damaged .*running_var is infinite or not a number"):
        load_checkpoint(tmp_path / "n.pt")


def test_a_flipped_byte_of_a_weight_is_noticed(tmp_path):
    """PyTorch itself would read another number and say nothing."""
    path = tmp_path / "a.pt"
    save_tensors(path, {"a": torch.arange(16.0)})
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(16.0).numpy().tobytes()) + 21] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["a"][5] != 5
    with pytest.raises(DataError, match=r"a\.pt .*is damaged \(the checksum of .*data/0 is wrong\)"):
        load_tensors(path)


def test_a_tensor_that_pytorch_would_not_read_is_no_tensor(tmp_path):
    """A part that is marked as a folder, by one bit, it leaves as its memory was."""
    path = tmp_path / "a.pt"
    save_tensors(path, {"a": torch.arange(16.0)})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"archive/data/0") - 8] ^= 0x10  # in the central directory: external attributes
    path.write_bytes(content)
    with pytest.raises(DataError, match="a part of it is marked as a folder"):
        load_tensors(path)


def test_a_small_file_that_would_unpack_to_a_large_one_is_refused_unread(tmp_path):
    path = tmp_path / "a.pt"
    save_tensors(path, {"a": torch.zeros(1_000_000)})
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for part in plain.namelist():
            packed.writestr(part, plain.read(part))
    assert (tmp_path / "b.pt").stat().st_size < 10_000
    with pytest.raises(DataError, match="it holds more than its size"):
        load_tensors(tmp_path / "b.pt")


def test_a_truncated_checkpoint_is_refused(network, tmp_path):
    path = tmp_path / "n.pt"
    save_checkpoint(path, network, {})
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match="damaged"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_earlier_checkpoint(network, tmp_path, monkeypatch):
    path = tmp_path / "n.pt"
    save_checkpoint(path, network, {"epoch": 1})

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, network, {"epoch": 2})
    assert load_checkpoint(path)[1] == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["n.pt"]

"""The loop that one would write first to train and score a candidate on cached features."""

from collections.abc import Iterator

import h5py
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from made_up import FEATURES
from plain import make_plain
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cache.datasets.clips import VOID
from cache.static.network import load_checkpoint
from nas.networks.heads import build_head
from nas.settings.seeding import stream
from nas.training.candidates.evaluator import EvaluatorSpec
from searchspace.genotype import Genotype
from searchspace.modules.cell import DynamicCell


class Windows(Dataset[dict[str, Tensor]]):
    """Windows of frames out of the HDF5 file, each read when it is asked for; the first has no `label`."""

    def __init__(self, spec: EvaluatorSpec, windows: tuple[tuple[int, ...], ...]) -> None:
        self.file, self.windows = h5py.File(spec.cache_path), windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        frames = self.windows[index]
        sample = {n: torch.from_numpy(np.stack([self.file[n][i] for i in frames])) for n in (*FEATURES, "label8")}
        sample["label"] = torch.from_numpy(np.stack([self.file["label"][i] for i in frames[1:]]))
        return sample | {name: sample[name].permute(0, 3, 1, 2).float().contiguous() for name in FEATURES}


def plain_candidate(spec: EvaluatorSpec, genotype: Genotype, seed: int) -> tuple[float, float]:
    """Train and score; return the mean loss of the last epoch and the reward."""
    device, settings = spec.compute.device, spec.candidate
    static, _ = load_checkpoint(spec.static_checkpoint)
    head = build_head(genotype, static.channels, spec.classes, seed)
    head.classifier.load_state_dict(static.classifier.state_dict())
    assert isinstance(head, DynamicCell)
    head = make_plain(head).to(device)
    optimizer = torch.optim.Adam(head.parameters(), lr=settings.learning_rate)
    training = Windows(spec, spec.train_windows)
    for epoch in range(settings.epochs):
        generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
        order = torch.randperm(len(training), generator=generator).tolist()
        losses = []
        for batch in DataLoader(training, settings.batch, sampler=order):
            labels = batch["label8"].to(device).long()
            frames = enumerate(plain_frames(head, batch, device), start=1)
            loss = torch.stack([F.cross_entropy(x, labels[:, i], ignore_index=VOID) for i, x in frames]).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), settings.clip_norm)
            optimizer.step()
            losses.append(loss.item())
    return float(np.mean(losses)), plain_reward(plain_counts(head, spec))


@torch.no_grad()
def plain_counts(head: DynamicCell, spec: EvaluatorSpec) -> Tensor:
    """Count the pixels of later frames that have each label, and are found to have each: (classes, classes)."""
    head.eval()
    device, classes = spec.compute.device, spec.classes
    counts = torch.zeros(classes**2, dtype=torch.int64, device=device)
    for batch in DataLoader(Windows(spec, spec.val_clips), spec.candidate.batch):
        labels = batch["label"].to(device).long()
        for label, logits in zip(labels.unbind(1), plain_frames(head, batch, device), strict=True):
            found = F.interpolate(logits, label.shape[1:], mode="bilinear").argmax(1)
            counts += torch.bincount((label * classes + found)[label != VOID], minlength=classes**2)
    return counts.view(classes, classes)


def plain_reward(counts: Tensor) -> float:
    """Compute the geometric mean of mIoU, frequency-weighted mIoU and mean class accuracy."""
    hits, labelled, found = counts.diag().double(), counts.sum(1).double(), counts.sum(0).double()
    iou, frequency = hits / (labelled + found - hits), labelled / labelled.sum()
    return float((iou.nanmean() * (frequency * iou).nansum() * (hits / labelled).nanmean()) ** (1 / 3))


def plain_frames(head: DynamicCell, batch: dict[str, Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield the logits of each frame after the first."""
    clip = [{name: batch[name][:, i].to(device) for name in FEATURES} for i in range(batch["layer2"].shape[1])]
    state = head.init_state(clip[0])
    for features in clip[1:]:
        dec, state = head.step(features, state)
        yield head.classifier(dec)

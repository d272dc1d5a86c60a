"""Checks on streamed scores, against one clip at a time, one frame at a time."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from cache.datasets.clips import VOID
from cache.rows import batched
from nas.evaluation.metrics import ConfusionMatrix
from nas.networks.heads import build_head
from nas.networks.logits import upsampled
from nas.settings.compute import Compute
from nas.training.candidates.scoring import score
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

CLASSES = 3
SIZES = {"layer2": (6, 8, 32), "layer3": (3, 4, 96), "layer4": (2, 2, 320), "dec": (6, 8, 64)}
CHANNELS = {name: size[-1] for name, size in SIZES.items()}
CELL = Genotype((Block(("past.dec", "cur.layer2"), (Choice("skip"), Choice("skip")), Choice("weighted_sum")),))
STRETCHES = (tuple(range(6)), tuple(range(6, 12)), (12, 13), tuple(range(14, 20)))  # three of one length


class MadeUp:
    compute = Compute(torch.device("cpu"), None)

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.arrays = {name: torch.randn(20, c, h, w, generator=draw) for name, (h, w, c) in SIZES.items()}
        self.label = torch.randint(0, CLASSES, (20, 12, 16), generator=draw).to(torch.uint8)
        self.label[::3] = VOID
        self.label[1, 0] = VOID

    def batches(self, windows, *, label, of):
        assert label == "label"
        for positions in windows:
            rows = {name: array[positions.T] for name, array in self.arrays.items()}
            yield rows | {"label": self.label[positions[:, of].T]}

    def features(self, batch):
        return [{name: batch[name][t] for name in SIZES} for t in range(len(batch["dec"]))]


@torch.no_grad()
def by_hand(head, classifier, clips, refresh):
    labels, seen, taught = [], [], []
    for stretch in STRETCHES:
        state = None
        for number, place in enumerate(stretch):
            features = {name: array[[place]] for name, array in clips.arrays.items()}
            known = classifier(features["dec"])
            if state is None or (refresh and number % refresh == 0):
                state, logits = head.init_state(features), known
            else:
                dec, state = head.step(features, state)
                logits = head.classifier(dec)
            if number > 0:
                labels.append(clips.label[place].numpy())
                seen.append(upsampled(logits, (12, 16))[0].argmax(0).numpy())
                taught.append(upsampled(known, (12, 16))[0].argmax(0).numpy())
    return [np.stack(each).ravel() for each in (labels, seen, taught)]


@pytest.mark.parametrize("refresh", [0, 2, 3])
def test_scores_are_those_of_a_loop_over_frames(refresh):
    clips, head = MadeUp(), build_head(CELL, CHANNELS, CLASSES, seed=0).train(False)
    torch.manual_seed(1)
    classifier = torch.nn.Conv2d(64, CLASSES, 3, padding=1)
    scores = score(head, classifier, clips, STRETCHES, refresh)
    labels, seen, taught = by_hand(head, classifier, clips, refresh)
    known = labels != VOID
    assert scores["agreement"] == pytest.approx(np.mean(seen == taught))
    for prefix, rows in (
        ("", confusion_matrix(labels[known], seen[known])),
        ("agreement_", confusion_matrix(taught, seen)),
    ):
        matrix = ConfusionMatrix(CLASSES)
        matrix.counts += torch.from_numpy(rows)
        assert scores[f"{prefix}miou"] == pytest.approx(matrix.miou())


def test_a_key_frame_on_every_second_frame_agrees_more_and_stretches_are_read_a_frame_at_a_time(monkeypatch):
    clips, head = MadeUp(), build_head(CELL, CHANNELS, CLASSES, seed=0)
    classifier, read = torch.nn.Conv2d(64, CLASSES, 3, padding=1), []
    batches = clips.batches

    def noted(windows, **options):
        for window in windows:
            read.append(tuple(window.shape))
            yield from batches([window], **options)

    monkeypatch.setattr(clips, "batches", noted)
    never, often = (score(head, classifier, clips, STRETCHES, refresh)["agreement"] for refresh in (0, 2))
    assert often > never
    assert set(read) == {(3, 1), (1, 1)}
    assert [batch.tolist() for batch in batched(STRETCHES, 4)][1] == [[12, 13]]

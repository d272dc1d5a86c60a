"""Checks on the loss of candidates, against loops over frames and pixels."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from cache.datasets.clips import VOID
from nas.networks.heads import build_head, unroll
from nas.settings.compute import Compute
from nas.settings.config import CandidateConfig
from nas.settings.errors import RunError
from nas.training.candidates.teaching import Teaching
from searchspace.choices import Choice
from searchspace.genotype import Block, Genotype

CLASSES = 3
SIZES = {"layer2": (6, 8, 32), "layer3": (3, 4, 96), "layer4": (2, 2, 320), "dec": (6, 8, 64)}
CHANNELS = {name: size[-1] for name, size in SIZES.items()}
CELL = Genotype((Block(("past.dec", "cur.layer2"), (Choice("skip"), Choice("skip")), Choice("weighted_sum")),))
COMPUTE = Compute(torch.device("cpu"), None)
WEIGHTS = torch.tensor([1.0, 2.0, 5.0])


def features(batch):
    return [{name: batch[name][t] for name in SIZES} for t in range(len(batch["dec"]))]


CLIPS = SimpleNamespace(compute=COMPUTE, features=features)


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)
    clip = {name: torch.randn(3, 5, c, h, w, generator=draw) for name, (h, w, c) in SIZES.items()}
    labels = torch.randint(0, CLASSES, (2, 5, 6, 8), generator=draw)
    labels[0, :3] = labels[1, 1, :2] = VOID  # halves of the batch have different numbers of labelled pixels
    return clip | {"label8": labels}


@pytest.fixture
def head():
    return build_head(CELL, CHANNELS, CLASSES, seed=0).train(False)


@pytest.fixture
def classifier():
    torch.manual_seed(1)
    return torch.nn.Conv2d(64, CLASSES, 3, padding=1)


def teaching(classifier, dec=0.0, logits=0.0, labels=0.0, weights=None):
    terms = {"dec_weight": dec, "logit_weight": logits, "label_weight": labels}
    config = CandidateConfig.__new__(CandidateConfig)  # a term alone may be one that a training could not do with
    for name, value in (vars(CandidateConfig()) | terms).items():
        object.__setattr__(config, name, value)
    return Teaching(CLIPS, classifier, config, weights)


def softmax(logits):
    exponentials = [math.exp(value) for value in logits]
    return [each / sum(exponentials) for each in exponentials]


def pixels(array):
    return [array[n, :, y, x].tolist() for n in range(5) for y in range(6) for x in range(8)]


@torch.no_grad()
def by_hand(head, classifier, batch):
    """The three terms, pixel by pixel."""
    dec = logits = labels = 0.0
    clip = features(batch)
    state = head.init_state(clip[0])
    for time in (1, 2):
        made, state = head.step(clip[time], state)
        known = clip[time]["dec"].double().numpy()
        dec += ((made.double().numpy() - known) ** 2).sum() / (known**2).sum()
        seen, taught = pixels(head.classifier(made).double()), pixels(classifier(clip[time]["dec"]).double())
        divergences, losses, masses = [], [], []
        for mine, theirs, label in zip(seen, taught, batch["label8"][time - 1].flatten().tolist(), strict=True):
            p, q = softmax(theirs), softmax(mine)
            divergences.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
            if label != VOID:
                masses.append(WEIGHTS[label].item())
                losses.append(-masses[-1] * math.log(q[label]))
        logits += np.mean(divergences)
        labels += sum(losses) / sum(masses)
    return {"dec": dec, "logits": logits, "labels": labels}


@pytest.mark.parametrize("term", ["dec", "logits", "labels"])
def test_each_term_is_that_of_a_loop_over_frames_and_pixels(head, classifier, batch, term):
    loss = teaching(classifier, **{term: 0.7}, weights=WEIGHTS)(head, batch)
    assert loss.item() == pytest.approx(0.7 * by_hand(head, classifier, batch)[term], rel=1e-5)


def test_the_loss_is_the_sum_of_its_weighted_terms(head, classifier, batch):
    loss = teaching(classifier, 1.0, 0.5, 0.3, WEIGHTS)(head, batch)
    terms = by_hand(head, classifier, batch)
    assert loss.item() == pytest.approx(terms["dec"] + 0.5 * terms["logits"] + 0.3 * terms["labels"], rel=1e-5)


def test_with_labels_alone_it_is_the_papers_loss_bit_for_bit(head, classifier, batch):
    logits = unroll(head, features(batch))
    labelled = [(labels != VOID).sum() for labels in batch["label8"]]
    totals = [
        functional.cross_entropy(seen, labels, ignore_index=VOID, reduction="sum")
        for seen, labels in zip(logits, batch["label8"], strict=True)
    ]
    old = torch.stack([total / count for total, count in zip(totals, labelled, strict=True)]).sum()
    assert torch.equal(teaching(classifier, labels=1.0)(head, batch), old)


def test_frames_without_labels_teach_by_imitation_alone(head, classifier, batch):
    unlabelled = batch | {"label8": torch.full_like(batch["label8"], VOID)}
    loss = teaching(classifier, 1.0, 1.0, 0.3)
    assert torch.equal(loss(head, unlabelled), teaching(classifier, 1.0, 1.0)(head, batch))
    assert teaching(classifier, labels=1.0)(head, unlabelled) == 0


def test_gradients_of_two_parts_add_up_to_those_of_the_batch_where_batch_norm_stands_still(head, classifier, batch):
    loss = teaching(classifier, 1.0, 0.5, 0.3, WEIGHTS)

    def gradients(parts):
        head.zero_grad()
        for part in loss.split(batch, parts):
            loss(head, part).backward()
        return torch.cat([p.grad.flatten() for p in head.parameters() if p.grad is not None])

    assert torch.allclose(gradients(2), gradients(1), rtol=1e-4, atol=1e-6)


def test_the_teacher_gets_no_gradient(head, classifier, batch):
    teaching(classifier, 1.0, 1.0, 0.3)(head, batch).backward()
    assert all(parameter.grad is None for parameter in classifier.parameters())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"dec_weight": -1.0}, "must not be negative"),
        ({"logit_weight": 0.0, "label_weight": 0.0}, "nothing else trains the classifier"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, message):
    with pytest.raises(RunError, match=message):
        CandidateConfig(**weights)

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score

from baselines.fixed_points import FIXED_POINTS
from cache.errors import DataError
from cache.features import FeatureCache
from cache.rows import batched
from cache.static.decoder import Decoder
from cache.static.network import StaticNetwork, load_checkpoint, save_checkpoint
from nas.evaluation.latency_parts import parts_of
from nas.evaluation.latency_table import LatencyTable
from nas.evaluation.network_cost import count_costs
from nas.networks.heads import build_head, unroll_dec
from nas.networks.video_network import VideoNetwork
from nas.settings.compute import Compute
from nas.settings.config import CandidateConfig
from nas.settings.errors import NonFiniteError
from nas.training.candidates.costing import RELATIVE
from nas.training.candidates.early_stopping import Halfway
from nas.training.candidates.evaluator import EvaluatorSpec, TooLargeError
from nas.training.candidates.job import Job
from searchspace.genotype import Block, Choice, Genotype

CLASSES = 2
SIZES = {"layer2": (6, 8, 32), "layer3": (3, 4, 96), "layer4": (2, 2, 320), "dec": (6, 8, 64)}
CHANNELS = {name: size[-1] for name, size in SIZES.items()}
SKIP, SUM = Choice("skip"), Choice("weighted_sum")
REMEMBERS = Genotype((Block(("past.dec", "past.dec"), (SKIP, SKIP), SUM),))
FORGETS = Genotype((Block(("cur.layer2", "cur.layer2"), (SKIP, SKIP), SUM),))
LABELS_ALONE = {"dec_weight": 0.0, "logit_weight": 0.0, "label_weight": 1.0, "schedule": "constant"}
CANDIDATE = CandidateConfig(epochs=6, batch=16, max_memory=1, **LABELS_ALONE)


def noise(frames=60):
    """Features that say nothing, except that `dec` shows where the label of the *next* frame will be 1."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((frames, *size)).astype(np.float16) for name, size in SIZES.items()}
    shown = rng.integers(0, 2, arrays["dec"].shape[:3])
    arrays["dec"] += 4 * shown[..., None].astype(np.float16)
    label = np.roll(shown, 1, axis=0).astype(np.uint8)
    label[:, 0, 0] = 255
    return arrays | {"label8": label, "label": label.copy()}


def make_spec(folder, arrays, **changes):
    names = [f"frame{i}" for i in range(len(arrays["label"]))]
    FeatureCache.build(folder / "features.h5", "abc", {}, names, [arrays])
    torch.manual_seed(0)
    save_checkpoint(folder / "static.pt", StaticNetwork(CLASSES, auxiliary=False), {})
    windows = tuple(pairwise(range(len(names))))
    spec = EvaluatorSpec(
        cache_path=folder / "features.h5",
        fingerprint="abc",
        static_checkpoint=folder / "static.pt",
        classes=CLASSES,
        train_windows=windows[:41],
        val_clips=windows[41:],
        candidate=CANDIDATE,
        compute=Compute(torch.device("cpu"), None),
    )
    return replace(spec, **changes)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return make_spec(tmp_path_factory.mktemp("evaluator"), noise())


@pytest.fixture(scope="module")
def at_full_size(tmp_path_factory):
    """A specification whose labels have the size of the images, which costs are counted at."""
    arrays = noise()
    whole = {"label": arrays["label"].repeat(8, axis=1).repeat(8, axis=2)}
    return make_spec(tmp_path_factory.mktemp("at_full_size"), arrays | whole)


@pytest.fixture(scope="module")
def evaluate(spec):
    return spec.build()


@pytest.fixture(scope="module")
def remembered(evaluate):
    return evaluate(Job(number=0, genotype=REMEMBERS, seed=1))


def timeless(trial):
    return replace(trial, seconds=0.0, latency=None)


def test_only_a_head_with_a_memory_learns_what_only_the_last_frame_shows(evaluate, remembered):
    per_frame = evaluate(Job(fixed_point="per_frame", seed=1))
    memoryless = evaluate(Job(number=1, genotype=FORGETS, seed=1))
    assert remembered.reward > 0.8
    assert per_frame.reward < 0.45  # guessing: (1/3 * 1/3 * 1/2) ** (1/3) = 0.38
    assert memoryless.reward < 0.45


def test_a_trial_records_what_was_done(remembered):
    assert (remembered.number, remembered.genotype, remembered.seed) == (0, REMEMBERS, 1)
    assert (remembered.status, remembered.epochs, remembered.halfway_reward) == ("finished", 6, None)
    miou, fwiou, accuracy = (remembered.metrics[name] for name in ("miou", "fwiou", "mean_accuracy"))
    assert remembered.reward == pytest.approx((miou * fwiou * accuracy) ** (1 / 3))
    assert 0 < remembered.metrics["loss"] < 0.4
    weights = 64 * 64 + 9 * 64 * CLASSES  # the reduction and the classifier, both at 6 x 8
    parameters, state = weights + 2 * 64 + 2 * 64 + CLASSES, 4 * 64 * 48  # of one `dec` in float32
    relative = {name: remembered.cost[name] for name in ("relative_macs", "relative_macs_later")}
    assert remembered.cost == {"parameters": parameters, "macs": 48 * weights, "state_bytes": state} | relative
    assert remembered.metrics["worth"] == remembered.reward
    assert remembered.seconds > remembered.latency > 0


def test_a_fixed_point_is_recorded_by_name(at_full_size):
    trial = at_full_size.build()(Job(fixed_point="per_frame", seed=1))
    assert (trial.fixed_point, trial.number, trial.genotype) == ("per_frame", None, None)
    head = {"parameters": 64 * 9 * CLASSES + CLASSES, "macs": 48 * 64 * 9 * CLASSES}
    decoder = sum(p.numel() for p in Decoder(CHANNELS, 64).parameters())
    assert trial.cost["parameters"] == head["parameters"] + decoder
    assert trial.cost["macs"] > 10 * head["macs"]  # the static decoder runs on every frame
    assert trial.cost["relative_macs"] == trial.cost["relative_macs_later"] == 1


def test_a_target_of_cost_takes_from_the_reward_and_not_from_the_worth(spec, remembered):
    cost = remembered.cost["relative_macs"]
    half = replace(spec, candidate=replace(CANDIDATE, max_cost=cost / 2))
    trial = half.build()(Job(number=0, genotype=REMEMBERS, seed=1))
    assert trial.reward == pytest.approx(remembered.reward / 2)
    assert trial.metrics == remembered.metrics


@pytest.mark.parametrize("refresh", [0, 10])
@pytest.mark.parametrize("name", ["per_frame", "lean", "lmanet", "tdnet"])
def test_relative_costs_are_those_of_the_whole_network(at_full_size, name, refresh):
    static, _ = load_checkpoint(at_full_size.static_checkpoint)
    network = VideoNetwork(static, build_head(FIXED_POINTS[name], static.channels, CLASSES, 0), refresh)
    job = Job(fixed_point=name, genotype=FIXED_POINTS[name], seed=1, epochs=0)
    found, counted = replace(at_full_size, refresh=refresh).build()(job).cost, count_costs(network, (48, 64))
    assert {key: found[key] for key in RELATIVE} == {key: counted[key] for key in RELATIVE}


def test_costs_in_time_are_those_of_the_table_and_a_target_is_about_them(spec, remembered):
    grids = {name: size[:2] for name, size in SIZES.items()}
    table = LatencyTable(grids, {str(part): 0.125 for part in parts_of(REMEMBERS, grids)})
    later = 0.125 * len(list(parts_of(REMEMBERS, grids)))
    candidate = replace(CANDIDATE, cost="latency", max_cost=0.1)
    timed = replace(spec, candidate=candidate, latencies=table).build()
    trial = timed(Job(number=0, genotype=REMEMBERS, seed=1))
    assert trial.cost == {**remembered.cost, "relative_latency": later, "relative_latency_later": later}
    assert trial.reward == pytest.approx(remembered.reward * 0.1 / later)
    assert trial.metrics == remembered.metrics


def test_the_per_frame_network_starts_as_the_static_network_and_is_scored_on_its_dec(spec):
    still = replace(spec, candidate=replace(CANDIDATE, epochs=1, learning_rate=1e-12, early_stop=False))
    trial = still.build()(Job(fixed_point="per_frame", seed=1))
    arrays = noise()
    network, _ = load_checkpoint(spec.static_checkpoint)
    with torch.no_grad():
        logits = network.classifier(torch.from_numpy(arrays["dec"][42:]).float().permute(0, 3, 1, 2))
    seen, label = logits.argmax(1).numpy(), arrays["label"][42:]
    recalls = recall_score(label[label != 255], seen[label != 255], average=None)
    assert trial.metrics["mean_accuracy"] == pytest.approx(recalls.mean())


def test_features_that_are_streamed_give_the_same_trial_to_the_last_bit(spec, remembered):
    streamed = replace(spec, cache_memory=1e-9).build()(Job(number=0, genotype=REMEMBERS, seed=1))
    assert timeless(streamed) == timeless(remembered)


def test_the_same_job_gives_the_same_trial_whatever_happened_before(spec, evaluate, remembered):
    torch.manual_seed(12345)
    again = spec.build()
    assert timeless(again(Job(number=0, genotype=REMEMBERS, seed=1))) == timeless(remembered)
    assert timeless(evaluate(Job(number=0, genotype=REMEMBERS, seed=1))) == timeless(remembered)


def test_another_seed_gives_another_trial_and_the_callers_random_stream_is_left_alone(evaluate, remembered):
    before = torch.random.get_rng_state()
    other = evaluate(Job(number=0, genotype=REMEMBERS, seed=2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert other.metrics["loss"] != remembered.metrics["loss"]


def test_a_confirmation_trains_as_a_candidate_of_so_many_epochs_would(spec, evaluate):
    longer = replace(spec, candidate=replace(CANDIDATE, epochs=12)).build()(Job(number=0, genotype=REMEMBERS, seed=1))
    again = evaluate(Job(confirms="#0", genotype=REMEMBERS, seed=1, epochs=12))
    assert again.epochs == 12
    assert timeless(replace(again, confirms=None, number=0)) == timeless(longer)  # the same schedule, too


def test_two_descriptions_of_one_cell_train_alike(evaluate):
    one = Block(("past.dec", "cur.layer2"), (SKIP, Choice("global_pool")), SUM)
    two = Block(("cur.layer4", "past.dec"), (SKIP, SKIP), Choice("attention_gate"))
    trials = [evaluate(Job(number=0, genotype=Genotype(blocks), seed=1)) for blocks in ((one, two), (two, one))]
    assert trials[0].metrics == trials[1].metrics


def test_half_way_a_candidate_below_its_threshold_is_stopped_with_the_score_it_has(evaluate):
    trial = evaluate(Job(number=0, genotype=REMEMBERS, seed=1, halfway=Halfway(mean=2.0, slack=0.5, draw=0.0)))
    assert (trial.status, trial.epochs) == ("early_stopped", 3)
    assert trial.reward == trial.halfway_reward


def test_a_candidate_that_passes_half_way_ends_as_if_it_had_not_been_looked_at(evaluate, remembered):
    trial = evaluate(Job(number=0, genotype=REMEMBERS, seed=1, halfway=Halfway(mean=0.0, slack=0.5, draw=0.0)))
    assert trial.halfway_reward is not None
    assert timeless(replace(trial, halfway_reward=None)) == timeless(remembered)


def test_what_is_learnt_from_is_not_scored_and_labels_of_first_frames_are_not_learnt_from(tmp_path, remembered):
    arrays = noise()
    arrays["label8"][0] = 77  # out of range: reading it would fail
    arrays["label"][:41] = 77  # of all frames of meta-train
    assert timeless(make_spec(tmp_path, arrays).build()(Job(number=0, genotype=REMEMBERS, seed=1))) == timeless(
        remembered
    )


def test_logits_are_scored_at_the_size_of_the_label(tmp_path):
    arrays = noise()
    arrays["label"] = arrays["label8"].repeat(8, axis=1).repeat(8, axis=2)
    arrays["label"][42:, ::2] = 255
    trial = make_spec(tmp_path, arrays).build()(Job(number=0, genotype=REMEMBERS, seed=1))
    assert 0.5 < trial.reward < 0.9  # interpolation blurs a label that changes at every pixel


@pytest.mark.parametrize(
    ("batch", "where"),
    [pytest.param(16, "in epoch 0", id="a loss"), pytest.param(48, "logits are", id="a logit")],
)
def test_what_is_not_finite_is_no_score(spec, batch, where):
    wild = replace(spec, candidate=replace(CANDIDATE, epochs=1, batch=batch, learning_rate=1e30, early_stop=False))
    with pytest.raises(NonFiniteError, match=where):
        wild.build()(Job(number=0, genotype=REMEMBERS, seed=1))


def test_bfloat16_learns_too(spec):
    half = replace(spec, compute=Compute(torch.device("cpu"), torch.bfloat16))
    assert half.build()(Job(number=0, genotype=REMEMBERS, seed=1)).reward > 0.8


@pytest.mark.parametrize("name", sorted(name for name, cell in FIXED_POINTS.items() if cell is not None))
def test_bfloat16_trains_every_published_cell(spec, name):
    """Convolutions of bfloat16 maps need the precision of the computation around them, in costing too."""
    candidate = replace(CANDIDATE, epochs=1, early_stop=False)
    half = replace(spec, candidate=candidate, compute=Compute(torch.device("cpu"), torch.bfloat16))
    trial = half.build()(Job(fixed_point=name, genotype=FIXED_POINTS[name], seed=1))
    assert trial.ok
    assert trial.latency > 0


def test_a_batch_of_one_window_trains(spec):
    odd = replace(spec, candidate=replace(CANDIDATE, epochs=1, batch=20, early_stop=False))  # 41 = 20 + 20 + 1
    assert odd.build()(Job(number=0, genotype=REMEMBERS, seed=1)).ok


def test_the_specification_travels_as_a_few_bytes(spec):
    data = pickle.dumps(spec)
    assert pickle.loads(data) == spec
    assert len(data) < 10_000


def test_another_fingerprint_or_another_number_of_classes_is_refused(spec):
    with pytest.raises(DataError, match="fingerprint"):
        replace(spec, fingerprint="def").build()
    with pytest.raises(DataError, match="classes"):
        replace(spec, classes=3).build()


def test_a_candidate_that_needs_too_much_memory_fails_before_it_is_built(spec, monkeypatch):
    poor = replace(spec, candidate=replace(CANDIDATE, max_memory=1e-4)).build()
    monkeypatch.setattr(poor, "_build", None)
    with pytest.raises(TooLargeError, match=r"would take 0\.\d GiB, and --max-candidate-memory is 0\.0001"):
        poor(Job(number=0, genotype=REMEMBERS, seed=1))


def test_batches_are_of_one_length_and_hold_every_window_once():
    windows = [(0, 1, 2), (3, 4), (5, 6, 7), (8, 9), (10, 11, 12)]
    found = [batch.tolist() for batch in batched(windows, 2)]
    assert found == [[[0, 1, 2], [5, 6, 7]], [[10, 11, 12]], [[3, 4], [8, 9]]]


def test_shorter_windows_train_and_score_beside_longer_ones(spec):
    mixed = replace(spec, train_windows=(*spec.train_windows, (0, 1, 2)), val_clips=(*spec.val_clips, (1, 2, 3)))
    trial = mixed.build()(Job(number=0, genotype=REMEMBERS, seed=1))
    assert trial.reward > 0.8


@pytest.mark.parametrize(("lacks", "parts"), [(0, 1), (1, 2)])
def test_what_does_not_fit_the_gpu_is_trained_with_half_batches_and_says_so(spec, monkeypatch, lacks, parts):
    widths, short = [], iter(range(lacks))

    def measured(head, clip):
        widths.append(clip[0]["dec"].shape[0])
        if next(short, None) is not None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return unroll_dec(head, clip)

    monkeypatch.setattr("nas.training.candidates.teaching.unroll_dec", measured)
    trial = spec.build()(Job(number=0, genotype=REMEMBERS, seed=1))
    assert trial.batch_parts == parts
    assert max(widths[lacks:]) == 16 // parts
    assert trial.reward > 0.8


def test_what_fits_the_gpu_neither_way_fails(spec, monkeypatch):
    def lack(head, clip):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("nas.training.candidates.teaching.unroll_dec", lack)
    with pytest.raises(torch.OutOfMemoryError):
        spec.build()(Job(number=0, genotype=REMEMBERS, seed=1))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_static_network_is_scored_as_it_is(spec, schedule):
    own = replace(spec, candidate=replace(CANDIDATE, schedule=schedule))
    trial = own.build()(Job(fixed_point="static", seed=1, epochs=0))
    still = replace(spec, candidate=replace(CANDIDATE, epochs=1, learning_rate=1e-12, early_stop=False))
    scores = dict(still.build()(Job(fixed_point="per_frame", seed=1)).metrics)
    del scores["loss"]
    assert (trial.status, trial.epochs, trial.metrics) == ("finished", 0, scores)
    assert trial.metrics["agreement"] == trial.metrics["agreement_miou"] == 1


def test_a_cell_learns_from_the_static_network_without_any_label(tmp_path):
    arrays = noise()
    arrays["dec"] = np.repeat(arrays["dec"][:1], 60, axis=0)  # to be remembered, and nowhere else to be seen
    arrays["label8"][:] = 255
    imitates = replace(CANDIDATE, label_weight=0.0, dec_weight=1.0, logit_weight=1.0, schedule="cosine")
    evaluate = make_spec(tmp_path, arrays, candidate=imitates).build()
    knows, forgets = (evaluate(Job(number=0, genotype=cell, seed=1)).metrics for cell in (REMEMBERS, FORGETS))
    assert knows["agreement"] > forgets["agreement"]
    assert knows["loss"] < 0.7 * forgets["loss"]


def test_an_epoch_may_go_through_some_of_the_windows_drawn_anew(spec, monkeypatch):
    few, drawn = replace(spec, candidate=replace(CANDIDATE, windows=10, batch=5)).build(), []
    batches = few._clips.batches

    def noted(windows, **options):
        windows = list(windows)
        drawn.append([tuple(window) for batch in windows for window in batch.tolist()])
        return batches(windows, **options)

    monkeypatch.setattr(few._clips, "batches", noted)
    _train(few)
    assert [len(set(epoch)) for epoch in drawn] == [10, 10]
    assert set(drawn[0]) != set(drawn[1])
    assert set(drawn[0] + drawn[1]) <= set(spec.train_windows)


def test_the_rate_reaches_zero_after_the_last_step_and_no_earlier_however_long_the_windows_are_that_are_drawn(spec):
    short, long = spec.train_windows[::2], tuple(zip(*(range(start, 41) for start in range(3)), strict=False))
    settings = replace(CANDIDATE, windows=4, batch=4, schedule="cosine", learning_rate=1e-3)
    schedule = _train(replace(spec, train_windows=(*short, *long[::2]), candidate=settings).build())
    [share], steps = schedule.lr_lambdas, schedule.last_epoch
    assert share(steps) == pytest.approx(0)
    assert share(steps - 1) > 0.01


def _train(evaluator):
    head = evaluator._build(Job(number=0, genotype=REMEMBERS, seed=1))
    schedule = evaluator._trainer.schedule(head, epochs=2, seed=1)
    evaluator._trainer.train(head, schedule, range(2), seed=1, parts=1)
    return schedule


def test_a_cell_that_reads_halved_frames_is_refused_where_the_features_have_none(evaluate):
    cell = Genotype((Block(("low.layer4", "low.layer2"), (SKIP, SKIP), SUM),))
    with pytest.raises(DataError, match=r"reads low\.layer2, low\.layer4, which the features of this run do not have"):
        evaluate(Job(number=0, genotype=cell, seed=1))

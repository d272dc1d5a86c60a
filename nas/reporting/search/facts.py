"""Facts that a reader needs to judge or repeat a search, as sentences by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cache.datasets.catalog import BY_NETWORK
from cache.datasets.clips import clips, scored_places
from nas.reporting.provenance import machine
from nas.runs.comparable import Run
from nas.runs.progress import duration
from nas.runs.random_search import expected_best
from nas.runs.ranking import sampled
from nas.runs.trial import Trial
from nas.settings.config import SearchConfig
from nas.training.candidates.inputs import Prepared
from nas.training.candidates.objective import explanation
from searchspace.space import Space

SENTENCES: Final = {
    "data": "{dataset} at {height}x{width}, {classes} classes; training list: {frames} frames, {labelled} of them "
    "labelled, in {clips} clips without a jump",
    "static network": "{static_score} on the validation list; trained on {seen} ({checkpoint})",
    "scored on": "meta-val: {scored} labelled frames in {val_clips} clips, streamed, {key_frames}",
    "reward": "{reward}",
    "candidates": "{epochs} epochs over {train_windows} windows of {window} frames ({gaps} x the clips' own gap), "
    "batch {batch}, Adam {rate:g}, {schedule}{early_stop}",
    "they learn from": "the static network on every later frame (dec x {dec_weight:g}, probabilities x "
    "{logit_weight:g}) and labels (x {label_weight:g}, {weighed})",
    "space": "{space}, {blocks} blocks, {size:,} token strings",
    "strategy": "{strategy}, seed {seed}, look-ahead {lookahead}",
    "budget": "{asked} trials asked for, {sampled} recorded",
    "fixed points": "trained and scored like the candidates, never stopped half-way, but for static, which is the "
    "static network as it is; each file in baselines/ says how its cell differs from the publication, and a step of "
    "tdnet does not take TDNet's time",
    "computed on": "{device}, {precision}, CPU threads of a worker: {threads}; {machine}",
    "pace": "{pace}",
    "features": "{features}",
}
OF_A_VIDEO: Final = {
    "data": "{dataset} at {height}x{width}, {classes} classes; nobody has labelled it: {frames} frames in {clips} "
    "stretches, all with the labels that the static network gives them; later frames of each recording are kept back",
    "static network": "what is learnt from and agreed with; it stays as it is ({checkpoint})",
    "scored on": "agreement with the static network on meta-val: {scored} frames in {val_clips} stretches, streamed, "
    "{key_frames}",
}
"""Sentences in place of those above where the labels are the static network's own."""
SEEN: Final[Mapping[str | None, str]] = {
    "train": "the whole training list, meta-val included: the per-frame score is flattered",
    "meta-train": "meta-train only, so meta-val is unseen",
    None: "data that its file does not name: if meta-val was among them, the per-frame score is flattered",
}
"""Words for what the static network was trained on, by the part of the training list."""


def run_facts(trials: Sequence[Trial], config: SearchConfig, space: Space, prepared: Prepared) -> dict[str, str]:
    """Fill in SENTENCES for a search as far as it has come."""
    frames = prepared.dataset.frames("train")
    compute, candidate, evaluator = config.compute, config.candidate, prepared.evaluator
    refresh = evaluator.refresh
    values = {
        "dataset": prepared.dataset.name,
        "height": prepared.size[0],
        "width": prepared.size[1],
        "classes": evaluator.classes,
        "frames": len(frames),
        "labelled": sum(frame.labelled for frame in frames),
        "clips": len(clips(frames)),
        "static_score": _score(prepared.static_facts),
        "seen": SEEN[prepared.static_saw],
        "checkpoint": evaluator.static_checkpoint,
        "scored": len(scored_places(evaluator.val_clips, frames)),
        "val_clips": len(evaluator.val_clips),
        "key_frames": f"a key frame every {refresh} frames" if refresh else "one key frame each, the first",
        "window": config.data.window,
        "reward": explanation(candidate),
        "epochs": candidate.epochs,
        "train_windows": len(evaluator.train_windows[: candidate.windows or None]),
        "gaps": " and ".join(map(str, config.data.gaps)),
        "schedule": candidate.schedule,
        "dec_weight": candidate.dec_weight,
        "logit_weight": candidate.logit_weight,
        "label_weight": candidate.label_weight,
        "weighed": "all classes alike" if evaluator.class_weights is None else "classes as in its own training",
        "batch": candidate.batch,
        "rate": candidate.learning_rate,
        "early_stop": ", may stop half-way" if candidate.early_stop else "",
        "space": space.name,
        "blocks": space.blocks,
        "size": space.size,
        "strategy": config.strategy,
        "seed": config.seed,
        "lookahead": config.lookahead,
        "asked": config.trials,
        "sampled": len(sampled(trials)),
        "device": compute.device,
        "precision": compute.precision,
        "threads": compute.threads,
        "machine": machine(),
        "pace": pace(trials),
        "features": prepared.features.path,
    }
    sentences = SENTENCES | (OF_A_VIDEO if config.data.dataset == BY_NETWORK else {})
    return {name: sentence.format_map(values) for name, sentence in sentences.items()}


def _score(static_facts: Mapping[str, Any]) -> str:
    """Quote the static network's score; a checkpoint from elsewhere may not say."""
    miou = static_facts.get("miou")
    return f"mIoU {100 * miou:.2f}" if isinstance(miou, float) else "mIoU unknown"


def pace(trials: Sequence[Trial]) -> str:
    """Say how many trials an hour a worker trained, by their wall times: calls may have had more or fewer workers."""
    times = [trial.seconds for trial in trials if trial.repeat_of is None and trial.number is not None]
    total = sum(times)
    if not total:
        return "no trial was trained"
    rate = 3600 * len(times) / total
    return f"{len(times)} trials trained in {duration(total)} of workers' time, {rate:.0f} an hour on each worker"


def beside_random(trials: Sequence[Trial], sisters: Sequence[Run]) -> dict[str, str]:
    """Say what random search finds at the budget of a search, if random searches of the same problem know it."""
    mine, known = sampled(trials), [trial.reward or 0.0 for run in sisters for trial in run.trials]
    if not mine or not known:
        return {}
    names, best = ", ".join(run.directory.name for run in sisters), max(trial.reward or 0.0 for trial in mine)
    return {
        "beside random search": f"the best of {len(mine)} random trials has a reward of "
        f"{expected_best(known, len(mine)):.4f} on average, by the {len(known)} of {names}; the best of this search "
        f"has {best:.4f}, in the same short training"
    }

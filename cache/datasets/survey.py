"""A look at every frame and mask of a split: what cannot be used, all of it, and what there is twice."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import xxhash
from tqdm import tqdm

from cache.cores import usable_cores
from cache.datasets.clips import Dataset, Frame, Split
from cache.datasets.files import FileDataset
from cache.errors import DataError


@dataclass(frozen=True)
class Survey:
    """Record of what the frames of a split were found to be."""

    split: Split
    frames: tuple[Frame, ...]
    problems: tuple[str, ...]
    """Problems: what cannot be read or used, in the order of frames."""
    sizes: Counter[tuple[int, int]]
    """Sizes, height and width as stored, each with its number of frames."""
    digests: tuple[bytes | None, ...]
    """Hash of each frame's pixels; None of one that cannot be read."""

    @property
    def gaps(self) -> Counter[int]:
        """Gaps between a frame and the next one of its sequence, in frames of the video, each with its count."""
        return Counter(b.number - a.number for a, b in pairwise(self.frames) if a.sequence == b.sequence)


def take_survey(dataset: Dataset, split: Split) -> Survey:
    """Read every frame and mask of a split, on all cores.

    Raises:
        DataError: the split is absent or its files do not match up.
    """
    frames = dataset.frames(split)

    def look(frame: Frame) -> tuple[list[str], tuple[int, int] | None, bytes | None]:
        problems, size, digest = [], None, None
        try:
            size = dataset.native_size(frame) if isinstance(dataset, FileDataset) else dataset.size
            digest = xxhash.xxh3_128(dataset.image(frame).tobytes()).digest()
        except DataError as error:
            problems.append(str(error))
        try:
            if frame.labelled:
                dataset.label(frame)
        except DataError as error:
            problems.append(str(error))
        return problems, size, digest

    with ThreadPoolExecutor(usable_cores()) as pool:
        seen = list(
            tqdm(pool.map(look, frames), f"reading {split}", len(frames), unit="frame", disable=None, leave=False)
        )
    problems = dict.fromkeys(problem for each, _, _ in seen for problem in each)  # one word of what is said twice
    sizes = Counter(size for _, size, _ in seen if size is not None)
    return Survey(split, frames, tuple(problems), sizes, tuple(digest for *_, digest in seen))


def repeated(surveys: Sequence[Survey]) -> list[str]:
    """Say which frames are in two splits, so that a network is scored on what it learnt."""
    found = []
    for place, survey in enumerate(surveys):
        for other in surveys[:place]:
            known = {digest: frame for frame, digest in zip(other.frames, other.digests, strict=True) if digest}
            twins = [(frame, known[d]) for frame, d in zip(survey.frames, survey.digests, strict=True) if d in known]
            if twins:
                here, there = twins[0]
                found.append(
                    f"{len(twins)} frames of the {survey.split} split are also in the {other.split} split, pixel for "
                    f"pixel; the first is {here.name}, which is {there.name}: keep each in one split"
                )
    return found

"""A video without masks: a file, a folder of them, or folders of frames; a trained network's labels stand in for masks.

Of each recording the first part is the training list and the last the validation list, with some frames between them
that are in neither, so that nothing is scored on what it learnt from. A score here is agreement with the network, and
tells nothing of how right either is.

Of long recordings stretches of consecutive frames are used, spread evenly: features of all frames would fill a disk,
frames beside each other teach the same, and single frames far apart would not be the video that a memory will see.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cache.datasets.clips import LIMIT, Frame, Split
from cache.datasets.files import FileDataset, FrameFiles
from cache.datasets.folder import VIDEO_SUFFIXES
from cache.datasets.frame_names import numbered
from cache.datasets.listing import IMAGE_SUFFIXES, by_stem, folders, visible, warn_unused
from cache.datasets.masks import MaskCode
from cache.errors import DataError
from cache.images import scaled_size

log = logging.getLogger(__name__)

STRETCH: Final = 50  # consecutive frames of a long recording that are used together
HELD: Final = 0.2  # share of a recording, its end, that is the validation list
BETWEEN: Final = 30  # frames between training and validation list at most; of short recordings a tenth
SHORTEST: Final = 10  # frames of a recording: 7 to learn from, 1 between, 2 to be scored on
LOOKS: Final = 8  # frames that are compared to tell a video from a still
STILL: Final = 8  # of 255, by which a channel of a still frame may differ through compression


class Network(Protocol):
    """A trained network that labels single frames."""

    path: Path
    fingerprint: str
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    height: int | None

    def label(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Find the class of each pixel (H, W) of an image (H, W, 3)."""


@dataclass(frozen=True)
class _Recording:
    name: str
    files: Sequence[FrameFiles]


class Video(FileDataset):
    """Recordings whose frames a network labels when they are asked for.

    Args:
        root: a video file, or a folder as above.
        network: what labels them; their height is its own, or theirs where they are smaller.
        limit: number of frames that are used at most; 0 is all of them.
        window: number of frames that a window shall have.

    Raises:
        DataError: there are no recordings, or one cannot be read, is too short, or is a single still frame.
    """

    def __init__(self, root: Path, network: Network, limit: int = LIMIT, window: int = 2) -> None:
        code = MaskCode("video", network.classes, {number: number for number in range(len(network.classes))})
        super().__init__("video", root if root.is_dir() else root.parent, network.colours, code, "resize")
        self._network = network
        recordings = list(self._recordings(root))
        self._refuse_unfit(recordings, max(SHORTEST, window))
        parts = [(recording, *_parts(recording.files)) for recording in recordings]
        total = sum(len(recording.files) for recording in recordings)
        share = min(1.0, limit / total) if limit else 1.0
        self._chosen: dict[Split, list[FrameFiles]] = {
            "train": [files for _, train, _ in parts for files in _stretches(train, share)],
            "val": [files for _, _, val in parts for files in _stretches(val, share)],
        }
        height, width = self.native_size(self._chosen["train"][0].frame)
        self._size = scaled_size((height, width), min(1.0, (network.height or height) / height))
        self._tell(total, share)

    def has(self, split: Split) -> bool:
        return split in self._chosen

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        return self._network.label(self.image(frame))

    def orientations(self, frame: Frame) -> tuple[int, int]:
        """Return 1 and 1: a label is made of the image as it is read, upright."""
        return 1, 1

    def _find(self, split: Split) -> Iterator[FrameFiles]:
        if split not in self._chosen:
            raise DataError(f"a video has no {split} split: its lists are train and val")
        yield from self._chosen[split]

    def _options(self) -> tuple[object, ...]:
        return (*super()._options(), self._network.fingerprint)

    def _recordings(self, root: Path) -> Iterator[_Recording]:
        """List the recordings that `root` is or holds."""
        if not root.is_dir():
            if not root.is_file():
                raise DataError(f"there is no video {root}; name a file or a folder with --data-root")
            yield self._of_file(root)
            return
        found = [
            self._of_file(path) for path in visible(root) if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
        ]
        holders = [folder for folder in (root, *folders(root)) if _has_images(folder)]
        found += [_of_images(folder) for folder in holders]
        if not found:
            raise DataError(
                f"{root} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}) and no frames as images; a folder of "
                "videos or of frames is wanted, or of folders of frames"
            )
        warn_unused((path for path in folders(root) if path not in holders), root)
        yield from found

    def _of_file(self, path: Path) -> _Recording:
        frames = [
            Frame(f"{path.name}/frame_{number:06d}", path.name, number) for number in range(len(self._video(path)))
        ]
        return _Recording(path.name, [FrameFiles(frame, path, None, frame.number) for frame in frames])

    def _refuse_unfit(self, recordings: Sequence[_Recording], shortest: int) -> None:
        """Raise DataError for a recording that is too short, or in which nothing ever changes."""
        for recording in recordings:
            count = len(recording.files)
            if count < shortest:
                raise DataError(
                    f"{recording.name} in {self.root} has {count} frames, but {shortest} are needed for windows to "
                    "learn from and later frames to be scored on; give a longer video, or move it away"
                )
            looks = (self._stored(recording.files[place * (count - 1) // (LOOKS - 1)]) for place in range(LOOKS))
            if all(_alike(one, other) for one, other in pairwise(looks)):
                raise DataError(
                    f"{recording.name} in {self.root} is one still frame, shown {count} times, from which nothing that "
                    "remembers can learn; give a video in which things move"
                )

    def _tell(self, total: int, share: float) -> None:
        counts = [len(self._chosen[split]) for split in ("train", "val")]
        log.info(
            "video: of %d frames %d are learnt from and %d later ones scored, at %dx%d; %s labels all of them, so that "
            "scores are agreement with it",
            *(total, *counts, *self.size, self._network.path),
        )
        if share < 1:
            log.info(
                "video: these are stretches of %d frames, spread evenly, as the features of all would fill memory and "
                "disk; --limit sets how many frames there are",
                STRETCH,
            )

    def _files_of(self, frame: Frame) -> FrameFiles:
        if not self._files:
            self._files = {files.frame: files for chosen in self._chosen.values() for files in chosen}
        return super()._files_of(frame)


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in visible(folder) if path.is_file())


def _of_images(folder: Path) -> _Recording:
    name = folder.resolve().name
    images = numbered(list(by_stem(folder, IMAGE_SUFFIXES, beside=VIDEO_SUFFIXES).values()))
    return _Recording(name, [FrameFiles(Frame(f"{name}/{path.stem}", name, n), path, None) for n, path in images])


def _parts(files: Sequence[FrameFiles]) -> tuple[Sequence[FrameFiles], Sequence[FrameFiles]]:
    """Cut a recording into what is learnt from and what is scored."""
    held, between = round(HELD * len(files)), min(BETWEEN, len(files) // 10)
    return files[: len(files) - held - between], files[len(files) - held :]


def _stretches(files: Sequence[FrameFiles], share: float) -> list[FrameFiles]:
    """Take about a share of frames, in stretches of `STRETCH` that are spread evenly from the first to the last."""
    if share == 1 or len(files) <= STRETCH:
        return list(files)
    count = max(2, round(share * len(files) / STRETCH))
    starts = [place * (len(files) - STRETCH) // (count - 1) for place in range(count)]
    taken = {start + offset for start in starts for offset in range(STRETCH)}
    return [files[place] for place in sorted(taken)]


def _alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return one.shape == other.shape and bool((np.abs(one.astype(np.int16) - other) <= STILL).all())

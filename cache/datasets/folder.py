"""Your own clips: folders of images or video files, masks, and a small YAML file.

    ROOT/dataset.yaml                              see EXAMPLE in cache/datasets/folder_settings.py
    ROOT/<split>/<clip>/images/*.png or *.jpg      split is train, val or test; names hold the frame's number
    ROOT/<split>/<clip>/masks/*.png                same name as the image; frames without a mask are unlabelled

In place of images/ a clip may have one video file; its masks are then named by the number of the frame, counted from 0
as `nas.segment` names its results. Masks hold class numbers, in greyscale or under a palette, or the classes' colours.

Only the last frame of a window needs a mask, so a few labelled frames in a long clip are enough.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.datasets.clips import SPLITS, Frame, Split
from cache.datasets.files import FileDataset, FrameFiles
from cache.datasets.folder_settings import read_settings
from cache.datasets.frame_names import numbered
from cache.datasets.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, by_stem, folders, visible, warn_unused
from cache.errors import DataError

_LAYOUT: Final = (
    "a folder of clips holds dataset.yaml and <split>/<clip>/images/*.png with masks/*.png "
    "(`dyncell check --help` shows more); name it with --data-root or $DYNCELL_DATA"
)
_LAST_NUMBER: Final = re.compile(r".*?(?P<number>\d+)")
VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"})


class Folder(FileDataset):
    """Clips in the layout above.

    Raises:
        DataError: `root` holds no dataset.yaml or no split, or dataset.yaml breaks a rule.
    """

    def __init__(self, root: Path) -> None:
        settings = read_settings(root / "dataset.yaml", _LAYOUT)
        super().__init__(settings.name, root, settings.colours, settings.code, settings.fit, settings.size)
        self._clips = settings.splits
        if not any(self.has(split) for split in SPLITS):
            raise DataError(f"no clips in {root}: none of the folders train, val and test is there; {_LAYOUT}")
        self._tell_of_other_folders()

    def has(self, split: Split) -> bool:
        return split in self._clips if self._clips is not None else (self.root / split).is_dir()

    def _find(self, split: Split) -> Iterator[FrameFiles]:
        for name, clip in self._clips_of(split).items():
            prefix = f"{split}/{name}" if self._clips is None else name
            videos = [path for path in visible(clip) if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
            others = [path for path in visible(clip) if path not in videos and path.name not in ("images", "masks")]
            _refuse_other_masks(clip, [path for path in others if path.is_dir()])
            warn_unused(others, clip)
            if len(videos) > 1 or (videos and (clip / "images").exists()):
                raise DataError(f"the clip {clip} has more than one source of frames, {videos[0].name} and another one")
            yield from self._of_video(name, prefix, videos[0]) if videos else self._of_images(name, prefix, clip)

    def _clips_of(self, split: Split) -> dict[str, Path]:
        """Find the folders of a split's clips, by name."""
        if self._clips is not None:
            listed = {name: self.root / name for name in self._clips.get(split, ())}
            if not listed or (missing := [path for path in listed.values() if not path.is_dir()]):
                where = f"the clip {missing[0]} is missing" if listed else "dataset.yaml lists none"
                raise DataError(f"{self.root} has no {split} split: {where}")
            return listed
        folder = self.root / split
        if not self.has(split):
            raise DataError(f"{self.root} has no {split} split: {folder} is missing; {_LAYOUT}")
        found = {path.name: path for path in folders(folder)}
        if "images" in found and not (found["images"] / "images").exists():
            raise DataError(
                f"{folder} holds images and no clips: move {found['images']} and its masks into a folder of their own, "
                f"such as {folder / 'clip1'}, one for each clip"
            )
        warn_unused((path for path in visible(folder) if not path.is_dir()), folder)
        return found

    def _of_images(self, name: str, prefix: str, clip: Path) -> Iterator[FrameFiles]:
        images = by_stem(clip / "images", IMAGE_SUFFIXES)
        masks = _masks(clip)
        if alone := sorted(masks.keys() - images.keys()):
            near = max((stem for stem in images if alone[0].startswith(stem)), key=len, default="")
            hint = f", or name it {near}.png if it is of {images[near].name}" if near else ""
            lonely = masks[alone[0]]
            raise DataError(f"mask {lonely} has no image in {clip / 'images'}; add it or remove the mask{hint}")
        stems = {image: stem for stem, image in images.items()}
        for number, image in numbered(list(images.values())):
            frame = Frame(f"{prefix}/{image.stem}", name, number, labelled=stems[image] in masks)
            yield FrameFiles(frame, image, masks.get(stems[image]))

    def _of_video(self, name: str, prefix: str, video: Path) -> Iterator[FrameFiles]:
        count = len(self._video(video))
        masks: dict[int, Path] = {}
        for stem, path in _masks(video.parent).items():
            match = _LAST_NUMBER.fullmatch(stem)
            number = int(match["number"]) if match else -1
            if not 0 <= number < count:
                raise DataError(
                    f"{path} is the mask of no frame of {video}: it has frames 0 to {count - 1}, and a mask's name "
                    "ends in the number of its frame, as in frame_000012.png"
                )
            if other := masks.get(number):
                raise DataError(f"{other} and {path} have the same frame number {number}; rename one of them")
            masks[number] = path
        for number in range(count):
            frame = Frame(f"{prefix}/frame_{number:06d}", name, number, labelled=number in masks)
            yield FrameFiles(frame, video, masks.get(number), number)

    def _way_to_one_size(self) -> str:
        return "write 'sizes: letterbox' or 'sizes: resize' into dataset.yaml, or bring all frames to one size"

    def _tell_of_other_folders(self) -> None:
        used = (
            {*SPLITS}
            if self._clips is None
            else {Path(name).parts[0] for each in self._clips.values() for name in each}
        )
        warn_unused((path for path in visible(self.root) if path.name not in used | {"dataset.yaml"}), self.root)


def _masks(clip: Path) -> dict[str, Path]:
    return by_stem(clip / "masks", MASK_SUFFIXES) if (clip / "masks").exists() else {}


def _refuse_other_masks(clip: Path, others: list[Path]) -> None:
    """Raise DataError where a clip has no masks, but a folder that may be meant for them."""
    if others and not (clip / "masks").exists():
        raise DataError(
            f"the clip {clip} has no folder masks, but one called {others[0].name}, which is not read; rename it to "
            "masks, or move it away if the clip has no labels"
        )

"""The folder of a segmented recording: a label image and an overlay of each frame, and a video of the overlays.

segment.json          what was segmented with what, and the names and colours of the classes
labels/<frame>.png    pixel values are class numbers, and the palette shows their colours
overlays/<frame>.jpg  the frame under the colours of its classes, with a legend
overlay.mp4           all overlays; it is there once the last frame is done
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.atomic import atomic_path, write_text
from nas.labelled_video.overlay import Overlay
from nas.labelled_video.video_file import Codec, video_file
from nas.settings.errors import RunError

Pixels = NDArray[np.uint8]
RECORD: Final = "segment.json"
VIDEO: Final = "overlay.mp4"


def claim(folder: Path, facts: Mapping[str, Any], overwrite: bool = False) -> None:
    """Take a folder that is absent, empty, or was left unfinished by the same command, and note the facts in it.

    Args:
        folder: folder of the results.
        facts: what is segmented with what, JSON-able.
        overwrite: remove the results of another command first; files that are no results stay.

    Raises:
        RunError: something else is in it, which is kept.
        OSError: it cannot be written.
    """
    text = json.dumps(dict(facts), indent=2) + "\n"
    if folder.exists() and any(folder.iterdir()):
        record = folder / RECORD
        if not record.exists():
            raise RunError(f"{folder} holds something else than results; remove it or name another --output")
        same = record.read_text(encoding="utf-8") == text
        if overwrite:
            _remove_results(folder)
        elif not same or (folder / VIDEO).exists():
            what = "these" if same else "other"
            raise RunError(f"{folder} holds {what} results; name another --output, or replace them with --overwrite")
    write_text(folder / RECORD, text)


def _remove_results(folder: Path) -> None:
    """Remove what an earlier command wrote, the record last, so that a stop in between leaves results and no riddle."""
    for path in (*folder.glob("labels/*.png"), *folder.glob("overlays/*.jpg"), folder / VIDEO, folder / RECORD):
        path.unlink(missing_ok=True)


@contextmanager
def segmented_recording(
    folder: Path,
    size: tuple[int, int],
    classes: Sequence[str],
    colours: Sequence[Sequence[int]],
    rate: float,
    codec: Codec,
) -> Iterator[Callable[[str, Pixels, Pixels], None]]:
    """Yield a function that writes the next frame: its name, its RGB pixels (H, W, 3) and its label map (H, W).

    Each file is complete or absent. The video is written if the block ends without an exception.

    Args:
        folder: folder of the results.
        size: height and width of the frames.
        classes: names of the classes.
        colours: RGB colours of the classes.
        rate: frames a second.
        codec: codec of the video.

    Raises:
        OSError: something cannot be written.
    """
    overlay = Overlay(size, classes, colours)
    palette = [channel for colour in colours for channel in colour]
    with video_file(folder / VIDEO, overlay.size, rate, codec) as append:

        def write(name: str, image: Pixels, label: Pixels) -> None:
            picture, index = overlay(image, label), Image.fromarray(label)
            index.putpalette(palette)
            with atomic_path(folder / "labels" / f"{name}.png") as path:
                index.save(path, "PNG")
            with atomic_path(folder / "overlays" / f"{name}.jpg") as path:
                Image.fromarray(picture).save(path, "JPEG", quality=90)
            append(picture)

        yield write

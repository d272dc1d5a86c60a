"""`python -m nas.segment`: what a trained network makes of a video without labels."""

import logging
import time
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from nas.settings.command_line import run_command
from nas.settings.config import REFRESH_RULE, is_refresh
from nas.settings.errors import RunError, require
from nas.settings.machine_config import ComputeConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Segment a video, or a folder of its frames, that need not have labels.

    Every frame leaves labels/<frame>.png, whose pixel values are class numbers, and overlays/<frame>.jpg with a legend;
    the overlays are also joined to overlay.mp4. Frames are read, segmented and written one by one.
    """

    source: Positional[str]
    """A folder of frames, a quoted pattern such as 'clip/*.png', an image or a video file."""
    checkpoint: Path
    """The network.pt of nas.retrain; or of nas.pretrain, which segments each frame on its own; or a run, for the one of
    its retrained cells that scores best on the validation list."""
    output: Path | None = None
    """Folder of the results, new or empty; by default segmented/<name of the folder or video>."""
    overwrite: bool = False
    """Replace the results that are in the folder."""
    scale: float | None = None
    """Look at frames at this share of their height and width. By default they are scaled until their shorter side is as
    long as in training. Labels always have the frame's own size."""
    refresh: int | None = None
    """Frames from one key frame, which the whole static network labels and from which the memory starts again, to the
    next; 0 has none after the first. By default as in training."""
    cut: bool = False
    """Make the first frame after a cut a key frame, too, and count from there. A cut is where tiny grey pictures of two
    frames differ far more than those before; frames a second apart differ too much for that."""
    on_broken: Literal["stop", "skip"] = "stop"
    """Consequence of a frame that cannot be read: the command ends, or the frame is left out with a warning, in which
    case the network remembers the last frame before it."""
    rate: float | None = None
    """Frames a second of the mp4; by default the video's own, and 10 for images."""
    codec: Literal["mp4v", "vp09"] = "mp4v"
    """Codec of the mp4: MPEG-4 is quick to write, VP9 many times slower, but web browsers play it, too."""
    compute: Annotated[ComputeConfig, arg(name="")] = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        for name, value in (("scale", self.scale), ("rate", self.rate)):
            if value is not None and value <= 0:
                raise RunError(f"{name} must be positive, but got {value}")
        require(is_refresh(self.refresh), REFRESH_RULE, self.refresh)


def main(arguments: Arguments) -> None:
    """Segment, and print where the results are."""
    # These load torch and OpenCV, for which --help and a bad flag need not wait.
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from cache.recording import open_recording
    from nas.labelled_video.folder import claim, segmented_recording
    from nas.labelled_video.labeller import Labeller, working_size
    from nas.networks.inference import for_inference
    from nas.networks.loading import load_network
    from nas.settings.compute import start
    from nas.training.video.results import best_checkpoint

    compute = start(arguments.compute)
    checkpoint = best_checkpoint(arguments.checkpoint)
    network, meta = load_network(checkpoint, refresh=arguments.refresh)
    recording = open_recording(arguments.source)
    frames = recording.readable(skip=arguments.on_broken == "skip")
    first = next(frames)
    size = first[1].shape[:2]
    working = working_size(size, meta, arguments.scale)
    output = arguments.output or Path("segmented") / recording.name
    classes = {"classes": meta["classes"], "colours": meta["colours"]}
    source = {
        "source": arguments.source,
        "checkpoint": str(checkpoint),
        "working_size": working,
        "refresh": network.refresh,
    } | ({"cut": True} if arguments.cut else {})
    claim(output, source | classes, arguments.overwrite)
    log.info("frames of %dx%d, segmented at %dx%d, into %s", *size, *working, output)
    label = Labeller(for_inference(network, compute.device), working, compute, arguments.cut)
    rate = arguments.rate or recording.rate
    progress = tqdm(chain([first], frames), "segment", recording.count or None, unit="frame", disable=None)
    count, began = 0, time.monotonic()
    files = segmented_recording(output, size, **classes, rate=rate, codec=arguments.codec)
    with files as write, logging_redirect_tqdm():
        for name, image in progress:
            write(name, image, label(image))
            count += 1
    seconds = time.monotonic() - began
    log.info("%d frames in %.1f s, %.1f frames a second with reading and writing", count, seconds, count / seconds)
    if arguments.cut:
        log.info("key frames after %d cuts", label.cuts)
    print(output)


if __name__ == "__main__":
    run_command("nas.segment", Arguments, None, main)

"""Segmenter: a trained network with its memory, as a program uses it: RGB frames in, label maps out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cache.camera import open_camera
from cache.recording import open_recording
from nas.labelled_video.labeller import Labeller, working_size
from nas.networks.inference import for_inference
from nas.networks.loading import load_network
from nas.settings.compute import resolve
from nas.settings.config import REFRESH_RULE, is_refresh
from nas.settings.machine_config import ComputeConfig
from nas.training.video.results import best_checkpoint

Pixels = NDArray[np.uint8]


def load(
    path: str | Path,
    *,
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    scale: float | None = None,
    refresh: int | None = None,
    cut: bool = False,
) -> "Segmenter":
    """Load a trained network and warm it up, so that its first frame takes no longer than those that follow.

    Args:
        path: the `network.pt` that `dyncell retrain` left, or a run, for the best of its retrained cells; or that of
            `dyncell pretrain`, which segments each frame on its own; or the name of a network that ships.
        device: `cpu`, `cuda`, `cuda:1`, ...; `auto` is the first GPU if there is one.
        precision: of convolutions; `auto` is bfloat16 on a GPU and float32 elsewhere.
        scale: share of their height and width at which frames are looked at; by default their shorter side is brought
            to the length that it had in training.
        refresh: frames from one key frame, which the whole static network labels and from which the memory starts
            again, to the next; 0 has none after the first. By default as in training.
        cut: make the first frame after a cut a key frame, too; found by tiny grey pictures of the frames.

    Raises:
        DataError: there is no such file, or it is no trained network, or is damaged; or no network is in the run.
        RunError: the device cannot be used, or there is no such precision.
        ValueError: `scale` is not positive, or `refresh` is 1 or negative.
    """
    return Segmenter(Path(path), ComputeConfig(device=device, precision=precision), scale, refresh, cut)


class Segmenter:
    """A trained network that labels the frames of a video in time order, and remembers of them what its cell needs."""

    def __init__(self, path: Path, compute: ComputeConfig, scale: float | None, refresh: int | None, cut: bool) -> None:
        if scale is not None and not scale > 0:
            raise ValueError(f"scale must be positive, but got {scale}")
        if not is_refresh(refresh):
            raise ValueError(f"{REFRESH_RULE}, but got {refresh}")
        network, self._facts = load_network(best_checkpoint(path), refresh=refresh)
        self._scale, self._compute, self._cut = scale, resolve(compute), cut
        self._network = for_inference(network, self._compute.device)
        self.classes: tuple[str, ...] = tuple(self._facts["classes"])
        """Name of each class; a label is a place in it."""
        self.colours: tuple[tuple[int, int, int], ...] = tuple((r, g, b) for r, g, b in self._facts["colours"])
        """RGB of each class, 0 to 255: `np.array(network.colours, np.uint8)[labels]` is a picture."""
        self._memory: tuple[tuple[int, ...], Labeller] | None = None
        self._warm_up()

    def segment(self, frame: Pixels) -> Pixels:
        """Label the next frame of a video.

        Args:
            frame: RGB, uint8 (H, W, 3), of any size. (OpenCV gives BGR: pass `frame[..., ::-1]`.)

        Returns:
            Class of each pixel, uint8 (H, W).

        Raises:
            ValueError: it is no such array, or it has another shape than the frames before it since `reset`.
            NonFiniteError: the network makes of it what is no number.
        """
        pixels = _checked(frame)
        if self._memory is None:
            size = working_size((pixels.shape[0], pixels.shape[1]), self._facts, self._scale)
            self._memory = pixels.shape, Labeller(self._network, size, self._compute, self._cut)
        remembered, label = self._memory
        if pixels.shape != remembered:
            raise ValueError(
                "a frame is {}x{}, but those before it were {}x{}; call reset() where another video begins".format(
                    *pixels.shape[:2], *remembered[:2]
                )
            )
        return label(pixels)

    def reset(self) -> None:
        """Forget all frames: the next one begins another video, or comes after a cut."""
        self._memory = None

    def video(
        self, source: str | Path | int, on_broken: Literal["stop", "skip"] = "stop"
    ) -> Iterator[tuple[Pixels, Pixels]]:
        """Label a video from its beginning, frame by frame, in constant memory.

        Args:
            source: a video file, a folder of frames, a pattern such as 'clip/*.png', or the number of a camera.
            on_broken: what a frame that cannot be read does: `stop` raises, `skip` leaves it out with a warning.

        Yields:
            Each frame, RGB uint8 (H, W, 3), and the class of each of its pixels, uint8 (H, W). The memory is that of
            `segment`, and `reset` before the first frame.

        Raises:
            DataError: there is nothing to read, or a frame cannot be read.
            ValueError: `on_broken` is neither.
        """
        if on_broken not in ("stop", "skip"):
            raise ValueError(f"on_broken must be stop or skip, but got {on_broken!r}")
        recording = open_camera(source) if isinstance(source, int) else open_recording(str(source))
        self.reset()
        for _, frame in recording.readable(skip=on_broken == "skip"):
            yield frame, self.segment(frame)

    def _warm_up(self) -> None:
        """Run a first and two later frames: libraries choose and build their kernels when a shape is first met."""
        height, width = self._facts.get("size", (256, 256))
        for _ in range(3):
            self.segment(np.zeros((height, width, 3), np.uint8))
        self.reset()


def _checked(frame: Pixels) -> Pixels:
    fits = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
    if not fits or 0 in frame.shape:
        came = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise ValueError(f"a frame is an RGB array, uint8 (height, width, 3), but this is {came}")
    return np.ascontiguousarray(frame)

"""Readers of images and videos on spoiled files: pixels, or one error, whatever the headers promise."""

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from mutations import SECONDS, fuzz, spoil
from PIL import Image

from cache.errors import DataError
from cache.images import image_size, read_image, read_mask
from cache.recording import open_recording

pytestmark = [pytest.mark.drill, pytest.mark.filterwarnings("ignore::UserWarning")]
CASES = int(os.environ.get("CASES", 20_000))
KINDS = [("L", "PNG"), ("P", "PNG"), ("RGB", "PNG"), ("RGB", "JPEG"), ("RGB", "BMP"), ("RGB", "WEBP"), ("RGB", "PPM")]


def encode(mode, kind):
    """Write a small picture; return the bytes of its file."""
    buffer, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 200, (9, 13, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def test_images(tell, folder):
    path, files = folder / "a.png", [encode(*kind) for kind in KINDS]

    def read(content):
        path.write_bytes(content)
        for reader in (image_size, read_image, read_mask):
            with contextlib.suppress(DataError):
                reader(path)

    tell("images", *fuzz(CASES, lambda random: spoil(random.choice(files), random), read))


def test_pngs_are_read_as_they_were_or_refused(tell, folder):
    """Make one to four changes that keep the length; JPEG has no checksum, and can promise no such thing."""
    path, files = folder / "a.png", [encode(mode, "PNG") for mode in ("L", "P", "RGB")]
    pixels = []
    for content in files:
        path.write_bytes(content)
        pixels.append(read_image(path))

    def read(changed):
        kind, content = changed
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            np.testing.assert_array_equal(read_image(path), pixels[kind])

    def make(random):
        kind = random.randrange(len(files))
        data = bytearray(files[kind])
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] ^= random.randint(1, 255)
        return kind, bytes(data)

    tell("bytes of PNG files", *fuzz(CASES // 4, make, read))


def test_videos(tell, folder):
    """Read videos in a process of its own, whose end would be seen."""
    command = [sys.executable, __file__, str(folder), str(CASES)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0, sorted(path.name for path in folder.glob("case*"))
    tell("videos", CASES, f"slowest {done.stdout.strip()} ms")


def read_spoiled_videos(folder, cases):
    """Write each case to the disk before it is read, so that one that ended the process would be left there."""
    logging.disable()
    random, slowest = Random(0), 0.0
    codecs = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "mp4v", ".webm": "VP90"}
    videos = {suffix: write_video(folder / f"whole{suffix}", codec) for suffix, codec in codecs.items()}
    for _ in range(cases):
        suffix, content = random.choice([*videos.items()])
        path = folder / f"case{suffix}"
        path.write_bytes(spoil(content, random))
        start = time.process_time()
        with contextlib.suppress(DataError):
            for _ in open_recording(str(path)).readable(skip=True):
                pass
        slowest = max(slowest, time.process_time() - start)
        assert slowest < SECONDS
    print(f"{1e3 * slowest:.0f}")


def write_video(path, codec):
    """Write a video of five frames; return the bytes of its file."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), 50 * number, np.uint8))
    writer.release()
    return path.read_bytes()


if __name__ == "__main__":
    read_spoiled_videos(Path(sys.argv[1]), int(sys.argv[2]))

"""The program that export writes beside its graphs: all that `nas.segment` does, without torch and without us."""

from typing import Final

PROGRAM: Final = '''\
"""Label a clip: `python run_onnx.py FRAME.png ...` writes FRAME.labels.png. Needs onnxruntime, numpy and Pillow."""
import json, pathlib, sys, numpy as np, onnxruntime
from PIL import Image
here, memory = pathlib.Path(__file__).parent, {}
export = json.loads((here / "export.json").read_text())
about, refresh = export["images"], export["refresh"]
first, later = (onnxruntime.InferenceSession(here / name) for name in ("first.onnx", "later.onnx"))
for place, path in enumerate(map(pathlib.Path, sys.argv[1:])):
    if place == 0 or refresh and place % refresh == 0:  # a key frame, from which the memory starts
        graph, memory = first, {}
    else:
        graph = later
    frame = Image.open(path).convert("RGB")
    size = about["size"] or [max(1, round(x * (about["shorter_side"] / min(frame.size)))) for x in frame.size[::-1]]
    pixels = np.asarray(frame.resize(size[::-1], Image.Resampling.BILINEAR), np.float32) / 255
    images = ((pixels - np.float32(about["mean"])) / np.float32(about["std"])).transpose(2, 0, 1)[None]
    logits, *state = graph.run(None, {"images": images, **memory})
    memory = {output.name[len("next."):]: tensor for output, tensor in zip(graph.get_outputs()[1:], state)}
    maps = [Image.fromarray(each).resize(frame.size, Image.Resampling.BILINEAR) for each in logits[0]]
    Image.fromarray(np.argmax(maps, 0).astype(np.uint8)).save(path.with_suffix(".labels.png"))
'''

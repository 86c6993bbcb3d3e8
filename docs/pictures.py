"""Draws the pictures of the pages: ``python docs/pictures.py``, in the root of the sources.

A picture says in its metadata what it shows: the labels, the points and the bands, and a hash of
its pixels. So a later drawing can be compared with it by what it shows, whatever draws it: pixels
depend on the versions of matplotlib and FreeType, and numbers on the rounding of a processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deeplinear.experiments import figures
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN

FOLDER = Path(__file__).parent
KEY = "Description"
# Of points: those of a figure that is drawn again are nearer by far. Hollow ones are of runs that
# did not settle; rounding decides where they are, so their 95 % bands must meet, and they may be
# missing where so few runs are left that there is no band. A settled point may move with its band,
# where another NumPy rounds the data and few of its runs settle.
TOLERANCE = 1e-4


def draw_sharpness(file: Path) -> Figure:
    """As `deeplinear reproduce plain` draws it."""
    dataset = reproduce.run(PLAIN, progress=False)
    drawn = figures.draw(dataset, file.parent, file.stem)
    next(path for path in drawn if path.name.endswith("-sharpness.png")).rename(file)
    with figures.style():
        return figures.sharpness(dataset)


def draw_diabetes(file: Path) -> Figure:
    """As the example in data.md draws it."""
    text = (FOLDER / "data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (source,) = (block for block in blocks if file.name in block)
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(file.parent)
    try:
        exec(compile(source, "data.md", "exec"), names)
    finally:
        os.chdir(before)
    return names["figure"]


PICTURES: dict[str, Callable[[Path], Figure]] = {
    "sharpness.png": draw_sharpness,
    "diabetes.png": draw_diabetes,
}


def describe(figure: Figure) -> dict[str, Any]:
    """Say what a figure shows."""
    return {
        "legend": [text.get_text() for legend in figure.legends for text in legend.get_texts()],
        "axes": [_axes(axes) for axes in figure.axes],
    }


def _axes(axes: Any) -> dict[str, Any]:
    return {
        "labels": [axes.get_xlabel(), axes.get_ylabel()],
        "scales": [axes.get_xscale(), axes.get_yscale()],
        "lines": [_line(line) for line in axes.lines],
        "bands": [
            _band(band) for band in axes.collections if isinstance(band, PolyCollection)
        ],
    }  # fmt: skip


def _line(line: Any) -> dict[str, Any]:
    hollow = to_hex(line.get_markerfacecolor()) == "#ffffff"
    return {
        "look": [to_hex(line.get_color()), str(line.get_marker()), str(line.get_linestyle())],
        "hollow": hollow,
        "x": _numbers(line.get_xdata()),
        "y": _numbers(line.get_ydata()),
    }


def _band(band: Any) -> dict[str, Any]:
    x, y = np.concatenate([path.vertices for path in band.get_paths()] or [np.empty((0, 2))]).T
    places = np.unique(x)
    return {
        "look": to_hex(band.get_facecolor()[0]),
        "x": _numbers(places),
        "lower": _numbers([y[x == place].min() for place in places]),
        "upper": _numbers([y[x == place].max() for place in places]),
    }


def _numbers(values: Any) -> list[float]:
    return [float(f"{value:.8g}") for value in np.asarray(values, dtype=float)]


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say what two descriptions do not share; nothing where they agree."""
    if then["legend"] != now["legend"]:
        return [f"legend: {then['legend']}, not {now['legend']}"]
    if len(then["axes"]) != len(now["axes"]):
        return [f"{len(then['axes'])} axes, not {len(now['axes'])}"]
    found = []
    for old, new in zip(then["axes"], now["axes"], strict=True):
        for name in ("labels", "scales"):
            found += [f"{name}: {old[name]}, not {new[name]}"] if old[name] != new[name] else []
        looks = [[part["look"] for kind in ("lines", "bands") for part in axes[kind]]
                 for axes in (old, new)]  # fmt: skip
        found += ["other lines or bands"] if looks[0] != looks[1] else _points(old, new)
    return found


def _moved_bands(old: dict[str, Any], new: dict[str, Any]) -> set[tuple[str, float]]:
    """Return the colour and place where a band is not the same."""
    return {
        (one["look"], x)
        for one, other in zip(old["bands"], new["bands"], strict=True)
        for (x, *then), (place, *now) in zip(
            zip(one["x"], one["lower"], one["upper"], strict=True),
            zip(other["x"], other["lower"], other["upper"], strict=True),
            strict=False,
        )
        if x == place and not np.allclose(then, now, rtol=TOLERANCE, atol=0)
    }


def _points(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Compare the settled points of the lines, and the bands of all."""
    found = []
    unsettled = {
        (line["look"][0], x) for axes in (old, new) for line in axes["lines"] if line["hollow"]
        for x in line["x"]
    }  # fmt: skip
    moved = _moved_bands(old, new)
    for one, other in zip(old["lines"], new["lines"], strict=True):
        color = one["look"][0]
        a, b = (
            [(x, y) for x, y in zip(line["x"], line["y"], strict=True)
             if (color, x) not in unsettled | moved]
            for line in (one, other)
        )  # fmt: skip
        if np.shape(a) != np.shape(b) or not np.allclose(a, b, rtol=TOLERANCE, atol=0):
            found.append(f"points of the line {one['look']}")
    for one, other in zip(old["bands"], new["bands"], strict=True):
        mine = dict(zip(one["x"], zip(one["lower"], one["upper"], strict=True), strict=True))
        for x, low, high in zip(other["x"], other["lower"], other["upper"], strict=True):
            if x in mine and (low > mine[x][1] or high < mine[x][0]):
                found.append(f"the band {one['look']} at {x:g}")
    return found


def shown(file: Path) -> dict[str, Any]:
    """Read what a picture says that it shows; an error where its pixels are others."""
    with Image.open(file) as image:
        text = image.info.get(KEY)
        if text is None:
            raise ValueError(f"{file} must say what it shows; docs/pictures.py draws such a one.")
        description = json.loads(text)
        if description.pop("pixels") != _hash(image):
            raise ValueError(f"{file} must have the pixels that its description is of.")
    return description


def _hash(image: Image.Image) -> str:
    return hashlib.sha256(image.convert("RGBA").tobytes()).hexdigest()


def save(drawn: Path, figure: Figure, file: Path) -> None:
    """Put the description into a picture that was drawn."""
    with Image.open(drawn) as image:
        information = PngInfo()
        text = json.dumps(describe(figure) | {"pixels": _hash(image)})
        information.add_itxt(KEY, text, zip=True)
        image.save(file, pnginfo=information, dpi=image.info["dpi"], optimize=True)


def main() -> None:
    """Draw all pictures."""
    matplotlib.use("Agg")
    for name, draw in PICTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / name
            save(drawn, draw(drawn), FOLDER / name)
        print(FOLDER / name)


if __name__ == "__main__":
    main()

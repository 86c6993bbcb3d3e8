"""The pictures of the README and the guide show what the package draws."""

import copy
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

FILE = Path(__file__).parents[2] / "docs" / "pictures.py"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the tests are away from the sources")


def pictures() -> ModuleType:
    """The command that draws them, as a module."""
    spec = importlib.util.spec_from_file_location("pictures", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_experiment_draws_the_picture(tmp_path):
    command = pictures()
    committed = command.shown(FILE.parent / "sharpness.png")
    drawn = tmp_path / "drawn.png"
    command.save(drawn, command.draw_sharpness(drawn), tmp_path / "again.png")
    assert command.differences(committed, command.shown(tmp_path / "again.png")) == []
    assert len(committed["axes"][0]["bands"]) == 6
    assert sum(len(line["x"]) for line in committed["axes"][0]["lines"]) > 60


def test_what_another_drawing_would_change_is_found():
    command = pictures()
    for name in command.PICTURES:
        old = command.shown(FILE.parent / name)
        assert command.differences(old, old) == []
        for change in (reordered, relabelled, moved, recoloured, cut_short):
            new = copy.deepcopy(old)
            change(new)
            assert command.differences(old, new) != [], change.__name__
    old = command.shown(FILE.parent / "sharpness.png")
    new = copy.deepcopy(old)
    band = new["axes"][0]["bands"][0]
    band["lower"] = [value * 100 for value in band["lower"]]
    band["upper"] = [value * 100 for value in band["upper"]]
    assert len(command.differences(old, new)) == len(band["x"])


def test_where_rounding_puts_a_hollow_point_is_no_difference():
    command = pictures()
    old = command.shown(FILE.parent / "sharpness.png")
    new = copy.deepcopy(old)
    for line in new["axes"][0]["lines"]:
        if line["look"][0] == "#cc79a7" and len(line["x"]) > 2:  # never settles
            line["y"] = [2 * value for value in line["y"]]
    assert new != old
    assert command.differences(old, new) == []


def reordered(picture):
    picture["legend"].reverse()


def relabelled(picture):
    picture["axes"][0]["labels"][0] += "s"


def moved(picture):
    line = next(line for line in picture["axes"][0]["lines"] if len(line["x"]) > 2)
    line["y"][0] *= 1.001


def recoloured(picture):
    picture["axes"][0]["lines"][0]["look"][0] = "#123456"


def cut_short(picture):
    for values in (picture["axes"][0]["lines"][0][name] for name in "xy"):
        values.pop()


def test_a_picture_that_says_nothing_or_of_other_pixels(tmp_path):
    command = pictures()
    source = FILE.parent / "sharpness.png"
    with Image.open(source) as image:
        image.save(tmp_path / "silent.png")
    with pytest.raises(ValueError, match="must say what it shows"):
        command.shown(tmp_path / "silent.png")
    with Image.open(source) as image:
        information = command.PngInfo()
        information.add_itxt(command.KEY, image.info[command.KEY])
        image.putpixel((3, 3), (255, 0, 0, 255))
        image.save(tmp_path / "other.png", pnginfo=information)
    with pytest.raises(ValueError, match="must have the pixels"):
        command.shown(tmp_path / "other.png")

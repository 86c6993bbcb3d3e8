"""The report: what it says, and how it looks in a browser."""

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from deeplinear.experiments import claims
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.report import write
from small import quick_of

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
VOID = {"meta", "link", "img", "source", "br"}
HOSTILE = '<script>alert(1)</script> & "quotes"'


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Small versions of all experiments but the nonlinear, and one with a hostile title."""
    directory = tmp_path_factory.mktemp("report")
    for name in PRESETS:
        if name != "gelu":
            dataset = quick_of(name)
            if name == "plain-curves":
                dataset = dataset.assign_attrs(title=HOSTILE)
            reproduce.save(dataset, directory)
    write(directory)
    return directory


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[key] for key in ("href", "src", "srcset") if key in found]
        if tag in ("img", "source"):
            self.images.append(found.get("src") or found["srcset"])
        assert tag != "img" or found["alt"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_needs_nothing_else(folder):
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert len(set(page.ids)) == len(page.ids)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "http" not in re.sub(r"data:[^\"]+", "", text)
    drawn = sum(len(preset.figures) for name, preset in PRESETS.items() if name != "gelu")
    assert len(page.images) == 4 * drawn  # wide and narrow, light and dark
    for image in page.images:
        svg = base64.b64decode(image.removeprefix("data:image/svg+xml;base64,"))
        assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert HOSTILE in page.text
    assert "<script" not in text


def test_the_same_data_give_the_same_page(folder, tmp_path):
    for name in ("plain-curves-quick.nc", "tightness-quick.nc"):
        shutil.copy(folder / name, tmp_path)
    first = write(tmp_path).read_bytes()
    assert write(tmp_path).read_bytes() == first


def test_every_claim_has_a_verdict(folder):
    page = Page((folder / "index.html").read_text())
    for number, statement in claims.CLAIMS.items():
        assert f"{number}. {statement}" in page.text
    tested = {
        row.claim
        for path in folder.glob("*.nc")
        for row in claims.rows(xr.load_dataset(path, engine="h5netcdf"))
        if row.agrees is not None
    }
    assert tested == {1, 2, 3, 4, 5, 6, 8}


def test_a_claim_that_the_data_break_disagrees(folder):
    dataset = xr.load_dataset(folder / "plain-quick.nc", engine="h5netcdf")

    def verdicts(data: xr.Dataset, claim: int, words: str) -> list[bool | None]:
        return [r.agrees for r in claims.rows(data) if r.claim == claim and words in r.quantity]

    assert verdicts(dataset, 1, "over 2La") == [True]
    assert verdicts(dataset, 1, "rate above") == [True]
    assert verdicts(dataset, 5, "largest final") == [True]
    flat = dataset.copy(deep=True)
    flat["sharpness"][:, -1] *= 0.1
    assert verdicts(flat, 1, "over 2La") == [False]
    sharp = dataset.copy(deep=True)
    sharp["sharpness"][:, -1] *= 10
    assert verdicts(sharp, 5, "largest final") == [False]
    reached = dataset.copy(deep=True)
    reached["reached"][:] = True
    assert verdicts(reached, 1, "rate above") == [False]


def test_a_directory_without_data_is_refused(tmp_path):
    (tmp_path / "x.nc").write_bytes(b"no data")
    with pytest.raises(ValueError, match="directory must hold data of an experiment"):
        write(tmp_path)


CHECK = """<script>
addEventListener("load", () => {
  const images = [...document.images];
  const broken = images.filter(i => !(i.complete && i.naturalWidth > 0)).length;
  const root = document.documentElement;
  const tall = images.filter(i => i.naturalHeight > i.naturalWidth).length;
  const right = Math.max(...images.map(i => i.getBoundingClientRect().right));
  const width = Math.min(...images.map(i => i.clientWidth / i.naturalWidth));
  const ground = getComputedStyle(document.body).backgroundColor;
  parent.postMessage(`images ${images.length} broken ${broken} tall ${tall} ` +
    `overflow ${Math.max(root.scrollWidth, right) - root.clientWidth} ` +
    `size ${Math.floor(100 * width)} ground ${ground}`, "*");
});
</script>"""
# A window of Chromium is at least 500 pixels wide.
FRAME = """<iframe src="page.html" style="width: {width}px; height: 2000px; border: 0"></iframe>
<script>addEventListener("message", event => {{ document.title = event.data; }});</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(folder, tmp_path, width, scheme):
    page = tmp_path / "page.html"
    page.write_text((folder / "index.html").read_text().replace("</body>", CHECK + "</body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width))
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        "--window-size=1400,2000", "--virtual-time-budget=20000", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    names = ("images", "broken", "tall", "overflow", "size")
    words = " ".join(rf"{name} (-?\d+)" for name in names)
    found = re.search(rf"<title>{words} ground rgb\((\d+)", done.stdout)
    assert found
    images, broken, tall, overflow, size, red = map(int, found.groups())
    drawn = sum(len(preset.figures) for name, preset in PRESETS.items() if name != "gelu")
    assert (images, broken) == (drawn, 0)
    assert overflow <= 0  # nothing is out of sight
    assert (tall == drawn) == (width == 360)  # the legend is below
    assert size >= 90  # per cent: letters can be read
    assert (red < 128) == (scheme == "dark")


def test_rows_of_an_unknown_experiment(folder):
    dataset = xr.load_dataset(folder / "plain-quick.nc", engine="h5netcdf")
    dataset.attrs["experiment"] = "mine"
    assert {row.claim for row in claims.rows(dataset)} == {1, 5}
    dataset.attrs["activation"] = "gelu"
    assert {row.claim for row in claims.rows(dataset)} == {7}
    assert np.isfinite(claims.CONVERGED)

import re
from importlib import resources
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import xarray as xr

from deeplinear.experiments import figures
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import FIGURE_NAMES
from small import quick_of

NAMES = {
    f"{name}.{end}"
    for name in ("sharpness", "distance", "divergence")
    for end in ("pdf", "png", "svg")
}


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return quick_of("plain")


def test_the_same_data_give_the_same_files(dataset, tmp_path):
    before = dict(matplotlib.rcParams)
    first = figures.draw(dataset, tmp_path / "a", "x")
    saved = reproduce.save(dataset, tmp_path)
    second = figures.draw(xr.load_dataset(saved, engine="h5netcdf"), tmp_path / "b", "x")
    assert {path.name.removeprefix("x-") for path in first} == NAMES
    assert {path.name for path in (tmp_path / "a").iterdir()} == {path.name for path in first}
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        head = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}[one.suffix]
        assert one.read_bytes().startswith(head)
    assert dict(matplotlib.rcParams) == before


def curves(figure) -> dict[str, np.ndarray]:
    """Points (2, n) of the labelled lines of a figure."""
    (axes,) = figure.axes
    lines = (line for line in axes.lines if not line.get_label().startswith("_"))
    return {line.get_label(): np.array(line.get_data()) for line in lines}


def test_lines_show_medians_and_leave_out_what_diverged(dataset):
    drawn = curves(figures.sharpness(dataset))
    assert len(drawn) == 6
    for rate in (0.005, 0.2):
        scales, values = drawn[rf"final, $\eta = {rate:g}$"]
        expected = {}
        for scale in PLAIN.quick().scales:
            cell = dataset.isel(
                run=(dataset.learning_rate.values == rate) & (dataset.scale.values == scale)
            )
            end = cell.sharpness.sel(record="end").values
            if not np.isnan(end).all():
                expected[scale] = np.nanmedian(end)
        np.testing.assert_allclose(scales, list(expected))
        np.testing.assert_allclose(values, list(expected.values()))
    assert len(drawn[r"final, $\eta = 0.2$"][0]) < 4
    assert len(drawn["initial"][0]) == 4


def test_divergence_has_a_point_at_every_scale(dataset):
    for scales, shares in curves(figures.divergence(dataset)).values():
        np.testing.assert_allclose(scales, PLAIN.quick().scales)
        assert shares[0] == 0
        assert shares[-1] > 0.5


def test_legends_do_not_cover_data(dataset):
    with figures.style():
        for key in PLAIN.figures:
            figure = figures.FIGURES[key](dataset)
            figure.draw_without_rendering()
            (legend,) = figure.legends
            assert legend.get_window_extent().x0 >= figure.axes[0].get_window_extent().x1
            assert figure.bbox.containsx(legend.get_window_extent().x1)


def test_data_of_which_every_run_diverged_can_be_drawn(dataset, tmp_path):
    lost = dataset.isel(run=dataset.status.values == "diverged")
    assert len(figures.draw(lost, tmp_path)) == 9


def test_without_matplotlib_one_sentence_says_what_to_install(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("deeplinear._support.files.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"matplotlib.*pip install 'deeplinear\[all\]'"):
        figures.draw(dataset, tmp_path)
    with pytest.raises(ImportError, match=r"h5netcdf and h5py.*pip install 'deeplinear\[all\]'"):
        reproduce.save(dataset, tmp_path)


ALL = [
    (name, figure)
    for name, preset in PRESETS.items()
    if name != "gelu"
    for figure in preset.figures
]


def test_every_figure_is_drawn_by_some_experiment():
    assert {figure for preset in PRESETS.values() for figure in preset.figures} == set(
        figures.FIGURES
    )
    assert set(figures.FIGURES) == set(FIGURE_NAMES)


def test_every_figure_in_the_folder_is_in_the_list():
    folder = Path(figures.__file__).parent
    found = {file.stem for file in folder.glob("*.py") if "\nDRAWING = " in file.read_text()}
    listed = {drawing.draw.__module__.rpartition(".")[2] for drawing in figures.FIGURES.values()}
    assert found == listed
    assert all(name == drawing.name for name, drawing in figures.FIGURES.items())


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(("name", "key"), ALL)
def test_every_figure_is_labelled_and_clips_no_text(name, key, narrow):
    with figures.style(narrow=narrow):
        figure = figures.FIGURES[key](quick_of(name))
        figure.draw_without_rendering()
        width, height = figure.bbox.width, figure.bbox.height
        for axes in figure.axes:
            assert axes.get_ylabel()
            assert any(len(line.get_xdata()) for line in axes.lines), "an empty panel"
            for line in axes.lines:
                assert np.isfinite(np.asarray(line.get_ydata(), dtype=float)).all()
        assert any(axes.get_xlabel() for axes in figure.axes)
        for text in figure.findobj(matplotlib.text.Text):
            if not text.get_text() or not text.get_visible():
                continue
            box = text.get_window_extent()
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            # Tick labels beyond the axes' limits are not drawn.
            assert inside or _is_hidden_tick(text, figure)
        (box,) = (legend.get_window_extent() for legend in figure.legends)
        for axes in figure.axes:
            panel = axes.get_window_extent()
            assert panel.y0 >= box.y1 if narrow else panel.x1 <= box.x0
        assert panel.height > figure.dpi
        assert (width == 3.5 * figure.dpi) == narrow
    assert figures.caption(key)[0].isupper()


def _is_hidden_tick(text, figure) -> bool:
    ticks = [t for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for t in axis.get_ticklabels(which="both")]  # fmt: skip
    return any(text is tick for tick in ticks)


@pytest.mark.parametrize("dark", [False, True])
def test_svg_is_the_same_every_time_and_has_no_ground(dark):
    first, second = (figures.svg(quick_of("plain-curves"), "curves", dark=dark) for _ in "ab")
    assert first == second
    assert "<text" not in first  # paths: no font is needed
    assert ("#e8e8e8" in first) == dark


def luminance(color: str) -> float:
    """Of WCAG, from 0 to 1."""
    parts = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("narrow", [False, True])
def test_on_a_dark_page_ink_is_light_and_discs_are_hollow(narrow):
    css = (resources.files("deeplinear.experiments.report") / "style.css").read_text()
    ground = re.findall(r"--page: (#[0-9a-f]{6})", css)[1]
    for name, key in (("plain", "sharpness"), ("alignment", "alignment-curves")):
        svg = figures.svg(quick_of(name), key, dark=True, narrow=narrow)
        light = figures.svg(quick_of(name), key, narrow=narrow)
        assert ("fill: #ffffff" in light) == (f"fill: {ground}" in svg) == (name == "plain")
        assert "#ffffff" not in svg
        colors = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg)) - {ground, "#3a3a3a"}
        assert len(colors) > 3
        for color in colors:  # of the ink and of the lines
            assert (luminance(color) + 0.05) / (luminance(ground) + 0.05) > 3, color
        # The drawing is the same.
        assert re.sub("#[0-9a-f]{6}", "", svg).replace(' fill=""', "") == re.sub(
            "#[0-9a-f]{6}", "", light
        )

"""The phase diagram, drawn from shares that are known everywhere."""

import io

import numpy as np
import pytest
import xarray as xr

from deeplinear.experiments import figures


def points_of(x: np.ndarray, y: np.ndarray, share: np.ndarray, **coords) -> xr.Dataset:
    """Points as `refine` returns them, x geometric."""
    return xr.Dataset(
        {"share": ("point", share, {"long_name": "share of seeds that diverged"})},
        {
            "level": ("point", np.arange(x.size) % 3),
            "scale": ("point", x, {"spacing": "geometric"}),
            "learning_rate": ("point", y, {"spacing": "arithmetic"}),
            **coords,
        },
    )


@pytest.fixture
def points() -> xr.Dataset:
    """A grid with more points near y = 1 / x, and the share 1/2 where x y = 1."""
    x, y = np.meshgrid(np.geomspace(0.25, 4, 17), np.linspace(0, 3, 13))
    t = np.geomspace(1 / 3, 4, 200)
    x = np.concatenate([x.ravel(), *(t for _ in range(5))])
    y = np.concatenate([y.ravel(), *(f / t for f in (0.9, 0.95, 1.0, 1.05, 1.1))])
    inside = y <= 3
    x, y = x[inside], y[inside]
    return points_of(x, y, np.clip(0.5 + (x * y - 1), 0, 1))


def lines(figure) -> np.ndarray:
    """The vertices of the boundary."""
    areas, line = figure.axes[0].collections
    assert len(areas.get_paths()) == 20
    return np.concatenate([path.vertices for path in line.get_paths()])


def test_the_boundary_is_drawn_where_the_share_is_one_half(points):
    with figures.style():
        figure = figures.phase_diagram(points)
    line = lines(figure)
    np.testing.assert_allclose(line[:, 0] * line[:, 1], 1, rtol=2e-2)
    assert line[:, 0].min() < 0.36
    assert line[:, 0].max() == 4
    axes, bar = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("scale", r"learning rate $\eta$")
    assert bar.get_ylabel() == "share of seeds that diverged"
    assert bar.get_ylim() == pytest.approx((0, 1))


def test_dimensions_stand_where_they_are_asked_for(points):
    for options in ({"x": "learning_rate"}, {"y": "scale"}):
        with figures.style(narrow=True):
            axes = figures.phase_diagram(points, **options).axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == (r"learning rate $\eta$", "scale")
        assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")


def test_all_of_it_is_drawn_in_lines_and_areas(points):
    with figures.style():
        figure = figures.phase_diagram(points)
        file = io.StringIO()
        figure.savefig(file, format="svg")
    assert "<image" not in file.getvalue()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_a_boundary_all_has_one_colour(points, share):
    points["share"] = points["share"] * 0 + share
    with figures.style():
        (areas,) = figures.phase_diagram(points).axes[0].collections
    full = [len(path.vertices) > 0 for path in areas.get_paths()]
    assert np.flatnonzero(full).tolist() == [19 if share else 0]


def test_points_that_are_not_finished_are_left_out(points):
    with figures.style():
        before = lines(figures.phase_diagram(points))
        more = points_of(np.array([1.0, 1.01]), np.array([0.5, 0.51]), np.array([np.nan, np.nan]))
        both = xr.concat([points, more], "point")
        after = lines(figures.phase_diagram(both))
    np.testing.assert_array_equal(before, after)


def test_other_dimensions_must_be_selected(points):
    depth = np.arange(points.sizes["point"]) % 2 + 2
    several = points.assign_coords(depth=("point", depth))
    with pytest.raises(
        ValueError, match=r"^points must differ in two dimensions of numbers.*depth"
    ):
        figures.phase_diagram(several)
    with figures.style():
        figures.phase_diagram(several.where(several.depth == 2, drop=True))
    with pytest.raises(ValueError, match=r"points must differ in two dimensions.*; got scale\.$"):
        figures.phase_diagram(points.isel(point=points.learning_rate.values == 0.25))
    with pytest.raises(ValueError, match=r"points must not lie on one line"):
        figures.phase_diagram(
            points.isel(point=[0, 18, 36]).assign_coords(
                scale=("point", [1.0, 2.0, 3.0]), learning_rate=("point", [1.0, 2.0, 3.0])
            )
        )
    with pytest.raises(ValueError, match=r"x must be one of 'scale', 'learning_rate'; got 'depth'"):
        figures.phase_diagram(points, x="depth")
    with pytest.raises(ValueError, match=r"x and y must be two dimensions; got 'scale' twice"):
        figures.phase_diagram(points, "scale", "scale")

"""Which cells are halved, against a loop over all points of the finest grid."""

from itertools import pairwise, product

import numpy as np
import pytest

from deeplinear.store.halving import UNIT, Axis, Halving


def refined(function, axes: list[Axis], levels: int, most: float = 0) -> list[list[tuple]]:
    """The points that each level adds, as values."""
    nodes = product(*(range(len(axis)) for axis in axes))
    counts = [function(*values_at(axes, [UNIT * i for i in node])) for node in nodes]
    halving = Halving(axes, np.reshape(counts, [len(axis) for axis in axes]), most)
    found = []
    for _ in range(levels):
        points = halving.halve()
        assert points == sorted(set(points))
        found.append([values_at(axes, point) for point in points])
        halving.learn(points, [function(*values) for values in found[-1]])
    return found


def values_at(axes, position):
    return tuple(axis.value(x) for axis, x in zip(axes, position, strict=True))


def by_all_points(function, width: int, height: int, levels: int) -> list[set[tuple]]:
    """The same on cells of one unit: whatever is known on a cell decides."""
    fine = 2**levels
    known = {(fine * i, fine * j) for i in range(width + 1) for j in range(height + 1)}
    cells = {(fine * i, fine * j, fine) for i in range(width) for j in range(height)}
    found = []
    for _ in range(levels):
        asked: set[tuple] = set()
        for x, y, size in sorted(cells):
            on = [p for p in known if x <= p[0] <= x + size and y <= p[1] <= y + size]
            if len({function(a / fine, b / fine) for a, b in on}) > 1:
                half = size // 2
                cells.remove((x, y, size))
                cells |= {(x + i * half, y + j * half, half) for i in (0, 1) for j in (0, 1)}
                asked |= {(x + i * half, y + j * half) for i in range(3) for j in range(3)}
        found.append({(a / fine, b / fine) for a, b in asked - known})
        known |= asked
    return found


SHAPES = {
    "a circle": lambda x, y: int((x - 1.9) ** 2 + (y - 1.6) ** 2 < 1),
    # Between the corners of the cells above it, which agree
    "a peak": lambda x, y: int(y < 1.3 + 1.1 * np.exp(-(((x - 1.55) / 0.2) ** 2))),
    "three regions": lambda x, y: int(x + y > 3) + int(x > 2.2),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_points_are_those_of_a_loop_over_all(shape):
    axes = [Axis("x", [float(i) for i in range(5)]), Axis("y", [float(i) for i in range(4)])]
    points = refined(SHAPES[shape], axes, 4)
    assert [set(level) for level in points] == by_all_points(SHAPES[shape], 4, 3, 4)
    assert len(points[-1]) > 20


def test_a_peak_between_corners_is_followed():
    axes = [Axis("x", [float(i) for i in range(5)]), Axis("y", [float(i) for i in range(4)])]
    points = {point for level in refined(SHAPES["a peak"], axes, 6) for point in level}
    assert max(y for x, y in points if SHAPES["a peak"](x, y)) > 2.3


def test_points_grow_with_the_length_of_the_boundary():
    axes = [Axis(name, np.linspace(0, 1, 21).tolist()) for name in "xy"]
    points = refined(lambda x, y: int(x**2 + y**2 > 0.5), axes, 5)
    counts = [len(level) for level in points]
    assert sum(counts) < 4000  # of 641^2
    assert all(1.8 < b / a < 2.2 for a, b in pairwise(counts))


def test_a_point_that_does_not_differ_by_more_halves_nothing():
    axes = [Axis("x", [0.0, 1.0])]
    assert refined(lambda x: int(20 * x), axes, 1, most=19.9) == [[(0.5,)]]
    assert refined(lambda x: int(20 * x), axes, 1, most=20) == [[]]


def test_kept_dimensions_stay_apart():
    axes = [Axis("depth", [2, 5]), Axis("x", [1.0, 0.0]), Axis("method", ["rk4", "euler"])]
    points = refined(
        lambda depth, x, method: int(depth == 5 and method == "rk4" and x > 0.3), axes, 3
    )
    expected = [[(5, x, "rk4")] for x in (0.5, 0.25, 0.375)]
    assert points == expected


@pytest.mark.parametrize(
    ("values", "halved", "middle"),
    [
        ([0.0, 1.0, 2.0], True, [0.5, 1.5]),
        ([2.0, 0.0, 1.0], True, [0.5, 1.5]),
        ([1.0, 4.0], True, [2.5]),  # two say nothing of ratios
        ([1.0, 4.0, 16.0], True, [2.0, 8.0]),
        ([1.0, 2.0, 5.0, 10.0], True, [2**0.5, 10**0.5, 50**0.5]),
        ([0.0, 1.0, 4.0], True, [0.5, 2.5]),
        ([-4.0, -2.0, -1.0], True, [-3.0, -1.5]),
        (np.geomspace(0.01, 1, 3).tolist(), True, [0.01**0.75, 0.1**0.5]),
        ([1.0], False, []),
        ([1, 2], False, []),
        ([False, True], False, []),
        (["a", "b"], False, []),
    ],
)
def test_what_lies_half_between(values, halved, middle):
    axis = Axis("x", values)
    assert axis.halved == halved
    between = [axis.value(UNIT * i + UNIT // 2) for i in range(len(middle))]
    np.testing.assert_allclose(between, middle, rtol=1e-15)
    if halved:
        assert [axis.value(UNIT * i) for i in range(len(values))] == sorted(values)


def test_numbers_end():
    axis = Axis("x", [1.0, 1.0 + 2**-50])
    assert axis.value(UNIT // 4) == 1.0 + 2**-52
    with pytest.raises(
        ValueError, match=r"levels must be fewer: no number lies half between 1\.0 "
    ):
        axis.value(UNIT // 8)

"""Experiments as data: their settings, their checks and the laws of their data."""

import dataclasses
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import deeplinear as dl
from deeplinear import experiments, init
from deeplinear.experiments.library import PAPER, PLAIN, PRESETS, THEORY
from deeplinear.experiments.preset import (
    FIGURE_NAMES,
    FIGURE_NEEDS,
    Architecture,
    GaussianData,
    Preset,
    SpectralData,
    Training,
)

DESCENT = dl.GradientDescent(0.1)


def descents(preset: Preset) -> list[tuple[float, int, int]]:
    """(learning rate, steps, runs) of every part."""
    return [(t.dynamics.learning_rate, t.steps, t.runs) for t in preset.training]


def test_the_paper_has_seven_experiments_and_the_theory_four():
    assert [p.name for p in PAPER] == [
        "plain", "plain-curves", "residual", "residual-curves", "residual-depths",
        "underdetermined", "gelu",
    ]  # fmt: skip
    assert [p.name for p in THEORY] == [
        "alignment", "flow-and-descent", "residual-theory", "tightness",
    ]  # fmt: skip
    assert list(PRESETS.values()) == [*PAPER, *THEORY]
    assert all(PRESETS[p.name] is p for p in PRESETS.values())
    assert sum(p.steps for p in PAPER) == pytest.approx(95.3e6, rel=1e-3)


def test_plain_has_the_settings_of_the_paper():
    assert (PLAIN.data.n, PLAIN.data.d, PLAIN.data.noise) == (50, 5, 1.0)
    assert PLAIN.network == Architecture("plain", (10,), "identity")
    assert PLAIN.network.network(5, 10, 0).widths == (5,) * 10 + (1,)
    assert isinstance(PLAIN.init, init.Gaussian)
    np.testing.assert_allclose(PLAIN.scales, np.linspace(0.25, 0.6, 10))
    assert descents(PLAIN) == [
        (0.005, 40_000, 20),
        (0.02, 10_000, 20),
        (0.07, 4_000, 20),
        (0.1, 4_000, 20),
        (0.2, 2_000, 80),
    ]
    assert (PLAIN.runs, PLAIN.steps) == (1_600, 13_200_000)


def test_the_others_have_the_settings_of_the_paper():
    residual, depths = PRESETS["residual"], PRESETS["residual-depths"]
    assert residual.init == init.Residual(np.linspace(0, 1.7, 10))
    assert descents(residual) == [(r, 4_000, 20) for r in (0.005, 0.02, 0.07, 0.1, 0.2)]
    assert depths.network.depths == (5, 10, 20, 40)
    (part,) = depths.training
    np.testing.assert_allclose(part.learning_rates, np.logspace(-2, -0.3, 25))
    assert (part.steps, part.runs, depths.scales) == (1_000, 50, (0.25,))
    for name, kind, scale, steps in (
        ("plain-curves", "plain", 0.35, 450),
        ("residual-curves", "residual", 0.5, 400),
    ):
        preset = PRESETS[name]
        (part,) = preset.training
        assert (preset.network.kind, preset.scales) == (kind, (scale,))
        assert part == Training(dl.GradientDescent((0.02, 0.1)), 1, steps=steps, every=5)
    under, gelu = PRESETS["underdetermined"], PRESETS["gelu"]
    assert under.data == GaussianData(15, 20, 1.0)
    assert under.network.depths == (5,)
    assert descents(under) == [(0.001, 40_000, 100), (0.004, 10_000, 20), (0.01, 4_000, 20)]
    assert under.record == ("risk", "test_risk", "distance", "sharpness")
    np.testing.assert_allclose(under.scales, np.linspace(0.1, 0.36, 9))
    assert gelu.data == GaussianData(50, 5, 0.0)
    assert gelu.network == Architecture("plain", (10,), "gelu")
    assert descents(gelu) == [(0.005, 160_000, 20), (0.02, 40_000, 20), (0.07, 16_000, 20)]
    np.testing.assert_allclose(gelu.scales, np.linspace(0.428, 0.7, 8))
    assert gelu.record == ("risk", "sharpness")


def test_every_figure_is_asked_for():
    asked = {figure for preset in PRESETS.values() for figure in preset.figures}
    assert asked == set(FIGURE_NAMES) == set(FIGURE_NEEDS)


def test_presets_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRESETS["plain"] = PLAIN  # type: ignore[index]
    assert hash(PLAIN) == hash(dataclasses.replace(PLAIN))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_the_quick_version_is_smaller(preset):
    quick = preset.quick()
    assert quick.name == f"{preset.name}-quick"
    assert quick.runs <= preset.runs
    assert quick.runs <= 300
    assert set(quick.scales) <= set(preset.scales)
    assert set(quick.network.depths) <= set(preset.network.depths)
    assert quick.data.problems(0)[0].labels == preset.data.problems(0)[0].labels


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("d", [2, 5, 9])
def test_spectral_data_have_exactly_the_asked_spectrum(d, seed):
    data = SpectralData(n=12, d=d, condition=(1, 3, 100), along=("top", "bottom"))
    problems = data.problems(seed)
    assert len(problems) == data.count == 6
    for problem in problems:
        r, condition = problem.regression, problem.labels["condition"]
        expected = np.geomspace(1 / condition, 1, d)
        np.testing.assert_allclose(np.linalg.eigvalsh(r.covariance), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(r.eigenvalues, expected, rtol=1e-12)
        assert np.linalg.norm(r.minimizer) == pytest.approx(1, abs=1e-12)
        assert r.minimum_risk < 1e-25
        curvature = 1.0 if problem.labels["along"] == "top" else 1 / condition
        np.testing.assert_allclose(
            r.covariance @ r.minimizer, curvature * r.minimizer, rtol=0, atol=1e-13
        )
        assert dl.theory.curvature_along_minimizer(r) == pytest.approx(curvature, rel=1e-12)


def test_spectral_problems_share_their_directions_and_depend_on_the_seed():
    data = SpectralData(n=12, d=5, condition=(2, 10), along=("top", "bottom"))
    first, *_, last = (p.regression for p in data.problems(0))
    # C of all problems commute: they have the same eigenvectors
    commutator = first.covariance @ last.covariance - last.covariance @ first.covariance
    assert np.abs(commutator).max() < 1e-15
    part = SpectralData(n=12, d=5, condition=10, along="bottom").problems(0)
    assert [p.labels for p in part] == [{"condition": 10.0, "along": "bottom"}]
    np.testing.assert_array_equal(part[0].regression.X, last.X)
    assert (data.problems(1)[0].regression.X != first.X).all()


def test_networks_of_both_kinds():
    assert Architecture("plain", (3,)).network(4, 3, 0) == dl.Network((4, 4, 4, 1))
    residual = Architecture("residual", (3, 8))
    deep, shallow = residual.network(4, 8, 5), residual.network(4, 3, 5)
    assert deep.widths == (4,) * 9
    assert np.linalg.norm(deep.readout) == pytest.approx(1, rel=1e-15)
    np.testing.assert_array_equal(deep.readout, shallow.readout)
    assert (residual.network(4, 3, 6).readout != deep.readout).all()
    assert Architecture("plain", (3,), "gelu").network(4, 3, 0).activation == "gelu"


def test_runs_and_steps_count_every_cell():
    preset = Preset(
        name="counted",
        title="",
        data=SpectralData(10, 3, (1, 2), ("top", "bottom")),
        network=Architecture("residual", (2, 3, 4)),
        init=init.Residual((0.0, 0.1)),
        training=(
            Training(dl.GradientDescent((0.1, 0.2)), 5, steps=7),
            Training(dl.GradientFlow(), 3, time=1, scale=0.5),
        ),
    )
    assert preset.runs == 4 * 3 * (2 * 2 * 5 + 3)
    assert preset.steps == 4 * 3 * 2 * 2 * 5 * 7


BAD = [
    (lambda: GaussianData(0, 5, 1.0), ValueError, "n must be a positive integer; got 0"),
    (lambda: GaussianData(5, 5, -1.0), ValueError, "noise must be a non-negative"),
    (lambda: SpectralData(5, 6, 2, "top"), ValueError, "n must be at least d = 6"),
    (lambda: SpectralData(5, 1, 2, "top"), ValueError, "d must be at least 2"),
    (lambda: SpectralData(5, 3, 0.5, "top"), ValueError, "condition must be at least 1; got 0.5"),
    (lambda: SpectralData(5, 3, (2, 2), "top"), ValueError, "condition must be different values"),
    (lambda: SpectralData(5, 3, 2, "left"), ValueError, "along must be one of 'top', 'bottom'"),
    (lambda: Architecture("wide"), ValueError, "kind must be one of 'plain', 'residual'"),
    (lambda: Architecture(depths=(3, 0)), ValueError, r"depths\[1\] must be a positive integer"),
    (lambda: Architecture(activation="sine"), ValueError, "activation must be one of"),
    (lambda: Training("fast", 1, steps=1), TypeError, "dynamics must be of type"),
    (lambda: Training(DESCENT, 0, steps=1), ValueError, "runs must be a positive integer"),
    (lambda: Training(DESCENT, 1), TypeError, "steps must be a positive integer; got None"),
    (lambda: Training(DESCENT, 1, steps=1, time=1), ValueError, "time must not be given for"),
    (lambda: Training(DESCENT, 1, steps=9, every=0.5), TypeError, "every must be a positive int"),
    (lambda: Training(dl.GradientFlow(), 1, time=1, steps=2), ValueError, "steps must not be"),
    (
        lambda: Training(dl.GradientFlow(step=(0.1, 0.2)), 1, time=1),
        ValueError,
        "step must be one value here",
    ),
    (
        lambda: Training(dl.GradientDescent((0.1, 0.1)), 1, steps=1),
        ValueError,
        "learning_rate must be different values; got 0.1 twice",
    ),
    (lambda: changed(name="a/b"), ValueError, "name must be made of letters"),
    (lambda: changed(name=""), ValueError, "name must be made of letters"),
    (lambda: changed(name=3), TypeError, "name must be a text; got 3"),
    (lambda: changed(title="two\nlines"), ValueError, "title must be one line of text"),
    (lambda: changed(training=()), ValueError, "training must have at least one part"),
    (lambda: changed(training=(3,)), TypeError, r"training\[0\] must be of type Training"),
    (lambda: changed(record=("sharpness",)), ValueError, "record must hold 'risk'"),
    (lambda: changed(record=("risk", "speed")), ValueError, r"record\[1\] must be one of"),
    (lambda: changed(record="risk"), TypeError, "record must be a sequence of names"),
    (lambda: changed(record=("risk", 3)), TypeError, r"record\[1\] must be one of .*; got 3"),
    (lambda: changed(record=("risk:2",)), ValueError, r"record\[0\] must not have a count"),
    (
        lambda: changed(record=("risk", "eigenvalues:0")),
        ValueError,
        r"record\[1\] must have a positive integer for a count; got 'eigenvalues:0'",
    ),
    (
        lambda: changed(record=("risk", "eigenvalues:2", "eigenvalues")),
        ValueError,
        "record must be different values; got 'eigenvalues' twice",
    ),
    (lambda: changed(figures=("pie",)), ValueError, r"figures\[0\] must be one of"),
    (
        lambda: changed(figures=("generalization",)),
        ValueError,
        "figures must not hold 'generalization' where record lacks 'test_risk'",
    ),
    (
        lambda: changed(network=Architecture(activation="gelu")),
        ValueError,
        "record must not hold 'distance' where the network is not linear",
    ),
    (
        lambda: changed(data=SpectralData(5, 3, 2, "top"), record=("risk", "test_risk")),
        ValueError,
        "record must not hold 'test_risk' where there are no test data",
    ),
    (lambda: changed(seed=2**32), ValueError, "seed must be at most 4294967295"),
    (lambda: changed(init=init.Gaussian((0.2, 0.2))), ValueError, "scale must be different values"),
    (
        lambda: changed(training=(Training(DESCENT, 1, steps=1, scale=0.0),)),
        ValueError,
        r"scale\[0\] must be a positive",
    ),
    (
        lambda: changed(
            init=init.Identity(), training=(Training(DESCENT, 1, steps=1, scale=0.1),)
        ),
        ValueError,
        "scale must not be given for an initialization without one",
    ),
]  # fmt: skip


def changed(**fields: object) -> Preset:
    return dataclasses.replace(PLAIN, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("make", "error", "text"), BAD)
def test_bad_settings_get_one_sentence(make, error, text):
    with pytest.raises(error, match=text):
        make()


WITHOUT_MATPLOTLIB = """
import sys
sys.modules["matplotlib"] = None
import dataclasses
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.preset import FIGURE_NAMES
for preset in PRESETS.values():
    for name in FIGURE_NAMES:
        try:
            dataclasses.replace(preset, figures=(name,))
        except ValueError as error:
            print(preset.name, error)
"""


def test_what_figures_need_is_said_without_matplotlib():
    line = [sys.executable, "-W", "error", "-c", WITHOUT_MATPLOTLIB]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    refused = done.stdout.splitlines()
    assert "gelu figures must not hold 'distance' where record lacks 'distance'." in refused
    assert not any("'divergence'" in sentence for sentence in refused)


def test_modules_and_names_of_earlier_versions():
    for old, new in (
        ("presets", "library"),
        ("reproduce", "run"),
        ("figures", "figures"),
        ("report", "report"),
        ("claims", "claims"),
    ):
        module = import_module(f"deeplinear.experiments.{new}")
        assert import_module(f"deeplinear.{old}") is module
    for name in experiments.__all__:
        assert getattr(experiments, name) is not None
    assert tuple(experiments.FIGURE_NEEDS) == experiments.FIGURE_NAMES
    with pytest.raises(AttributeError, match="has no attribute 'Figure'"):
        experiments.Figure  # noqa: B018

"""A figure that an experiment asks for can be drawn of it, or is refused before the work."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import pytest

import deeplinear as dl
from deeplinear import init
from deeplinear.experiments import figures
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.preset import (
    FIGURE_NAMES,
    Architecture,
    GaussianData,
    Preset,
    SpectralData,
    Training,
)
from deeplinear.experiments.report import write
from deeplinear.experiments.toml import parse_preset, to_toml

DESCENT, FLOW = dl.GradientDescent((0.05, 0.1)), dl.GradientFlow("rk4", step=0.05)
PARTS = (
    Training(DESCENT, 2, steps=12),
    Training(DESCENT, 2, steps=12, every=4),
    Training(FLOW, 2, time=0.5),
    Training(FLOW, 2, time=0.5, every=5),
    Training(DESCENT, 3, steps=12),
)
GAUSSIAN, SPECTRAL = GaussianData(20, 3, 0.5), SpectralData(20, 3, (2, 4), ("top", "bottom"))


def preset(training: tuple[Training, ...], data: Any, *asked: str) -> Preset:
    record = [name for name in dl.RECORDABLE if data.tested or name != "test_risk"]
    network, law = Architecture("plain", (2, 3)), init.Gaussian((0.3, 0.5))
    return Preset("mine", "", data, network, law, training, tuple(record), asked)


@pytest.mark.parametrize("data", [GAUSSIAN, SPECTRAL], ids=["gaussian", "spectral"])
def test_what_is_not_refused_is_drawn(data: Any) -> None:
    """Of runs that reached nothing, too."""
    drawn = set()
    sizes = (1, 2) if data is GAUSSIAN else (1,)
    for training in chain.from_iterable(combinations(PARTS, n) for n in sizes):
        bare = preset(training, data)
        possible = [
            name
            for name, drawing in figures.FIGURES.items()
            if not drawing.lacking(bare.record, data, training)
        ]
        dataset = reproduce.run(preset(training, data, *possible), progress=False)
        with figures.style():
            for name in possible:
                figures.FIGURES[name](dataset).canvas.draw()
        drawn |= set(possible)
    needs_more = {"tightness"} if data is GAUSSIAN else {"generalization", "flow-and-descent"}
    assert drawn == set(FIGURE_NAMES) - needs_more


@pytest.mark.parametrize(
    ("figure", "training", "data", "reason"),
    [
        ("sharpness", PARTS[1:2], GAUSSIAN, "a part of the training has 'every'"),
        ("distance", PARTS[:2], GAUSSIAN, "a part of the training has 'every'"),
        ("depths", PARTS[1:2], GAUSSIAN, "a part of the training has 'every'"),
        ("depths", PARTS[2:3], GAUSSIAN, "a part of the training is gradient flow"),
        ("generalization", PARTS[1:2], GAUSSIAN, "a part of the training has 'every'"),
        ("generalization", PARTS[2:3], GAUSSIAN, "no part of the training is gradient descent"),
        ("curves", PARTS[2:4], GAUSSIAN, "a part of the training is gradient flow"),
        ("alignment-curves", PARTS[:3], GAUSSIAN, "no part of gradient flow has 'every'"),
        ("alignment-scales", PARTS[1:2], GAUSSIAN, "every part of the training has 'every'"),
        ("flow-and-descent", PARTS[:1], GAUSSIAN, "no part of the training is gradient flow"),
        ("flow-and-descent", PARTS[2:3], GAUSSIAN, "no part of the training is gradient descent"),
        ("flow-and-descent", PARTS[3:], GAUSSIAN, "gradient descent has more runs"),
        ("tightness", PARTS[:1], GAUSSIAN, "the data have no spectrum of their own"),
        ("generalization", PARTS[:1], SPECTRAL, "record lacks 'test_risk'"),
    ],
)
def test_what_cannot_be_drawn(
    figure: str, training: tuple[Training, ...], data: Any, reason: str
) -> None:
    message = f"figures must not hold '{figure}' where {reason}"
    with pytest.raises(ValueError, match=f"^{message}"):
        preset(training, data, figure)
    text = to_toml(preset(training, data)).replace(
        "figures = []", f'figures = ["divergence",\n"{figure}"]'
    )
    line = text.splitlines().index('figures = ["divergence",') + 1
    with pytest.raises(ValueError, match=f"^the preset, line {line}: {message}"):
        parse_preset(text)


def test_figures_of_other_versions(tmp_path: Any) -> None:
    """A stored experiment may ask for what this version does not have."""
    dataset = reproduce.run(preset(PARTS[:1], GAUSSIAN, "divergence"), progress=False)
    dataset.attrs["figures"] = "divergence pie"
    message = r"^figures of the dataset must be one of 'sharpness', .*; got 'pie'\.$"
    with pytest.raises(ValueError, match=message):
        figures.draw(dataset, tmp_path)
    assert not list(tmp_path.iterdir())
    for call in (figures.caption, lambda name: figures.svg(dataset, name)):
        with pytest.raises(ValueError, match=r"^name must be one of .*; got 'pie'\.$"):
            call("pie")
    reproduce.save(dataset, tmp_path)
    page = write(tmp_path).read_text(encoding="utf-8")
    assert "The figure pie is none of this version." in page
    assert page.count("<figure>") == 1

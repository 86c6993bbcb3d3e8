"""A preset is a sweep per part: the same runs, to the bit, and the same words."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear import claims, report, wording
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.figures import FIGURES
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.preset import (
    Architecture,
    FileData,
    GaussianData,
    Preset,
    SpectralData,
    Training,
)
from deeplinear.experiments.toml import parse_preset, read_preset, to_toml
from deeplinear.sweeps import run_sweep

SMALL = Preset(
    name="small",
    title="",
    data=SpectralData(12, 3, (2, 4), ("top", "bottom")),
    network=Architecture("plain", (2, 3), width=4),
    init=dl.init.Gaussian((0.3, 0.5)),
    training=(
        Training(dl.GradientDescent((0.05, 0.1)), 2, steps=30),
        Training(dl.GradientDescent(0.05, momentum=0.5), 1, steps=7, every=2),
        Training(dl.GradientFlow("rk4", step=0.05), 3, time=1.0, scale=0.4, tolerance=1e-3),
    ),
    record=("risk", "sharpness", "layer_norm"),
    seed=3,
)
NOISY = replace(
    SMALL,
    data=GaussianData(15, 3, (0.0, 1.0)),
    network=Architecture("residual", (3,)),
    init=dl.init.Residual(0.2),
    record=("risk", "test_risk", "distance"),
    training=SMALL.training[:1],
)


def of_cell(dataset: xr.Dataset, part: int, cell: xr.Dataset) -> xr.Dataset:
    """The run of an experiment that has the settings of a cell of a sweep."""
    chosen = dataset.part.values == part
    for name in cell.coords:
        if name in dataset.coords and dataset[name].dims == ("run",):
            chosen &= dataset[name].values == cell[name].item()
    (row,) = np.flatnonzero(chosen)
    return dataset.isel(run=row)


@pytest.mark.parametrize("preset", [SMALL, NOISY], ids=["spectral", "gaussian"])
def test_cells_of_the_experiment_are_those_of_its_sweeps(preset):
    dataset = reproduce.run(preset, progress=False).drop_dims("problem")
    sweeps = preset.sweeps()
    assert sum(sweep.runs for sweep in sweeps) == preset.runs == dataset.sizes["run"]
    for part, sweep in enumerate(sweeps):
        alone = run_sweep(sweep, progress=False)
        stacked = alone.stack(cell=list(sweep.axes))
        for i in range(stacked.sizes["cell"]):
            cell = stacked.isel(cell=i)
            run = of_cell(dataset, part, cell)
            assert str(run.status.item()) == str(cell.status.item())
            assert run.last_step == cell.last_step
            for name in preset.record:
                along = "step" if "step" in cell.dims else "time"
                expected = cell[name].transpose(..., along).values
                result = run[name].transpose(..., "record").values
                result = result[..., np.isfinite(run.time.values)]
                np.testing.assert_array_equal(result[..., [0, -1]], expected[..., [0, -1]])


@pytest.mark.parametrize(
    "preset", [SMALL, NOISY, *(p.quick() for p in PRESETS.values())], ids=lambda p: p.name
)
def test_from_toml_to_words_and_back(preset):
    for sweep in parse_preset(to_toml(preset)).sweeps():
        words = wording.words_of(sweep)
        again = wording.sweep_of(json.loads(wording.canonical(words)))
        assert wording.words_of(again) == words
        assert again.sizes == sweep.sizes
        assert again.axes["seed"] == sweep.axes["seed"]


def test_a_part_of_descent_records_shortly_before_its_end():
    first, second, third = SMALL.sweeps()
    assert (first.every, second.every, third.every) == (20, 2, None)
    assert first.axes["depth"] == (2, 3)
    assert second.axes["learning_rate"] == (0.05,)
    assert third.axes["seed"] == reproduce.initial_seeds(3, 3)
    assert third.axes["scale"] == (0.4,)
    assert [sweep.dtype for sweep in SMALL.sweeps("float32")] == ["float32"] * 3


def test_several_noises_are_several_problems():
    dataset = reproduce.run(NOISY, progress=False)
    assert dataset.sizes["problem"] == 2
    for j, noise in enumerate(NOISY.data.noise):
        expected = dl.gaussian_regression(15, 3, noise, NOISY.seed)
        np.testing.assert_array_equal(dataset.X[j], expected.X)
        np.testing.assert_array_equal(dataset.y[j], expected.y)
        assert set(dataset.noise.values[dataset.problem.values == j]) == {noise}
    problems = NOISY.data.problems(NOISY.seed)
    assert [problem.labels for problem in problems] == [{"noise": 0.0}, {"noise": 1.0}]
    assert GaussianData(5, 2, 1.0).problems(0)[0].labels == {}
    with pytest.raises(ValueError, match=r"noise must be different values; got 1\.0 twice"):
        GaussianData(5, 2, (1, 1.0))


def test_widths_reach_the_simulation():
    dataset = reproduce.run(SMALL, progress=False)
    network = SMALL.network.network(3, 3, SMALL.seed)
    assert network.widths == (3, 4, 4, 1)
    (run,) = np.flatnonzero(
        (dataset.part.values == 0) & (dataset.depth.values == 3) & (dataset.problem.values == 2)
        & (dataset.scale.values == 0.5) & (dataset.learning_rate.values == 0.1)
        & (dataset.seed.values == 4_000_001)
    )  # fmt: skip
    landscape = dl.Landscape(network, SMALL.data.problems(3)[2].regression)
    weights = dl.init.Gaussian(0.5).sample(network, 4_000_001)
    alone = dl.simulate(landscape, weights, dl.GradientDescent(0.1), steps=30, every=20)
    assert dataset.risk[run, -1] == alone.risk[0, -1]
    with pytest.raises(ValueError, match="width must be None where kind is 'residual'"):
        Architecture("residual", (3,), width=4)
    for bad in (0, -1):
        with pytest.raises(ValueError, match=f"width must be a positive integer; got {bad}"):
            Architecture(width=bad)
    with pytest.raises(ValueError, match="width must be one value here; got a sequence"):
        Architecture(width=(3, 4))


TEXT = """
name = "mine"
record = ["risk", "sharpness", "distance"]
figures = ["sharpness", "divergence"]
[data]
kind = "file"
path = "data/d.csv"
target = "price"
[network]
kind = "plain"
depth = [2, 3]
width = 4
[init]
kind = "gaussian"
scale = [0.2, 0.3]
[[training]]
dynamics = "gradient descent"
learning_rate = [0.01, 0.02]
steps = 40
runs = 2
"""


def own_file(folder: Path, values: str = "1,2,3\n0.5,1,2\n0,1.5,1\n2,0,1\n") -> Path:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "d.csv").write_text(f"a,price,b\n{values}", encoding="utf-8")
    path = folder / "mine.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_preset_of_own_data(tmp_path):
    preset = read_preset(own_file(tmp_path))  # from another folder than that of the file
    assert isinstance(preset.data, FileData)
    assert (preset.data.n, preset.data.d, preset.data.tested) == (4, 2, False)
    assert preset.network == Architecture("plain", (2, 3), width=4)
    digest = preset.data.sha256
    assert re.fullmatch("[0-9a-f]{64}", digest)
    dataset = reproduce.run(preset, progress=False)
    assert f'sha256 = "{digest}"' in dataset.attrs["preset"]
    assert 'path = "data/d.csv"' in dataset.attrs["preset"]
    np.testing.assert_array_equal(dataset.X[0], [[1, 3], [0.5, 2], [0, 1], [2, 1]])
    np.testing.assert_array_equal(dataset.y[0], [2, 1, 1.5, 0])
    assert (dataset.attrs["n"], dataset.attrs["d"]) == (4, 2)
    assert dataset.sizes["run"] == preset.runs == 16
    # another seed is of other weights, not of other data
    other = reproduce.run(preset, seed=1, progress=False)
    np.testing.assert_array_equal(other.X, dataset.X)
    assert (other.risk[:, 0] != dataset.risk[:, 0]).any()
    # what was written down reads the same data, and no others
    again = parse_preset(dataset.attrs["preset"], folder=str(tmp_path))
    assert again == preset
    own_file(tmp_path, "1,2,3\n0.5,1,2\n0,1.5,1\n2,0,1.5\n")
    with pytest.raises(ValueError, match=r"^the preset, line \d+: sha256 must be that of "):
        parse_preset(dataset.attrs["preset"], folder=str(tmp_path))
    assert read_preset(tmp_path / "mine.toml") != preset


def test_own_data_go_on_where_they_were_stopped(tmp_path):
    preset = read_preset(own_file(tmp_path))

    def stop(share: float) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted) as caught:
        reproduce.run(preset, progress=stop)
    reproduce.keep(caught.value.dataset, tmp_path)
    earlier = reproduce.unfinished(preset, tmp_path)
    assert earlier is not None
    whole = reproduce.run(preset, progress=False)
    dataset = reproduce.run(preset, progress=False, resume=earlier)
    for result in (whole, dataset):
        del result.attrs["simulation_seconds"]
    xr.testing.assert_identical(dataset, whole)
    reproduce.save(dataset, tmp_path)
    assert reproduce.finished(preset, tmp_path) is not None
    # of the same name, and of other data
    own_file(tmp_path, "1,2,3\n0.5,1,2\n0,1.5,1\n2,0,1.5\n")
    changed = read_preset(tmp_path / "mine.toml")
    assert reproduce.finished(changed, tmp_path) is None
    assert reproduce.unfinished(changed, tmp_path) is None


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("data/d.csv", "data/e.csv", 7, "path must be a file; "),
        ('target = "price"', 'target = "cost"', 8, "target must be one of 'a', 'price', 'b', "),
        ('target = "price"', "target = 3", 8, "target must be a text; got 3"),
        ("data/d.csv", "data/d.txt", 7, "path must end with .csv or .npz; got "),
        ('target = "price"', "n = 3", 8, "unknown key 'n'; [data] takes kind, path, target"),
        ('path = "data/d.csv"\n', "", 5, "[data] lacks the key 'path'"),
        ("depth = [2, 3]", "depth = [2, 0]", 11, "depth[1] must be a positive integer; got 0"),
        ("width = 4", "depths = 4", 11, "depth must not be given beside depths"),
        ("width = 4", "width = 0", 12, "width must be a positive integer; got 0"),
        ('"distance"', '"test_risk"', 3, "record must not hold 'test_risk' where there are no"),
        ('"divergence"', '"tightness"', 4, "figures must not hold 'tightness' where the data have"),
        ('"divergence"', '"generalization"', 4, "figures must not hold 'generalization' where rec"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(old, new, line, words, tmp_path):
    path = own_file(tmp_path)
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"^{re.escape(f'{path}, line {line}: {words}')}"
    ) as caught:
        read_preset(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("data", ["file", "noisy"])
def test_figures_claims_and_the_report_take_all_of_it(data, tmp_path):
    preset = read_preset(own_file(tmp_path)) if data == "file" else NOISY
    preset = replace(preset, figures=(), record=("risk", "sharpness", "distance"))
    names = [
        name for name, drawing in FIGURES.items()
        if not drawing.lacking(preset.record, preset.data, preset.training)
    ]  # fmt: skip
    assert len(names) >= 4
    dataset = reproduce.run(replace(preset, figures=tuple(names)), progress=False)
    reproduce.save(dataset, tmp_path)
    page = report.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("<figure>") == len(names)
    assert all(row.measured for row in claims.rows(dataset))

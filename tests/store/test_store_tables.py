"""``deeplinear status``, ``export`` and ``plot``: a store in words, as a table and in figures."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import xarray as xr

from deeplinear._support.progress import progress_text
from deeplinear.experiments.figures import ends
from deeplinear.store import work as working
from deeplinear.store.drive import drive
from deeplinear.store.executors import Here
from deeplinear.store.opened_store import opened
from sweep_commands import RUNS, TEXT, deeplinear, left, made

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture
def path(tmp_path):
    """A finished store."""
    path = made(tmp_path, "runs.zarr")
    assert drive(opened(path), Here()).complete
    return path


def test_status_counts_blocks_runs_and_their_endings(path):
    status = xr.open_zarr(path)["status"]
    words = np.array(status.attrs["flag_meanings"].split())[status.values].ravel()
    code, out, err = deeplinear("status", path, "--watch")
    count = opened(path).blocks.count
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first == f"{count} of {count} blocks are done; {RUNS} of {RUNS} runs"
    assert {line.split()[0]: int(line.split()[1]) for line in rest} == {
        word: int((words == word).sum()) for word in set(words)
    }
    assert {"completed", "diverged"} <= set(words)


def test_a_store_is_watched_until_nothing_is_left(tmp_path, monkeypatch):
    from deeplinear.experiments.cli import standing

    path, said = made(tmp_path, "runs.zarr"), []

    class Bar:
        def __enter__(self):
            return lambda share, text: said.append((share, text))

        def __exit__(self, *error):
            pass

    def work(seconds):
        store = opened(path)
        for index in sorted(set(store.blocks) - store.done())[:3]:
            working.work(path, index)

    monkeypatch.setattr(standing, "progress_text", Bar)
    monkeypatch.setattr(standing.time, "sleep", work)
    code, out, err = deeplinear("status", path, "--watch")
    count = opened(path).blocks.count
    assert (code, err) == (0, "")
    assert out.startswith(f"{count} of {count} blocks are done; {RUNS} of {RUNS} runs\n")
    assert said[:2] == [
        (0.0, f"0 of {count} blocks are done; 0 of {RUNS} runs"),
        (3 / count, f"3 of {count} blocks are done; {opened(path).blocks.runs((0, 0, 0)) * 3} of "
         f"{RUNS} runs"),
    ]  # fmt: skip
    assert len(said) == -(-count // 3)


def test_damage_is_told_and_runs_again(path, tmp_path):
    store = opened(path)
    index = sorted(store.blocks)[2]
    chunk = store.folder / "risk" / ("c." + ".".join(map(str, (*index, 0))))
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, out, err = deeplinear("status", path, "--verify")
    assert (code, err) == (3, "deeplinear: 1 block left to do.\n")
    assert out.startswith(f"1 block damaged, and no longer done: {index}\n")
    assert left(path) == 1
    assert deeplinear("sweep", tmp_path / "sweep.toml", "--store", path)[0] == 0
    assert chunk.read_bytes() == whole
    code, out, _ = deeplinear("status", path, "--verify")
    assert (code, out.splitlines()[0]) == (0, "all that is done is sound")


def test_a_table_has_a_row_for_every_run_and_record(path, tmp_path):
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "runs.parquet"
    assert deeplinear("export", path, "--parquet", file) == (0, f"{file}: {RUNS * 3} rows\n", "")
    table, dataset = pandas.read_parquet(file), xr.open_zarr(path).load()
    columns = ["noise", "learning_rate", "seed", "step", "risk", "layer_norm", "last_step"]
    assert [*columns, "out_of_range_layer", "status"] == list(table)
    words = np.array(dataset["status"].attrs["flag_meanings"].split())
    rows = table.sample(100, random_state=0)
    for row in rows.itertuples():
        place = {name: getattr(row, name) for name in ("noise", "learning_rate", "seed")}
        run = dataset.sel(place)
        record = run.sel(step=row.step)
        np.testing.assert_array_equal(row.risk, record["risk"])
        np.testing.assert_array_equal(row.layer_norm, record["layer_norm"])
        assert row.last_step == run["last_step"]
        assert row.status == words[run["status"].item()]
    assert not table.duplicated(["noise", "learning_rate", "seed", "step"]).any()
    about = parquet.read_schema(file).metadata[b"deeplinear"].decode()
    assert about == opened(path).group.attrs["description"]


def test_a_table_is_written_in_parts_and_of_finished_blocks(path, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    store, file = opened(path), tmp_path / "runs.parquet"
    monkeypatch.setattr("deeplinear.store.export._ROWS", 1)
    taken = sorted(store.blocks)[0]
    store.unmark(taken)
    rows = 3 * (RUNS - store.blocks.runs(taken))
    code, out, err = deeplinear("export", path, "--parquet", file)
    assert (code, err) == (0, "")
    assert out == f"{file}: {rows} rows, without 1 block not yet done\n"
    table = parquet.ParquetFile(file)
    assert table.metadata.num_rows == rows
    assert table.num_row_groups == store.blocks.count - 1
    before = file.read_bytes()
    (store.folder / "risk" / "c.0.0.0.0").unlink(missing_ok=True)
    monkeypatch.setattr("pyarrow.concat_tables", full)
    code, _, err = deeplinear("export", path, "--parquet", file)
    assert (code, err) == (
        1, "deeplinear: --parquet could not be written: No space left on device.\n"
    )  # fmt: skip
    assert file.read_bytes() == before
    assert {entry.name for entry in tmp_path.iterdir()} == {
        "runs.zarr", "sweep.toml", "runs.parquet"
    }  # fmt: skip


def full(tables):
    raise OSError(28, "No space left on device")


def test_an_export_needs_a_package(path, tmp_path, monkeypatch):
    monkeypatch.setattr("deeplinear._support.files.find_spec", lambda name: None)
    code, out, err = deeplinear("export", path, "--parquet", tmp_path / "x.parquet")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("deeplinear: A table as Parquet needs pyarrow, which can't be imported")
    assert "pip install 'deeplinear[parquet]'" in err


def final(path, name):
    """The last records of the runs that did not diverge, and which did."""
    dataset = xr.open_zarr(path).load()
    words = np.array(dataset["status"].attrs["flag_meanings"].split())
    diverged = words[dataset["status"].values] == "diverged"
    return np.where(diverged, np.nan, dataset[name].isel(step=-1).values), diverged


def test_maps_show_shares_and_medians(path, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, err = deeplinear("plot", path, "--out", tmp_path / "figures")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        str(tmp_path / "figures" / f"runs-risk.{ending}") for ending in ("pdf", "png", "svg")
    ]
    found = ends.read(opened(path), None, [])
    assert found.variable == "risk"
    values, diverged = final(path, "risk")
    np.testing.assert_array_equal(found.values, values)
    shares, medians = (axes.collections[0].get_array() for axes in ends.draw(found).axes[:2])
    np.testing.assert_array_equal(shares, diverged.mean(-1))
    assert shares.max() > 0.5 > shares.min()
    there = ~diverged.all(-1)
    np.testing.assert_array_equal(np.ma.getmaskarray(medians), ~there)
    np.testing.assert_array_equal(medians[there], np.nanmedian(values[there], -1))


def test_lines_show_medians_over_one_dimension(path, tmp_path):
    pytest.importorskip("matplotlib")
    assert deeplinear("plot", path, "--out", tmp_path, "--at", "noise=1")[0] == 0
    found = ends.read(opened(path), "risk", ["noise=1.0"])
    assert list(found.axes) == ["learning_rate"]
    values, diverged = final(path, "risk")
    above, below = ends.draw(found).axes
    kept = [i for i in range(3) if not diverged[1, i].all()]
    np.testing.assert_array_equal(above.lines[0].get_xdata(), found.axes["learning_rate"][kept])
    np.testing.assert_array_equal(above.lines[0].get_ydata(), np.nanmedian(values[1, kept], -1))
    np.testing.assert_array_equal(below.lines[0].get_ydata(), diverged[1].mean(-1))


def test_values_in_any_order_are_drawn_ascending(tmp_path):
    pytest.importorskip("matplotlib")
    text = TEXT.replace("[0.01, 0.1, 1.0]", "[0.1, 1.0, 0.01]").replace("noise = [0.0, 1.0]", "")
    path = made(tmp_path, "runs.zarr", text)
    assert drive(opened(path), Here()).complete
    found = ends.read(opened(path), None, [])
    np.testing.assert_array_equal(found.axes["learning_rate"], [0.01, 0.1, 1.0])
    np.testing.assert_array_equal(found.values, final(path, "risk")[0][[2, 0, 1]])


def test_words_and_uneven_values_have_cells_of_one_width(tmp_path):
    pytest.importorskip("matplotlib")
    text = TEXT.replace("depth = 3", 'depth = 3\nactivation = ["identity", "tanh"]')
    text = text.replace("noise = [0.0, 1.0]", "").replace("[0.01, 0.1, 1.0]", "[0.01, 0.1, 0.2]")
    path = made(tmp_path, "runs.zarr", text)
    assert drive(opened(path), Here()).complete
    axes = ends.draw(ends.read(opened(path), None, [])).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["identity", "tanh"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1", "0.2"]
    widths = np.diff(axes.collections[0].get_coordinates()[0, :, 0])
    np.testing.assert_array_equal(widths, 1.0)
    one = ends.draw(ends.read(opened(path), None, ["learning_rate=0.1"])).axes[1]
    assert [label.get_text() for label in one.get_xticklabels()] == ["identity", "tanh"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--variable", "speed"), "--variable must be 'risk'; got 'speed'."),
        (("--at", "depth=3"), "--at must be one of 'noise', 'learning_rate'; got 'depth'."),
        (("--at", "noise=7"), "--at noise must be one of 0, 1; got '7'."),
        (("--at", "noise=1", "--at", "learning_rate=1"), "a figure must have one or two swept "),
    ],
)
def test_arguments_of_plot(path, tmp_path, arguments, sentence):
    code, out, err = deeplinear("plot", path, "--out", tmp_path, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"deeplinear: {sentence}")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("terminal", "rich"), [(True, True), (True, False), (False, True)])
def test_words_beside_the_bar(monkeypatch, terminal, rich):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    if not rich:
        for name in ("rich.console", "rich.progress"):
            monkeypatch.setitem(sys.modules, name, None)
    with progress_text() as show:
        show(0.25, "1 of 4 blocks, 30 runs")
    assert ("1 of 4 blocks, 30 runs" in stream.getvalue()) == terminal
    assert ("25%" in stream.getvalue()) == terminal


def test_how_far_a_sweep_is(tmp_path, monkeypatch):
    from deeplinear.experiments.cli import driving

    said = []

    class Bar:
        def __enter__(self):
            return lambda share, text: said.append((share, text))

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(driving, "progress_text", Bar)
    path = made(tmp_path, "runs.zarr")
    assert deeplinear("work", path)[0] == 0
    count = opened(path).blocks.count
    assert said[0] == (0.0, f"0 of {count} blocks, 0 runs")
    assert said[-1][0] == 1.0
    assert said[-1][1].startswith(f"{count} of {count} blocks, {RUNS} runs, ")
    assert said[-1][1].endswith(" steps/s, 0 s left")

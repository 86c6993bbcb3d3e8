"""Data files that were damaged, and things that only look like one."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.report import write
from deeplinear.experiments.results import netcdf

CURVES = PRESETS["plain-curves"].quick()
NAME = f"{CURVES.name}.nc"


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return reproduce.run(CURVES, progress=False)


@pytest.fixture
def path(dataset, tmp_path) -> Path:
    return reproduce.save(dataset, tmp_path)


def older(dataset: xr.Dataset, path: Path) -> None:
    """Write a file as versions without checksums did."""
    dataset.to_netcdf(path, engine="h5netcdf")


# Figures take long and are tested elsewhere.
NO_FIGURES = """
from deeplinear.experiments.cli import entry as cli
from deeplinear.experiments import figures
from deeplinear.experiments import report
figures.draw = lambda dataset, directory: []
report.write = lambda directory: directory
cli.main()
"""


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-W", "error", "-c", NO_FIGURES, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


def test_other_programs_read_the_file(dataset, path):
    for options in ({"engine": "h5netcdf"}, {}):
        read = xr.load_dataset(path, **options)
        xr.testing.assert_equal(read, dataset)
    many = dataset.isel(run=[0] * 10)
    with h5py.File(reproduce.save(many, path.parent, "many")) as file:
        assert file["weights"].fletcher32
        np.testing.assert_array_equal(file["weights"], many["weights"])


def test_the_last_line_is_the_checksum_of_the_rest(path):
    content = path.read_bytes()
    line = subprocess.run(["tail", "-c", "84", path], capture_output=True, check=True).stdout
    rest = subprocess.run(["sha256sum"], input=content[:-84], capture_output=True, check=True)
    assert line.split() == [b"deeplinear", b"sha256", rest.stdout.split()[0]]
    assert content.endswith(line)


def test_what_was_saved_is_what_is_read(dataset, path):
    read = netcdf.load(path)
    for name, variable in dataset.variables.items():
        assert read[name].dtype.kind == variable.dtype.kind
        np.testing.assert_array_equal(read[name], variable)
        assert read[name].attrs == variable.attrs
    assert read.attrs.keys() == dataset.attrs.keys()


def test_every_bit_counts(path, tmp_path):
    """Two hundred single bits over the whole file: each is found, and before HDF5 is asked."""
    content = bytearray(path.read_bytes())
    draw = random.Random(7)
    places = [*range(0, 48, 3), *range(len(content) - 84, len(content), 3)]
    places += [draw.randrange(len(content)) for _ in range(200 - len(places))]
    for place in places:
        bit = 1 << draw.randrange(8)
        content[place] ^= bit
        path.write_bytes(content)
        with pytest.raises(netcdf.Unusable) as found:
            netcdf.check(path)
        assert found.value.kind == "damaged", place
        content[place] ^= bit
    path.write_bytes(content)
    assert netcdf.check(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("damage", ["cut", "zeros to the end", "zeros from the start"])
def test_torn_files_are_damaged(damage, share, path, tmp_path):
    content = path.read_bytes()
    size = int(share * len(content))
    rest = b"\0" * (len(content) - size)
    path.write_bytes(
        {
            "cut": content[:size],
            "zeros to the end": content[:size] + rest,
            "zeros from the start": rest + content[len(rest) :],
        }[damage]
    )
    assert netcdf.verify(tmp_path)[NAME].startswith("damaged: ")
    assert reproduce.difference(CURVES, path) == "damaged data"
    assert reproduce.finished(CURVES, tmp_path) is None


def test_a_file_without_its_last_line_is_whole_and_has_no_checksum(dataset, path, tmp_path):
    content = path.read_bytes()
    path.write_bytes(content[:-84])
    assert netcdf.verify(tmp_path) == {NAME: "no checksum"}
    older(dataset, path)
    assert netcdf.verify(tmp_path) == {NAME: "no checksum"}
    assert reproduce.difference(CURVES, path) is None
    found = reproduce.finished(CURVES, tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found["weights"], dataset["weights"])


@pytest.mark.parametrize("name", ["/", "weights", "risk", "status", "run"])
def test_damage_that_no_checksum_shows_is_one_sentence(name, dataset, path, tmp_path):
    """Nothing stands before HDF5 in files of earlier versions; here the header of a variable."""
    older(dataset.assign_coords(run=[0, 1]), path)
    with h5py.File(path) as file:
        start = h5py.h5o.get_info(file[name].id).addr
    content = bytearray(path.read_bytes())
    content[start : start + 16] = b"\xff" * 16
    path.write_bytes(content)
    with pytest.raises(netcdf.Unusable) as found:
        netcdf.load(path)
    assert found.value.kind == "damaged"
    assert str(found.value).count("\n") == 0
    assert netcdf.verify(tmp_path)[NAME].startswith("damaged: HDF5 or netCDF says ")


def test_a_part_of_the_runs_is_not_taken_for_all(dataset, tmp_path):
    path = reproduce.save(dataset.isel(run=[0]), tmp_path)
    assert reproduce.difference(CURVES, path) == "a part of its runs"
    assert reproduce.finished(CURVES, tmp_path) is None


@pytest.fixture
def folder(dataset, path, tmp_path) -> Path:
    """One good file, and everything else."""
    bad = bytearray(path.read_bytes())
    bad[5000] ^= 1
    (tmp_path / "bad.nc").write_bytes(bad)
    (tmp_path / "empty.nc").touch()
    (tmp_path / "folder.nc").mkdir()
    (tmp_path / "nowhere.nc").symlink_to(tmp_path / "lost")
    (tmp_path / "text.nc").write_text("no data")
    os.mkfifo(tmp_path / "pipe.nc")
    older(dataset.assign_attrs(experiment="old", figures=""), tmp_path / "old.nc")
    older(xr.Dataset({"x": 1}), tmp_path / "other.nc")
    older(
        dataset.assign_attrs(experiment="lacking", figures="").drop_vars("status"),
        tmp_path / "lacking.nc",
    )
    return tmp_path


VERDICTS = {
    "bad.nc": "damaged: it does not match its checksum",
    "empty.nc": "damaged: it is empty",
    "folder.nc": "no regular file",
    "lacking.nc": "no checksum",
    "nowhere.nc": "could not be read: No such file or directory",
    "old.nc": "no checksum",
    "other.nc": "not of this program",
    "pipe.nc": "no regular file",
    NAME: "ok",
    "text.nc": "not of this program",
}


def test_verify_says_what_each_file_is(folder):
    assert netcdf.verify(folder) == VERDICTS
    result = command("verify", folder)
    assert result.returncode == 1
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert dict(lines) == VERDICTS
    assert result.stderr == "deeplinear: 3 of 10 files are damaged or could not be read.\n"


def test_verify_of_good_data_is_quiet(path, tmp_path):
    result = command("verify", tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{NAME}  ok\n", "")
    path.unlink()
    for place in (tmp_path, path):
        result = command("verify", place)
        assert result.returncode == 2
        assert result.stderr.startswith("deeplinear: DIR must ")
        assert result.stderr.count("\n") == 1


def test_one_bad_file_does_not_deny_the_report_of_the_others(folder):
    text = write(folder).read_text()
    assert '<section id="plain-curves-quick"' in text
    assert '<section id="old"' in text
    left_out = [
        line.split("</strong> ")[1].removesuffix("</p>")
        for line in text.splitlines()
        if line.startswith("<p><strong>Left out:")
    ]
    assert left_out[:-1] == [
        "bad.nc is damaged: it does not match its checksum.",
        "empty.nc is damaged: it is empty.",
        "folder.nc is no regular file.",
        "nowhere.nc could not be read: No such file or directory.",
        "pipe.nc is no regular file.",
    ]
    assert left_out[-1].startswith("lacking.nc lacks something of an experiment: KeyError")


def test_a_report_of_bad_files_alone_says_why(folder):
    for name in (NAME, "old.nc", "lacking.nc"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match=r"must hold data.*bad\.nc is damaged: it does not match"):
        write(folder)


RUN = ("reproduce", "plain-curves", "--quick", "--out")


def test_a_run_refuses_damaged_data_and_replaces_them_on_demand(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    result = command(*RUN, tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        f"deeplinear: --out is in use: {path} holds damaged data; --replace replaces it.\n"
    )
    assert path.read_bytes() == content
    result = command(*RUN, tmp_path, "--replace")
    assert result.returncode == 0, result.stderr
    assert f"{path}, which held damaged data, was replaced." in result.stdout
    assert netcdf.check(path)


@pytest.mark.parametrize("thing", ["pipe", "folder"])
def test_a_run_refuses_what_it_cannot_replace(thing, tmp_path):
    path = tmp_path / NAME
    path.mkdir() if thing == "folder" else os.mkfifo(path)
    for option in ((), ("--replace",)):
        result = command(*RUN, tmp_path, *option)
        assert result.returncode == 2
        assert result.stderr.startswith(f"deeplinear: --out is in use: {path} could not be replac")
        assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_data_that_may_not_be_read_are_not_called_damaged(path, monkeypatch):
    def locked(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(xr, "load_dataset", locked)
    with pytest.raises(netcdf.Unusable, match="is locked: Resource temporarily unavailable"):
        reproduce.difference(CURVES, path)


def test_a_copy_keeps_its_checksum(path, tmp_path):
    copy = shutil.copy(path, tmp_path / "copy.nc")
    assert netcdf.verify(tmp_path) == {
        "copy.nc": f"ok, but holds experiment {CURVES.name}", NAME: "ok"
    }  # fmt: skip
    assert netcdf.load(copy).attrs["experiment"] == CURVES.name


# Something happens to the directory once the data are there: a lambda from the directory.
AFTERWARDS = """
import sys
from pathlib import Path
from deeplinear.experiments.cli import entry as cli
from deeplinear.experiments import figures
happen, draw = eval(sys.argv.pop(1)), {"real": figures.draw, "none": lambda *_: []}[sys.argv.pop(1)]

def drawn(dataset, directory):
    happen(Path(directory))
    return draw(dataset.assign_attrs(figures="curves"), directory)

figures.draw = drawn
cli.main()
"""


@pytest.mark.parametrize(
    ("what", "draw", "words"),
    [
        ("(out / 'NAME.nc').unlink()", "none", "the report could not be written: directory must"),
        (
            "(out / 'NAME.nc').write_bytes(b'x')", "none",
            "the report could not be written: directory must (?!.*the data are in)",
        ),
        (
            "(out / 'index.html').mkdir()", "none",
            "OUT/index.html could not be written: Is a directory; the data are in OUT/NAME.nc",
        ),
        (
            "(out / 'NAME-curves.png').symlink_to('/dev/null')", "real",
            "NAME: OUT/NAME-curves.png could not be written: Not a regular file; the data are "
            "in OUT/NAME.nc",
        ),
        (
            "[(out / 'NAME.nc').rename(out.parent / 'x'), out.rmdir(), out.touch()]", "real",
            "NAME: the figures could not be written: directory must be a directory that can be",
        ),
    ],
)  # fmt: skip
def test_what_happens_after_the_data_are_saved_is_one_sentence(what, draw, words, tmp_path):
    out = tmp_path / "out"
    happen = f"lambda out: {what.replace('NAME', CURVES.name)}"
    line = [sys.executable, "-W", "error", "-c", AFTERWARDS, happen, draw, *RUN, str(out)]
    result = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    words = words.replace("NAME", CURVES.name).replace("OUT", str(out))
    assert re.match(f"deeplinear: {words}", result.stderr), result.stderr


def test_a_link_that_leads_nowhere_is_followed_by_a_run(tmp_path):
    out, far = tmp_path / "out", tmp_path / "far.nc"
    out.mkdir()
    (out / f"{CURVES.name}.nc").symlink_to(far)
    line = [sys.executable, "-W", "error", "-c", AFTERWARDS, "lambda out: None", "none"]
    for _ in range(2):  # the second one finds the data
        far.unlink(missing_ok=True)
        assert reproduce.finished(CURVES, out) is None
        result = subprocess.run(
            [*line, *RUN, str(out)], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert netcdf.check(far)


def test_files_that_hold_another_experiment_than_their_name_says_are_named(dataset, path, tmp_path):
    wrong, right = f"holds experiment {CURVES.name}", f"{CURVES.name}-partial-2.nc"
    shutil.copy(path, tmp_path / "plain-quick.nc")
    older(dataset.assign_attrs(figures=""), tmp_path / f"{CURVES.name}-partially.nc")
    shutil.copy(path, tmp_path / right)
    assert netcdf.verify(tmp_path) == {
        "plain-quick.nc": f"ok, but {wrong}",
        f"{CURVES.name}-partially.nc": f"no checksum, but {wrong}",
        right: "ok",
        NAME: "ok",
    }
    text = write(tmp_path).read_text()
    for name in ("plain-quick", f"{CURVES.name}-partially"):
        assert f"<p><strong>Left out:</strong> {name}.nc {wrong}.</p>" in text
    assert text.count("Left out:") == 2

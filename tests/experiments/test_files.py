"""Files are whole or not there: disks that fill, writers that die, names that are taken."""

import errno
import fcntl
import os
import re
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import xarray as xr

from deeplinear._support import files
from deeplinear._support.files import check_replaceable, write_file
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.results import netcdf

OLD, NEW = b"old" * 1000, b"new" * 5000
CURVES = PRESETS["plain-curves"].quick()


def test_a_file_is_replaced_and_nothing_else_is_there(tmp_path):
    path = tmp_path / "x"
    for content in (OLD, NEW, b""):
        write_file(path, content)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_that_of_other_new_files(tmp_path):
    (tmp_path / "other").touch()
    write_file(tmp_path / "x", NEW)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_bytes_are_on_the_disk_before_the_name_and_then_the_name(tmp_path, monkeypatch):
    order = []
    replace, fsync = os.replace, os.fsync

    def note_sync(descriptor):
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        if order[-1] == "file":
            assert os.fstat(descriptor).st_size == len(NEW)
        fsync(descriptor)

    def note_replace(*names):
        order.append("name")
        replace(*names)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_file(tmp_path / "x", NEW)
    assert order == ["file", "name", "folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_alone(call, failure, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(OLD)

    def fail(*_):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(type(failure)):
            write_file(path, NEW)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path):
    target, link = tmp_path / "far" / "x", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to(target)
    write_file(link, NEW)
    assert link.is_symlink()
    assert target.read_bytes() == NEW


def test_what_is_no_file_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (("pipe", "Not a regular file"), ("folder", "Is a directory")):
        before = (tmp_path / name).stat()
        with pytest.raises(OSError, match=words):
            write_file(tmp_path / name, NEW)
        with pytest.raises(ValueError, match=f"--out is in use: .*{name} .*: {words}"):
            check_replaceable("--out", tmp_path / name)
        assert (tmp_path / name).stat().st_ino == before.st_ino
    assert len(list(tmp_path.iterdir())) == 2


def test_a_new_file_takes_no_name_that_is_there(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "lost")
    (tmp_path / "folder").mkdir()
    write_file(tmp_path / "x", OLD, new=True)
    before = sorted(tmp_path.iterdir())
    for name in ("x", "link", "folder"):
        with pytest.raises(FileExistsError) as caught:
            write_file(tmp_path / name, NEW, new=True)
        assert caught.value.filename == str(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "x").read_bytes() == OLD


@pytest.mark.parametrize("links", [True, False])
def test_of_those_who_want_a_new_name_one_gets_it(links, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", fail)
    for attempt in range(10):
        path, barrier, got = tmp_path / str(attempt), threading.Barrier(4), []

        def write(content, path=path, barrier=barrier, got=got):
            barrier.wait()
            try:
                write_file(path, content, new=True)
            except FileExistsError:
                return
            got.append(content)

        contents = [bytes([i]) * 30_000 for i in range(4)]
        threads = [threading.Thread(target=write, args=(content,)) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [path.read_bytes()]
    assert len(list(tmp_path.iterdir())) == 10


def test_a_lock_that_is_not_let_go_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LOCK_PATIENCE", 0.1)
    with files.locked(tmp_path) as first, files.locked(tmp_path) as second:
        assert (first, second) == (True, False)
    with files.locked(tmp_path) as third:
        assert third


@pytest.mark.parametrize("name", ["../esc", "/esc", "", "a\0b"])
def test_data_stay_in_their_directory(name, dataset, tmp_path):
    folder = tmp_path / "folder"
    words = "must be the name of a file without separators; got"
    with pytest.raises(ValueError, match=f"name {words}"):
        reproduce.save(dataset, folder, name)
    for function in (reproduce.save, reproduce.keep):
        with pytest.raises(ValueError, match=f"experiment of the dataset {words}"):
            function(dataset.assign_attrs(experiment=name), folder)
    assert list(tmp_path.iterdir()) == []


def test_a_link_into_no_directory_is_refused_before_the_work(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "lost" / "x")
    with pytest.raises(ValueError, match=r"--out is in use: .*link could .*: No such file or dir"):
        check_replaceable("--out", link)
    with pytest.raises(FileNotFoundError) as caught:
        write_file(link, NEW)
    assert caught.value.filename == str(link)


def stale(folder: Path, name: str, age: float) -> Path:
    path = folder / f".{name}.0123456789abcdef.deeplinear.tmp"
    path.write_bytes(OLD)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_temporaries_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead = stale(tmp_path, "dead", 120)
    fresh = stale(tmp_path, "fresh", 5)
    living = stale(tmp_path, "living", 10_000)
    other = tmp_path / ".mine.tmp"
    other.touch()
    with open(living, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write_file(tmp_path / "x", NEW)
    assert set(tmp_path.iterdir()) == {fresh, living, other, tmp_path / "x"}
    assert not dead.exists()


def test_without_locks_temporaries_wait_for_an_hour(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    recent, old = stale(tmp_path, "recent", 3000), stale(tmp_path, "old", 4000)
    write_file(tmp_path / "x", NEW)
    assert recent.exists()
    assert not old.exists()


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    path, failures = tmp_path / "x", []
    contents = [bytes([i]) * 30_000 for i in range(8)]

    def write(content):
        try:
            for _ in range(8):
                write_file(path, content)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return reproduce.run(CURVES, progress=False)


# Saves a file once more under limits that become smaller, by argument 3.
LIMITED = """
import resource, sys
from pathlib import Path
from deeplinear.experiments.results import netcdf
from deeplinear.experiments import run as reproduce
from deeplinear._support.files import write_file
path, step = Path(sys.argv[1]), int(sys.argv[2])
dataset, content = netcdf.load(path), path.read_bytes()

def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        print(error.strerror)

for limit in range(len(content) - 1, -1, -step):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    attempt(write_file, path, content)
attempt(reproduce.save, dataset, path.parent)
"""


def test_a_write_that_fails_at_any_byte_leaves_the_old_file(dataset, tmp_path):
    path = reproduce.save(dataset, tmp_path)
    before = path.read_bytes()
    step = len(before) // 100
    arguments = [sys.executable, "-c", LIMITED, str(path), str(step)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    tries = len(range(len(before) - 1, -1, -step)) + 1
    assert result.stdout.splitlines() == ["File too large"] * tries
    assert tries > 100
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Children write two data files in turns under one name; each is killed, and what it left compared.
KILLED = """
import itertools, os, random, signal, sys, time
sys.modules["pyarrow"] = None  # pandas loads it, and it starts a thread, which a fork leaves behind
from pathlib import Path
from deeplinear.experiments.results import netcdf
from deeplinear._support.files import write_file
contents = [Path(name).read_bytes() for name in sys.argv[1:3]]
path = Path(sys.argv[3]) / "x.nc"
write_file(path, contents[0])
for kill in range(40):
    child = os.fork()
    if child == 0:
        for content in itertools.cycle(contents):
            write_file(path, content)
    time.sleep(0.005 + 0.03 * random.random())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(netcdf.check(path) and path.read_bytes() in contents)
"""


def test_a_kill_in_the_middle_of_a_save_leaves_the_old_file_or_the_new_one(dataset, tmp_path):
    sources = [
        reproduce.save(variant, tmp_path / str(i))
        for i, variant in enumerate((dataset, dataset.assign_attrs(title="another title")))
    ]
    out = tmp_path / "out"
    out.mkdir()
    arguments = [sys.executable, "-c", KILLED, *map(str, sources), str(out)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["True"] * 40
    left = [path for path in out.iterdir() if path.name != "x.nc"]
    assert left  # some were killed between the first byte and the name
    for path in left:
        os.utime(path, (0, 0))
    write_file(out / "x.nc", NEW)
    assert [path.name for path in out.iterdir()] == ["x.nc"]


# What a person does: a run into a disk that is full.
COMMAND = """
import resource, sys
limit = int(sys.argv.pop(1))
from deeplinear.experiments.cli import entry as cli
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
cli.main()
"""


def command(*arguments: object, limit: int = 0, **options) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-W", "error", "-c", COMMAND, str(limit), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120, **options)


RUN = ("reproduce", "plain-curves", "--quick", "--out")


@pytest.fixture
def small_disk(request, tmp_path):
    """A disk of 24 KiB, or as asked for, where the system lets one be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = getattr(request, "param", "size=24k")
    line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_in_a_sentence_that_says_where_the_data_are(small_disk, tmp_path):
    (tmp_path / "temporary").mkdir()
    result = command(*RUN, small_disk, env={**os.environ, "TMPDIR": str(tmp_path / "temporary")})
    assert result.returncode == 1
    head = "deeplinear: --out could not be written: No space left on device; the data are in "
    assert result.stderr.startswith(head)
    assert result.stderr.count("\n") == 1
    path = Path(result.stderr.removeprefix(head).removesuffix(".\n"))
    assert path.is_relative_to(tmp_path / "temporary")
    assert netcdf.check(path)
    assert netcdf.load(path).sizes["run"] == CURVES.runs
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("small_disk", "words"),
    [
        # The directory and the data, while they are written twice; then the first figure.
        ("nr_inodes=3", f"{CURVES.name}: DISK/{CURVES.name}-curves.png could not be written: "),
        ("nr_inodes=5", "the report could not be written: directory must be .*; got .*: "),
    ],
    indirect=["small_disk"],
)
def test_a_disk_without_room_for_one_more_file_leaves_the_data(small_disk, words):
    result = command(*RUN, small_disk)
    assert result.returncode == 1
    path = small_disk / f"{CURVES.name}.nc"
    words = words.replace("DISK", str(small_disk))
    words += f"No space left on device; the data are in {path}.\n"
    assert re.fullmatch(f"deeplinear: {words}", result.stderr), result.stderr
    assert netcdf.check(path)


def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path):
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    result = command(*RUN, out, limit=20_000, env={**os.environ, "TMPDIR": str(temporary)})
    assert result.returncode == 1
    assert result.stderr == "deeplinear: --out could not be written: File too large.\n"
    assert list(temporary.iterdir()) == []
    assert not out.exists()


def test_a_report_that_cannot_be_written_is_one_sentence(dataset, tmp_path):
    reproduce.save(dataset.assign_attrs(figures=""), tmp_path)
    result = command("report", tmp_path, limit=2000)
    assert result.returncode == 1
    assert result.stderr == "deeplinear: DIR could not be written: File too large.\n"
    (tmp_path / "index.html").mkdir()
    result = command("report", tmp_path)
    assert result.returncode == 1
    assert result.stderr == "deeplinear: DIR could not be written: Is a directory.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", f"{CURVES.name}.nc"]
    # and a run says so before it starts
    result = command(*RUN, tmp_path)
    assert result.returncode == 2
    page = tmp_path / "index.html"
    assert result.stderr == (
        f"deeplinear: --out is in use: {page} could not be replaced: Is a directory.\n"
    )

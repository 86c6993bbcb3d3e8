"""The command `deeplinear bench`, and the machine's limits."""

import json
import re
import subprocess
import sys

import pytest

from deeplinear import _core
from deeplinear.bench import works
from deeplinear.bench.machine import Limits, describe_machine
from deeplinear.bench.problems import Problem
from deeplinear.bench.runner import QUICK, Race
from deeplinear.bench.table import OURS, Comparison, Row, to_json, to_markdown

HEAVY = ("numba", "jax", "diffrax", "torch")
WITHOUT_HEAVY = (
    f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); "
    "from deeplinear.experiments.cli.entry import main; main()"
)


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_HEAVY, "bench", *arguments],
        capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_multiply_adds_are_plausible(dtype):
    rate = _core.multiply_add_rate(dtype, 1, 0.01)
    assert 1e6 < rate < 1e13
    assert _core.multiply_add_rate(dtype, 2, 0.01) > 1e6


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 1_000_000, 9_000_000])
def test_bandwidth_is_plausible(size, threads):
    for rate in _core.memory_bandwidth(threads, size, 2):
        assert 1e5 < rate < 1e14


@pytest.mark.core
def test_limits_refuse_what_makes_no_sense():
    for arguments in (("float16", 1, 0.01), ("float64", 0, 0.01), ("float64", 1, 0.0)):
        with pytest.raises(ValueError, match=r"dtype|threads|seconds"):
            _core.multiply_add_rate(*arguments)
    for arguments in ((0, 8, 1), (1, 0, 1), (1, 8, 0)):
        with pytest.raises(ValueError, match=r"threads|bytes|repetitions"):
            _core.memory_bandwidth(*arguments)


def test_all_works_in_quick_form(tmp_path):
    file = tmp_path / "bench.json"
    result = bench("--quick", "--threads", "1", "--json", str(file))
    assert (result.returncode, result.stderr) == (0, "")
    assert "NumPy, runs last" in result.stdout
    assert re.search(r"numba can't\s+be\s+imported\s+here", result.stdout)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["complete"]
    assert [work["name"] for work in content["works"]] == list(works.NAMES)
    for work in content["works"]:
        assert work["rows"][0]["technique"].startswith(OURS)
        assert all(row["seconds"] > 0 for row in work["rows"])
    assert all(min(limit["flops"]) > 0 for limit in content["limits"]["arithmetic"])
    assert all(min(limit["read_read_write"]) > 0 for limit in content["limits"]["memory"])


def test_markdown_of_one_work():
    result = bench("--quick", "--threads", "1", "--only", "warm-sharpness", "--markdown")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("## Measured, ")
    assert result.stdout.count("\n### ") == 1
    assert "| deeplinear, 1 thr." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "nothing"], "--only must be one of"),
        (["--threads", "0"], "--threads must be a positive integer"),
        (["--quick", "--full"], "--quick and --full exclude each other"),
        (["--json", "/no/such/directory/x.json"], "--json must be a file"),
        (["--json", "/dev/null"], "--json is in use: /dev/null could not be replaced: Not a regul"),
    ],
)
def test_bench_refuses_in_one_sentence(arguments, says):
    result = bench(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"deeplinear: {says}")
    assert result.stderr.count("\n") == 1


def test_ratios_are_medians_over_the_rounds_that_both_have():
    ours = Row(OURS, 1, (1.0, 2.0, 4.0), 0.5)
    other = Row("other", None, (3.0, 4.0))
    assert other.times(ours) == 2.5
    comparison = Comparison("name", "Title", "step", [other, ours], ["A note."])
    assert comparison.ordered == [ours, other]
    assert to_json(comparison)["rows"][1]["times_ours"] == {"1": 2.5}
    table = to_markdown(comparison)
    assert "### Title, time per step" in table
    assert re.search(r"\| other +\| +3.5 s \| +2.5 \| +\|", table)
    assert table.endswith("A note.")


def test_ctrl_c_keeps_the_rounds_so_far():
    work = works.ensemble(Problem(3, 2, 4, 0.5), threads=1)

    def interrupt(share):
        raise KeyboardInterrupt

    race = Race(
        works.Work(work.name, work.title, work.unit, work.entries[:1], "float64", 4),
        Limits(), threads=1, timing=QUICK, full=False,
    )  # fmt: skip
    assert race.comparison() is None
    with pytest.raises(KeyboardInterrupt):
        race.run(interrupt)
    (row,) = race.comparison().rows
    assert len(row.seconds) == 1


def test_a_technique_that_fails_is_named_and_the_others_go_on():
    def fail():
        raise RuntimeError("no luck\nat all")

    own = works.ensemble(Problem(3, 2, 4, 0.5), threads=1).entries[0]
    entries = (own, works.Entry("unlucky", fail))
    race = Race(works.Work("x", "X", "step", entries, "float64"), Limits(), 1, QUICK, full=False)
    race.run(lambda share: None)
    found = race.comparison()
    assert [row.technique for row in found.rows] == [OURS]
    assert "Left out: unlucky: RuntimeError: no luck" in found.notes


def test_the_machine_is_described():
    machine = describe_machine()
    assert machine["processors"] >= 1
    assert machine["simd"] == _core.SIMD_LEVEL
    json.dumps(machine)


def test_the_package_alone_imports_no_benchmarks():
    code = "import sys, deeplinear; print([m for m in sys.modules if m.startswith('deeplinear.b')])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"

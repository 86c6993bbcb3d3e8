"""The examples of the documentation run, and print what it says that they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deeplinear as dl
from test_pictures import pictures

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DATA = ROOT / "docs" / "data.md"
GUIDE = [README, *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
    ROOT / "benchmarks" / "README.md",
]
pytestmark = pytest.mark.skipif(not README.is_file(), reason="the tests are away from the sources")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# The command that a shell finds where the package is installed
COMMAND = "from deeplinear.experiments.cli.entry import main; main()"


#: What the examples of a page need, beside what the suite does: on Python 3.10 there is none.
NEEDS = {"cluster.md": ("zarr", "pyarrow")}


def needed(page: Path) -> None:
    for module in NEEDS.get(page.name, ()):
        pytest.importorskip(module)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page as (language, text)."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def with_blocks(language: str) -> list[Path]:
    """The pages of the guide that have a block of a language."""
    return [page for page in GUIDE if page.is_file() and language in dict(blocks(page))]


def run_page(page: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    """Run the Python blocks of a page one after another; what each defined, by its source.

    A text block is what the Python block before it prints.
    """
    import matplotlib

    matplotlib.use("Agg")
    namespace: dict[str, object] = {"__name__": "__main__"}
    after: dict[str, dict[str, object]] = {}
    printed = ""
    for language, source in blocks(page):
        if language == "python":
            capsys.readouterr()
            exec(compile(source, str(page), "exec"), namespace)
            printed = capsys.readouterr().out
            after[source] = dict(namespace)
        elif language == "text":
            assert printed == source
    return after


@pytest.mark.parametrize("page", with_blocks("python"), ids=lambda page: page.name)
def test_examples(page, capsys, tmp_path, monkeypatch):
    needed(page)
    monkeypatch.chdir(tmp_path)
    if "deeplinear[store]" in page.read_text(encoding="utf-8"):
        pytest.importorskip("zarr", reason="Python 3.10 has no zarr that stores need")
    results = run_page(page, capsys)
    assert results
    if page != DATA:
        return
    (diabetes,) = (names for source, names in results.items() if "load_diabetes" in source)
    check_diabetes(diabetes)
    command = pictures()
    committed = command.shown(ROOT / "docs" / "diabetes.png")
    assert command.differences(committed, command.describe(diabetes["figure"])) == []
    assert (tmp_path / "diabetes.png").read_bytes().startswith(b"\x89PNG")


def test_every_page_of_the_guide_has_examples():
    assert with_blocks("python") == GUIDE


def check_diabetes(names):
    regression = names["regression"]
    assert (regression.n, regression.d) == (442, 10)
    np.testing.assert_allclose(np.diag(regression.covariance), 1)
    assert list(names["depths"]) == list(range(2, 11))
    for depth, final in zip(names["depths"], names["final"], strict=True):
        lower = dl.theory.sharpness_lower_bound(regression, depth)
        aligned = dl.theory.aligned_sharpness(regression, depth)
        upper = dl.theory.sharpness_upper_bound(regression, depth)
        small_scale = dl.theory.small_scale_sharpness_bound(regression, depth)
        assert lower < aligned < upper < small_scale
        assert final.shape == (10,)
        assert lower < final.min()
        assert final.max() < small_scale
        assert aligned < np.median(final) < upper


# Those of README.md install the package, and .ci/run and its readers run them.
@pytest.mark.parametrize(
    "page", [page for page in with_blocks("bash") if page != README], ids=lambda page: page.name
)
def test_commands(page, tmp_path):
    """The shell blocks of a page run one after another, in one empty folder."""
    needed(page)
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / "deeplinear"
    script.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", COMMAND])} "$@"\n')
    script.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    env = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "MPLBACKEND": "Agg"}
    for language, source in blocks(page):
        if language != "bash":
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", source], cwd=work, env=env, timeout=300,
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can lead to, as GitHub names its headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def test_links_lead_somewhere():
    for page in PAGES:
        text = BLOCK.sub("", page.read_text(encoding="utf-8"))
        for target in LINK.findall(text):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def test_every_page_is_linked():
    """From README.md every page is reached by links."""
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            file = (page.parent / target.partition("#")[0]).resolve()
            waiting += [file] if file.suffix == ".md" and file.is_file() else []
    assert {page.resolve() for page in PAGES} <= reached


# What a page names by its path, from here or from the page
ROOTS = ("", "cpp", "cpp/core", "python", "python/deeplinear")
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|py|pyi|hpp|cpp|toml|txt|json))`")
# What commands make
MADE = {".venv/bin/deeplinear", "results/", "results/index.html", "dist/", "wheelhouse/"}


def test_files_that_are_named_are_there():
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # speaks of what is gone, too
            continue
        for name in NAMED.findall(page.read_text(encoding="utf-8")):
            there = any((ROOT / root / name).exists() for root in ROOTS)
            beside = (page.parent / name).exists()
            assert there or beside or name in MADE, f"{page.name}: {name}"


def rows_of(page: Path) -> set[str]:
    """The names in code that rows of the page's tables begin with."""
    return set(re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_record_and_status_is_explained():
    assert {*dl.RECORDABLE, *dl.STATUS} <= rows_of(ROOT / "docs" / "records.md")


TIME = re.compile(r"(?<![\d.])(\d[\d.]*(?:e\+\d+)?) (us|ms|s)\b(?: \((\d[\d.]*(?:e\+\d+)?)\))?")


def table_times(page: Path) -> set[tuple[str, str, str]]:
    """The times in the tables of a page as (number, unit, ratio); the ratio may be empty."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return {found for line in lines if line.startswith("|") for found in TIME.findall(line)}


def test_figures_are_measured():
    """README.md shows times that benchmarks/README.md has, and that page those of the tables."""
    summary = table_times(ROOT / "benchmarks" / "README.md")
    shown = table_times(README)
    assert shown
    assert {time[:2] for time in shown} <= {time[:2] for time in summary}
    measured = [
        re.split(r"\s*\|\s*", line)
        for page in sorted((ROOT / "docs" / "benchmarks").glob("*.md"))
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    for number, unit, ratio in summary:
        rows = [cells for cells in measured if f"{number} {unit}" in cells]
        assert rows, f"{number} {unit}"
        assert not ratio or any(ratio in cells for cells in rows), f"{number} {unit} ({ratio})"


def test_commands_are_whole():
    text = README.read_text(encoding="utf-8")
    for name, last in (("main", "deeplinear reproduce all"), ("test", "python -m pytest -n auto")):
        block = re.search(rf"<!-- command: {name} -->\n```bash\n(.*?)```", text, re.DOTALL)
        assert block is not None
        lines = block.group(1).splitlines()
        assert lines[0].startswith("python3 -m venv ")
        assert last in lines[-1]

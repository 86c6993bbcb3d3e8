"""The examples of the documentation run, and print what it says that they print."""

import re
from pathlib import Path

import numpy as np
import pytest

import deeplinear as dl
from test_pictures import pictures

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
pytestmark = pytest.mark.skipif(
    not PAGES[0].is_file(), reason="the tests are away from the sources"
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(page: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    """Run the Python blocks of a page one after another; what each defined, by its source.

    A text block is what the Python block before it prints.
    """
    import matplotlib

    matplotlib.use("Agg")
    namespace: dict[str, object] = {"__name__": "__main__"}
    after: dict[str, dict[str, object]] = {}
    printed = ""
    for language, source in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            capsys.readouterr()
            exec(compile(source, str(page), "exec"), namespace)
            printed = capsys.readouterr().out
            after[source] = dict(namespace)
        elif language == "text":
            assert printed == source
    return after


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = run_page(page, capsys)
    assert results
    if page.name != "README.md":
        return
    (diabetes,) = (names for source, names in results.items() if "load_diabetes" in source)
    check_diabetes(diabetes)
    command = pictures()
    committed = command.shown(ROOT / "docs" / "diabetes.png")
    assert command.differences(committed, command.describe(diabetes["figure"])) == []
    assert (tmp_path / "diabetes.png").read_bytes().startswith(b"\x89PNG")


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


def test_links_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_are_whole():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, last in (("main", "deeplinear reproduce all"), ("test", "python -m pytest -n auto")):
        block = re.search(rf"<!-- command: {name} -->\n```bash\n(.*?)```", text, re.DOTALL)
        assert block is not None
        lines = block.group(1).splitlines()
        assert lines[0].startswith("python3 -m venv ")
        assert last in lines[-1]

"""What the sources include and import, held against the layers in docs/architecture.md."""

import ast
import re
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the tests are away from the sources")

Edge = tuple[str, str]  # what includes or imports, and what is included or imported


@dataclass(frozen=True)
class Layer:
    """A layer: it may know what stands below it, but not some of it, or only some of it."""

    name: str
    rule: str = ""  # "not", "only" or nothing
    names: frozenset[str] = frozenset()

    def may_know(self, other: str) -> bool:
        return (other in self.names) == (self.rule == "only") if self.rule else True


LINE = re.compile(r"(?P<name>\S+)(?:\s+(?P<rule>not|only)\b(?P<names>[^#]*))?\s+# \S.*")


def layers(page: str, language: str) -> list[Layer]:
    """The layers of a language, top to bottom, from the fenced block that lists them."""
    (block,) = re.findall(rf"^```layers {language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    found = []
    for line in block.splitlines():
        parts = LINE.fullmatch(line)
        assert parts, line
        names = frozenset((parts["names"] or "").split())
        found.append(Layer(parts["name"], parts["rule"] or "", names))
    return found


def layer_of(name: str, listed: Iterable[Layer], separator: str) -> str | None:
    """The listed layer that a file or module lies in: the longest of those that hold it."""
    held = (
        layer.name for layer in listed if f"{name}{separator}".startswith(layer.name + separator)
    )
    return max(held, key=len, default=None)


def wrong(edges: Iterable[Edge], listed: list[Layer], separator: str) -> list[str]:
    """The edges that the list does not allow, each with the reason."""
    place = {layer.name: i for i, layer in enumerate(listed)}
    found = []
    for source, target in sorted(set(edges)):
        upper, lower = (layer_of(name, listed, separator) for name in (source, target))
        if upper is None or lower is None:
            found.append(f"{source} -> {target}: not in a layer of the list")
        elif upper != lower and place[lower] < place[upper]:
            found.append(f"{source} -> {target}: {upper} lies below {lower}")
        elif upper != lower and not listed[place[upper]].may_know(lower):
            found.append(f"{source} -> {target}: {upper} must not know {lower}")
    return found


def circle(edges: Iterable[Edge]) -> list[str]:
    """Names that lead back to the first of them; empty where none do."""
    graph: dict[str, set[str]] = {}
    for source, target in edges:
        graph.setdefault(source, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


# ---- C++ ---------------------------------------------------------------------------------------

CPP = ROOT / "cpp"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def sources() -> list[Path]:
    return sorted(path for path in CPP.glob("**/*") if path.suffix in (".hpp", ".cpp"))


def included(file: Path, name: str) -> Path | None:
    """The file that a compiler takes: beside the one that includes it, or from cpp or cpp/core."""
    folders = (file.parent, CPP, CPP / "core")
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def includes() -> Iterator[Edge]:
    for file in sources():
        for name in INCLUDE.findall(file.read_text(encoding="utf-8")):
            found = included(file, name)
            assert found, f"{file.relative_to(ROOT)} includes {name}, which is not there"
            yield tuple(path.relative_to(CPP).as_posix() for path in (file, found))


def test_includes_run_down():
    listed = layers(PAGE.read_text(encoding="utf-8"), "cpp")
    edges = list(includes())
    assert len(edges) > 100
    assert wrong(edges, listed, "/") == []
    assert circle(edges) == []


def test_includes_in_the_core_say_the_folder():
    for file in (CPP / "core").glob("**/*.[hc]pp"):
        for name in INCLUDE.findall(file.read_text(encoding="utf-8")):
            assert (CPP / "core" / name).is_file(), f"{file.relative_to(ROOT)} includes {name}"


def test_the_list_has_every_folder_of_the_core():
    listed = {layer.name for layer in layers(PAGE.read_text(encoding="utf-8"), "cpp")}
    core, beside = (
        CPP / "core",
        {
            "bindings",
            "bindings_cuda",
            "core",
            "cuda",
            "limits",
            "loader",
            "normals",
            "tests",
        },
    )
    there = {f"core/{path.name}" for path in core.iterdir() if path.is_dir()}
    assert {name for name in listed if name.startswith("core/")} == there
    assert {path.name for path in CPP.iterdir() if path.is_dir()} <= beside
    assert not [path for path in core.iterdir() if path.is_file()]


# ---- Python ------------------------------------------------------------------------------------

PACKAGE = ROOT / "python" / "deeplinear"


def modules() -> dict[str, Path]:
    """The files of the package by the module's name in it; the package itself is __init__."""
    found = {}
    for file in sorted(PACKAGE.glob("**/*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)] = file
    return found


def imported(tree: ast.AST, there: Container[str]) -> Iterator[str]:
    """The modules of the package that a module imports: at its top, in functions, and for type
    checkers alone. ``from a import b`` is the module a.b where there is one.
    """
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"an import says the whole name: {ast.unparse(node)}"
            for alias in node.names:
                within = f"{node.module}.{alias.name}"
                known = within.removeprefix("deeplinear.") in there
                names.append(within if known else str(node.module))
        for name in names:
            if name == "deeplinear":
                yield "__init__"
            elif name.startswith("deeplinear."):
                yield name.removeprefix("deeplinear.")


def imports() -> Iterator[Edge]:
    there = modules()
    for module, file in there.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield from ((module, name) for name in imported(tree, there))


def test_imports_run_down():
    listed = layers(PAGE.read_text(encoding="utf-8"), "python")
    edges = list(imports())
    assert len(edges) > 100
    assert wrong(edges, listed, ".") == []
    assert circle(edges) == []


def test_the_list_has_every_module_of_the_package():
    listed = [layer.name for layer in layers(PAGE.read_text(encoding="utf-8"), "python")]
    assert len(listed) == len(set(listed))
    assert set(listed) == {name.split(".")[0] for name in modules()}


FIRST = """
import importlib, sys
for name in sys.argv[1:]:
    ours = [key for key in sys.modules if key.split(".")[0] == "deeplinear"]
    for key in ours:
        if "._c" not in key:  # what is compiled can be loaded once
            del sys.modules[key]
    importlib.import_module(name)
"""


def test_any_module_of_the_library_can_be_imported_first():
    known = ("_core", "_cpu", "__init__", "experiments", "bench", "_support", "claims", "figures")
    names = [
        f"deeplinear.{name}"
        for name in modules()
        if name.split(".")[0] not in (*known, "presets", "report", "reproduce", "__main__")
    ]
    assert "deeplinear.wording" in names
    assert "deeplinear.sweep_files" in names
    line = [sys.executable, "-c", FIRST, *names]
    found = subprocess.run(line, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


# ---- What these tests would find ---------------------------------------------------------------

LIST = """
```layers cpp
top             # knows all
left   not low  # but one
right  only low # but the others
low             # nothing is below
```
"""


@pytest.mark.parametrize(
    ("edge", "fault"),
    [
        (("top/a", "low/b"), None),
        (("low/a", "low/b"), None),
        (("low/a", "left/b"), "low lies below left"),
        (("left/a", "low/b"), "left must not know low"),
        (("left/a", "right/b"), None),
        (("right/a", "low/b"), None),
        (("top/a", "lower/b"), "not in a layer of the list"),
    ],
)
def test_an_arrow_that_runs_up_is_found(edge, fault):
    found = wrong([edge], layers(LIST, "cpp"), "/")
    assert found == ([] if fault is None else [f"{edge[0]} -> {edge[1]}: {fault}"])


def test_a_circle_is_found():
    assert circle([("a", "b"), ("b", "c"), ("a", "c")]) == []
    assert set(circle([("a", "b"), ("b", "c"), ("c", "a")])) == {"a", "b", "c"}


def test_imports_are_found_wherever_they_stand():
    text = """
import numpy
import deeplinear as dl
from deeplinear import __version__
if TYPE_CHECKING:
    from deeplinear.y import z
def late():
    import deeplinear.x, sys
"""
    found = list(imported(ast.parse(text), {"x", "y", "y.z"}))
    assert sorted(found) == ["__init__", "__init__", "x", "y.z"]


# ---- Sizes and names ---------------------------------------------------------------------------

LONGEST = 400
MOST_FILES = 12
TEXT = {".cpp", ".css", ".hpp", ".j2", ".json", ".md", ".py", ".pyi", ".toml", ".txt", ".yml", ""}
FOLDERS = (".ci", ".github", "benchmarks", "cpp", "docs", "licenses", "python", "tests")
#: Data, and a text of others
NOT_OURS = ("tests/golden.json", "licenses/GPL-3.0.txt")


def texts() -> Iterator[Path]:
    """Files that people read and write: code, tests and pages."""
    for file in chain(ROOT.iterdir(), *((ROOT / folder).glob("**/*") for folder in FOLDERS)):
        hidden = "__pycache__" in file.parts
        if file.is_file() and file.suffix in TEXT and not hidden:
            yield file


def test_no_file_is_long():
    long = {}
    for file in texts():
        name = file.relative_to(ROOT).as_posix()
        lines = file.read_text(encoding="utf-8").count("\n")
        if lines > LONGEST and name not in NOT_OURS:
            long[name] = lines
    assert long == {}


def test_no_folder_of_the_core_is_full():
    for folder in [CPP / "core", *(CPP / "core").glob("**/")]:
        files = [path for path in folder.iterdir() if path.is_file()]
        assert len(files) <= MOST_FILES, folder.relative_to(ROOT)


def test_no_two_tests_have_one_name():
    where: dict[str, set[str]] = {}
    for file in (ROOT / "tests").glob("**/test_*.py"):
        where.setdefault(file.name, set()).add(file.relative_to(ROOT).as_posix())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                where.setdefault(node.name, set()).add(file.relative_to(ROOT).as_posix())
    assert {name: files for name, files in where.items() if len(files) > 1} == {}

"""The layers of the package: an import goes down, and never round in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import deeplinear as dl

PACKAGE = Path(dl.__file__).parent

# From top to bottom: an import goes to a layer further down, and modules of one layer know nothing
# of each other. A folder counts as one module here, and has its own order inside.
LAYERS: dict[str, tuple[str, ...]] = {
    "names of earlier versions": ("claims", "figures", "presets", "report", "reproduce"),
    "laboratory": ("experiments",),
    "measurements of speed": ("bench",),
    "face": ("__init__",),
    "grids": ("sweeps",),
    "lists": ("runs",),
    "one call of the core": ("simulation",),
    "when a run is recorded": ("schedule",),
    "arguments": ("options", "run_settings"),
    "what is recorded": ("records",),
    "landscape": ("landscape", "theory"),
    "what a landscape puts together": ("problem", "spectrum", "hessian_operator", "init"),
    "nouns": ("network", "regression", "dynamics", "seeds"),
    "decompositions": ("least_squares",),
    "support": ("_support",),
    "core": ("_core",),
}
LABORATORY = ("experiments", "bench")


def modules() -> dict[str, Path]:
    """The files of the package by the module's name, such as "experiments.run"."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts
        found[".".join(name)] = path
    return found


MODULES = modules()


def targets(node: ast.AST, path: Path) -> Iterator[str]:
    """The modules of the package that a statement imports."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}: an import says the whole name"
        for alias in node.names:
            within = f"{node.module}.{alias.name}"
            known = within.removeprefix("deeplinear.") in MODULES
            names.append(within if known else str(node.module))
    for name in names:
        if name == "deeplinear":
            yield "__init__"
        elif name.startswith("deeplinear."):
            yield name.removeprefix("deeplinear.")


def imports(module: str, *, typed: bool = True) -> set[str]:
    """What a module imports, in functions too; for a type checker alone as well if `typed`."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        found.update(targets(node, MODULES[module]))
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        waiting += node.orelse if guarded and not typed else ast.iter_child_nodes(node)
    return found


def in_a_circle(names: set[str], *, typed: bool) -> list[str]:
    edges = {name: imports(name, typed=typed) & names for name in names}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def unit(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_one_layer() -> None:
    listed = [name for layer in LAYERS.values() for name in layer]
    assert len(listed) == len(set(listed))
    assert set(listed) == {unit(name) for name in MODULES}


def test_imports_go_down() -> None:
    depth = {name: i for i, layer in enumerate(LAYERS.values()) for name in layer}
    up = [
        f"{module} imports {target}"
        for module in MODULES
        for target in sorted(imports(module))
        if unit(module) != unit(target) and depth[unit(module)] >= depth[unit(target)]
    ]
    assert not up


def test_the_library_does_not_know_its_laboratory() -> None:
    above = {name for layer in list(LAYERS.values())[:3] for name in layer}
    library = {module for module in MODULES if unit(module) not in above}
    assert library >= {"__init__", "landscape", "_support.memory"}
    assert not [m for m in library if {unit(t) for t in imports(m)} & {*LABORATORY}]


def test_no_circle_of_imports() -> None:
    """In the library not even of what only a type checker imports."""
    assert not in_a_circle(set(MODULES), typed=False)
    assert not in_a_circle({m for m in MODULES if unit(m) != "experiments"}, typed=True)


def test_no_module_is_long() -> None:
    lines = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > 400} == {}


def test_a_circle_and_a_guard_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guard = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    texts = {
        "one": f"{guard}    from deeplinear import two",
        "two": "def late():\n    from deeplinear.three import x",
        "three": "import deeplinear.one as other, sys",
        "four": "import deeplinear as dl\nfrom deeplinear import __version__",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setitem(MODULES, name, tmp_path / f"{name}.py")
    assert imports("one") == {"two"}
    assert imports("one", typed=False) == set()
    assert imports("two") == {"three"}
    assert imports("four") == {"__init__"}
    assert set(in_a_circle({*texts}, typed=True)) == {"one", "two", "three"}
    assert in_a_circle({*texts}, typed=False) == []

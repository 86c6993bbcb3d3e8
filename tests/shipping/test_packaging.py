"""What is distributed says whose code it holds, and which versions it is for."""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

import deeplinear as dl

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
# By a license's file, words that stand in its text
LICENSES = {
    "LICENSE": "Permission is hereby granted, free of charge",
    "licenses/pybind11.txt": "Wenzel Jakob <wenzel.jakob@epfl.ch>, All rights reserved.",
    "licenses/MPL-2.0.txt": "3.2. Distribution of Executable Form",
    "licenses/GPL-3.0.txt": "Conveying Non-Source Forms.",
    "licenses/GCC-exception-3.1.txt": "You have permission to propagate a work of Target Code",
}


# ---- Notices -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed() -> Distribution:
    """What the imported package was installed from."""
    try:
        found = distribution("deeplinear")
    except PackageNotFoundError:
        pytest.skip("the package is not installed")
    origin = Path(str(found.locate_file("deeplinear/__init__.py")))
    if not origin.is_file() or not origin.samefile(dl.__file__):
        pytest.skip("the package is imported from its sources")
    return found


def license_text(installed: Distribution, name: str) -> str:
    for file in installed.files or ():
        if file.as_posix().endswith(f".dist-info/licenses/{name}"):
            return file.read_text(encoding="utf-8")
    raise AssertionError(f"{name} is not distributed")


@pytest.mark.wheel
@pytest.mark.parametrize("name", LICENSES)
def test_licenses_are_distributed(installed: Distribution, name: str) -> None:
    assert LICENSES[name] in license_text(installed, name)
    assert name in installed.metadata.get_all("License-File", [])
    if name != "LICENSE":
        assert re.search(rf"\b{re.escape(name)}\b", license_text(installed, "NOTICE"))


@pytest.mark.wheel
def test_the_notice_names_what_is_compiled_in(installed: Distribution) -> None:
    notice = license_text(installed, "NOTICE")
    config = dl.build_config()
    for title in (f"pybind11 {config['pybind11']}", f"Eigen {config['eigen']}"):
        assert f"\n{title}\n    License:" in notice


@pytest.mark.wheel
def test_the_notice_names_what_is_bundled(installed: Distribution) -> None:
    """In a repaired wheel, libraries lie in folders of their own."""
    notice = license_text(installed, "NOTICE")
    bundled = [
        file.name
        for file in installed.files or ()
        if "deeplinear.libs" in file.parts or ".dylibs" in file.parts
    ]
    for name in bundled:
        library = re.split(r"[-.]", name)[0]
        assert f"\n{library}, " in notice, f"{name} is bundled, and NOTICE doesn't name it"


# ---- Versions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_pythons_agree(pyproject: dict[str, Any]) -> None:
    """The oldest Python is the same everywhere; wheels are built for those that are declared."""
    project, tool = pyproject["project"], pyproject["tool"]
    built = re.findall(r"cp3(\d+)-\*", tool["cibuildwheel"]["build"])
    assert project["requires-python"] == f">=3.{built[0]}"
    assert tool["ruff"]["target-version"] == f"py3{built[0]}"
    named = re.findall(r"Python :: 3\.(\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)
    assert named == built


def test_minimums_are_stated(pyproject: dict[str, Any]) -> None:
    """Each dependency of the package and its tests states the one version that is tried."""
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    covered = re.fullmatch(r"deeplinear\[([a-z,]+)\]", extras["test"][0])
    assert covered
    names = {"test", *covered[1].split(",")}
    assert names == extras.keys() - {"benchmark", "cuda13", "lint"}
    asked = [requirement for name in sorted(names) for requirement in extras[name]]
    for requirement in (*project["dependencies"], *asked):
        if requirement.startswith("deeplinear["):
            continue
        minimum = r"[a-z0-9-]+>=[0-9.]+(; python_version (<|>=) '3\.\d+')?$"
        assert re.match(minimum, requirement)


def test_the_part_for_cuda_is_of_this_version(pyproject: dict[str, Any]) -> None:
    part = ROOT / "packaging" / "cuda13" / "pyproject.toml"
    if not part.is_file():
        pytest.skip("the tests are away from the sources")
    other = tomllib.loads(part.read_text(encoding="utf-8"))
    version = pyproject["project"]["version"]
    assert other["project"]["version"] == version
    (needed,) = pyproject["project"]["optional-dependencies"]["cuda13"]
    assert needed == f"{other['project']['name']}=={version}"
    assert other["build-system"] == pyproject["build-system"]


def test_pins_agree(pyproject: dict[str, Any]) -> None:
    pages = [page for page in (ROOT / "CONTRIBUTING.md", ROOT / "NOTICE") if page.is_file()]
    if not pages:
        pytest.skip("the tests are away from the sources")
    pins = dict(pin.split("==") for pin in pyproject["build-system"]["requires"])
    for page in pages:
        text = page.read_text(encoding="utf-8")
        found = re.findall(rf"\b({'|'.join(pins)})(?:==|\s)(\d[\d.]*\d)", text)
        assert found, page.name
        assert all(pins[name] == version for name, version in found), (page.name, found)

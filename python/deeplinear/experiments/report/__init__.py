"""The report of a directory of experiments: one page that needs nothing but a browser.

Its texts are the templates beside this file, for Jinja2, which escapes all that they show.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from deeplinear._support.files import require, writable_directory, write_file
from deeplinear.experiments import figures
from deeplinear.experiments.claims import CLAIMS, Row, rows
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.results.netcdf import MODULES, Unusable, load, misplaced
from deeplinear.experiments.results.runs import Runs, endings

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["REPORT_MODULES", "write"]

#: What `write` needs beyond the package's own requirements.
REPORT_MODULES = ("jinja2", "matplotlib", "scipy", *MODULES)

_TITLE = "Sharpness of deep linear networks: what was claimed, and what was measured"
# The same as of the style sheet, where a table of rows becomes a list.
_NARROW, _DARK = "(max-width: 40rem)", "(prefers-color-scheme: dark)"
#: The attributes of an experiment that are shown as they are.
_TEXTS = ("experiment", "dtype", "deeplinear_version", "compiler", "simd", "preset")


@dataclass(frozen=True)
class _Section:
    """An experiment, with what is said of it."""

    runs: Runs
    rows: list[Row]
    text: str


@dataclass(frozen=True)
class _Figure:
    """A figure of an experiment; without images where this version does not have it."""

    name: str
    caption: str = ""
    image: str = ""
    on: tuple[tuple[str, str], ...] = ()  # the image for a kind of screen, in place of `image`


def write(directory: str | os.PathLike[str]) -> Path:
    """Write the report on all experiments in a directory.

    Parameters
    ----------
    directory : path-like
        Where `deeplinear.experiments.run.save` wrote their data, ``NAME.nc``.

    Returns
    -------
    Path
        ``index.html`` there. The same data give the same page. Files ``*.nc`` that are damaged,
        that cannot be read, or that hold another experiment than their name says, have a line
        each, and the rest is there.

    Raises
    ------
    ImportError
        If an optional package that reads the data, draws the figures or fills the templates is
        missing.
    ValueError
        If the directory cannot be written, or has no data of an experiment.
    OSError
        If the page cannot be written; an older one is as it was.
    """
    require("A report", *REPORT_MODULES)
    folder = writable_directory("directory", directory)
    datasets, left_out = _load(folder)
    sections = {}
    for name, dataset in datasets.items():
        section = _section(name, dataset)
        if isinstance(section, str):
            left_out.append(section)
        else:
            sections[name] = section
    if not sections:
        reasons = " ".join(("", *left_out))
        raise ValueError(
            f"directory must hold data of an experiment; got none in {folder}.{reasons}"
        )
    path = folder / "index.html"
    write_file(path, _page(sections, left_out).encode())
    return path


def _load(folder: Path) -> tuple[dict[str, xr.Dataset], list[str]]:
    """Read the experiments, the package's own first and in their order, and say what is left out.

    Neither parts of the runs of an experiment nor files of other programs count.
    """
    found, left_out = {}, []
    for path in sorted(folder.glob("*.nc")):
        try:
            dataset = load(path)
        except Unusable as error:
            if error.kind != "foreign":
                left_out.append(f"{path.name} {error.says}.")
            continue
        experiment = str(dataset.attrs["experiment"])
        if other := misplaced(path, experiment):
            left_out.append(f"{path.name} {other}.")
        elif experiment == path.stem:
            found[path.stem] = dataset
    order = {name: i for i, name in enumerate(PRESETS)}
    names = sorted(found, key=lambda n: (order.get(n.removesuffix("-quick"), len(order)), n))
    return {name: found[name] for name in names}, left_out


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(__name__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _page(sections: dict[str, _Section], left_out: list[str]) -> str:
    datasets = [section.runs.data for section in sections.values()]
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=_TITLE,
            style=(files(__name__) / "style.css").read_text(encoding="utf-8"),
            sections=sections,
            rows=[row for section in sections.values() for row in section.rows],
            claims=CLAIMS,
            left_out=left_out,
            runs=sum(section.runs.count for section in sections.values()),
            seconds=sum(float(dataset.attrs["simulation_seconds"]) for dataset in datasets),
            precision=", ".join(sorted({str(dataset.attrs["dtype"]) for dataset in datasets})),
        )
    )


def _section(name: str, dataset: xr.Dataset) -> _Section | str:
    """Hold an experiment against the claims, and describe it; or say what its data lack."""
    try:
        return _described(name, dataset)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return f"{name}.nc lacks something of an experiment: {error!r}."


def _described(name: str, dataset: xr.Dataset) -> _Section:
    runs, found, attrs = Runs(dataset), rows(dataset), dataset.attrs
    title = str(attrs["title"])
    text = (
        _templates()
        .get_template("experiment.html")
        .render(
            name=name,
            title=title[:1].upper() + title[1:],
            runs=runs.count,
            reached=int(runs.reached.sum()),
            linear=runs.linear,
            endings=endings(runs.status),
            seconds=float(attrs["simulation_seconds"]),
            figures=[_figure(dataset, figure) for figure in runs.figures],
            rows=found,
            seed=int(attrs["seed"]),
            seeds=(runs.seeds.min(), runs.seeds.max()),
            reached_below=float(attrs["reached_below"]),
            threads=int(attrs["threads"]),
            **{key: str(attrs[key]) for key in _TEXTS},
        )
    )
    return _Section(runs, found, text)


def _figure(dataset: xr.Dataset, name: str) -> _Figure:
    if name not in figures.FIGURES:
        return _Figure(name)
    wide, narrow = (figures.svg(dataset, name, narrow=narrow) for narrow in (False, True))
    on = (
        (f"{_NARROW} and {_DARK}", figures.darken(narrow)),
        (_NARROW, narrow),
        (_DARK, figures.darken(wide)),
    )
    images = tuple((media, _uri(svg)) for media, svg in on)
    return _Figure(name, figures.caption(name), _uri(wide), images)


def _uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()

"""The report of a directory of experiments: one page that needs nothing but a browser."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
import xarray as xr

from deeplinear._support.files import require, writable_directory, write_file
from deeplinear.experiments import figures
from deeplinear.experiments.claims import CLAIMS, Row, rows
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.netcdf import MODULES, Unusable, load, misplaced
from deeplinear.options import endings

__all__ = ["write"]

_TITLE = "Sharpness of deep linear networks: what was claimed, and what was measured"
# The same as of the style sheet, where a table of rows becomes a list.
_NARROW, _DARK = "(max-width: 40rem)", "(prefers-color-scheme: dark)"


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
        If an optional package that reads the data or draws the figures is missing.
    ValueError
        If the directory cannot be written, or has no data of an experiment.
    OSError
        If the page cannot be written; an older one is as it was.
    """
    require("A report", "matplotlib", "scipy", *MODULES)
    folder = writable_directory("directory", directory)
    datasets, left_out = _load(folder)
    experiments = {}
    for name, dataset in datasets.items():
        section = _section(name, dataset)
        if isinstance(section, str):
            left_out.append(section)
        else:
            experiments[name] = section
    if not experiments:
        reasons = " ".join(("", *left_out))
        raise ValueError(
            f"directory must hold data of an experiment; got none in {folder}.{reasons}"
        )
    shown = {name: datasets[name] for name in experiments}
    path = folder / "index.html"
    write_file(path, ("\n".join(_page(shown, experiments, left_out)) + "\n").encode())
    return path


def _section(name: str, dataset: xr.Dataset) -> tuple[list[Row], list[str]] | str:
    """Hold an experiment against the claims, and describe it; or say what its data lack."""
    try:
        table = rows(dataset)
        return table, list(_experiment(name, dataset, table))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return f"{name}.nc lacks something of an experiment: {error!r}."


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


def _page(
    datasets: Mapping[str, xr.Dataset],
    experiments: Mapping[str, tuple[list[Row], list[str]]],
    left_out: Sequence[str],
) -> Iterator[str]:
    style = (files("deeplinear.experiments.report") / "style.css").read_text(encoding="utf-8")
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<link rel="icon" href="data:,">'
    yield f"<title>{_TITLE}</title>"
    yield f"<style>\n{style}</style>"
    yield "</head>"
    yield "<body>"
    yield from _header(datasets)
    yield "<main>"
    for sentence in left_out:
        yield f"<p><strong>Left out:</strong> {escape(sentence)}</p>"
    yield from _summary([row for table, _ in experiments.values() for row in table])
    for _, section in experiments.values():
        yield from section
    yield "</main>"
    yield from _footer(datasets)
    yield "</body>"
    yield "</html>"


def _header(datasets: Mapping[str, xr.Dataset]) -> Iterator[str]:
    runs = sum(dataset.sizes["run"] for dataset in datasets.values())
    seconds = sum(float(dataset.attrs["simulation_seconds"]) for dataset in datasets.values())
    yield "<header>"
    yield f"<h1>{_TITLE}</h1>"
    yield (
        f'<p class="soft">{len(datasets)} experiments, {runs:,} runs, {seconds:,.1f} seconds of '
        "simulation. Every number on this page is computed from the data beside it.</p>"
    )
    yield '<nav aria-label="Experiments"><ul>'
    yield '<li><a href="#claims">claims</a></li>'
    for name in datasets:
        yield f'<li><a href="#{escape(name)}">{escape(name)}</a></li>'
    yield "</ul></nav>"
    yield "</header>"


def _verdict(agrees: bool | None) -> str:
    kind, text = {
        True: ("agrees", "✓ agrees"),
        False: ("disagrees", "✗ disagrees"),
        None: ("open", "– not tested"),
    }[agrees]
    return f'<td data-label="verdict" class="verdict {kind}">{text}</td>'


def _summary(table: Sequence[Row]) -> Iterator[str]:
    """All claims, with the rows that speak for and against each."""
    yield '<section id="claims" aria-labelledby="claims-title">'
    yield '<h2 id="claims-title">The claims</h2>'
    yield '<div class="box"><table class="rows">'
    yield "<caption>A claim disagrees where one of its rows below does.</caption>"
    yield "<thead><tr>"
    yield "".join(
        f'<th scope="col">{text}</th>' for text in ("claim", "rows that agree", "verdict")
    )
    yield "</tr></thead><tbody>"
    for number, statement in CLAIMS.items():
        verdicts = [row.agrees for row in table if row.claim == number and row.agrees is not None]
        against = [row for row in table if row.claim == number and row.agrees is False]
        count = f"{sum(verdicts)} of {len(verdicts)}" if verdicts else "none"
        where = ", ".join(dict.fromkeys(escape(row.experiment) for row in against))
        count += f"; against it: {where}" if where else ""
        yield f'<tr><th scope="row">{number}. {escape(statement)}</th>'
        yield f'<td data-label="rows that agree">{count}</td>'
        yield _verdict(all(verdicts) if verdicts else None) + "</tr>"
    yield "</tbody></table></div>"
    yield "</section>"


def _experiment(name: str, dataset: xr.Dataset, table: Sequence[Row]) -> Iterator[str]:
    anchor = escape(name)
    yield f'<section id="{anchor}" aria-labelledby="{anchor}-title">'
    yield f'<h2 id="{anchor}-title">{anchor}</h2>'
    title = str(dataset.attrs["title"])
    yield f"<p>{escape(title[:1].upper() + title[1:])}. {_counts(dataset)}</p>"
    for figure in str(dataset.attrs["figures"]).split():
        if figure in figures.FIGURES:
            yield from _figure(name, dataset, figure)
        else:
            yield f"<p>The figure {escape(figure)} is none of this version.</p>"
    if table:
        yield "<h3>Expected and measured</h3>"
        yield from _table(table)
    yield "<details>"
    yield f"<summary>Settings of {anchor}</summary>"
    yield f"<p>{_provenance(dataset)}</p>"
    yield f"<pre>{escape(str(dataset.attrs['preset']))}</pre>"
    yield "</details>"
    yield "</section>"


def _counts(dataset: xr.Dataset) -> str:
    reached = int(dataset["reached"].values.sum())
    word = "reached a minimizer" if dataset.attrs["activation"] == "identity" else "settled"
    return (
        f"{dataset.sizes['run']:,} runs, of which {reached:,} {word} and "
        f"{endings(dataset['status'].values)}, in "
        f"{float(dataset.attrs['simulation_seconds']):,.2f} seconds of simulation."
    )


def _provenance(dataset: xr.Dataset) -> str:
    attrs, seeds = dataset.attrs, dataset["seed"].values
    below = float(attrs["reached_below"])
    return (
        f"Seed {int(attrs['seed'])}; seeds of the initial weights {seeds.min()} to {seeds.max()}, "
        f"by run in {escape(str(attrs['experiment']))}.nc. A run reached a minimizer, or settled, "
        f"where its excess risk was at most {below:g} of the zero map's at the end and before it. "
        f"{escape(str(attrs['dtype']))}, {int(attrs['threads'])} threads, deeplinear "
        f"{escape(str(attrs['deeplinear_version']))}, {escape(str(attrs['compiler']))}, "
        f"{escape(str(attrs['simd']))}."
    )


def _figure(name: str, dataset: xr.Dataset, figure: str) -> Iterator[str]:
    wide, narrow = (figures.svg(dataset, figure, narrow=narrow) for narrow in (False, True))
    caption = escape(figures.caption(figure))
    yield "<figure><picture>"
    for media, svg in (
        (f"{_NARROW} and {_DARK}", figures.darken(narrow)),
        (_NARROW, narrow),
        (_DARK, figures.darken(wide)),
    ):
        yield f'<source media="{media}" srcset="{_uri(svg)}">'
    yield f'<img src="{_uri(wide)}" alt="{escape(name)}, {escape(figure)}: {caption}">'
    yield "</picture>"
    yield f"<figcaption>{caption}</figcaption></figure>"


def _uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _table(table: Sequence[Row]) -> Iterator[str]:
    heads = ("what", "claim", "expected", "measured", "verdict")
    yield '<div class="box"><table class="rows"><thead><tr>'
    yield "".join(f'<th scope="col">{text}</th>' for text in heads)
    yield "</tr></thead><tbody>"
    for row in table:
        yield f'<tr><th scope="row">{escape(row.quantity)}</th>'
        yield f'<td data-label="claim">{row.claim}</td>'
        yield f'<td data-label="expected">{escape(row.expected)}</td>'
        yield f'<td data-label="measured">{escape(row.measured)}</td>'
        yield _verdict(row.agrees) + "</tr>"
    yield "</tbody></table></div>"


def _footer(datasets: Mapping[str, xr.Dataset]) -> Iterator[str]:
    precision = ", ".join(np.unique([str(d.attrs["dtype"]) for d in datasets.values()]))
    notes = " ".join((figures.__doc__ or "").split("-----\n")[-1].replace("`", "").split())
    yield "<footer>"
    yield f"<p>Precision: {escape(precision)}. {escape(notes)}</p>"
    yield (
        "<p>The claims and experiments are those of Pierre Marion and Lénaïc Chizat, Deep linear "
        "networks for regression are implicitly regularized towards flat minima, NeurIPS 2024.</p>"
    )
    yield "</footer>"

"""The side-by-side tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

__all__ = ["OURS", "Comparison", "Row", "print_comparison", "to_json", "to_markdown"]

OURS = "deeplinear"


@dataclass(frozen=True)
class Row:
    """One technique at one work.

    Parameters
    ----------
    technique : str
        Its name.
    threads : int or None
        Those of this package; None stands for all that a library takes.
    seconds : tuple of float
        Of a unit of work, round by round; the same rounds of all rows took turns.
    share : float or None
        Of the machine's limit, the median of the rounds' shares.
    """

    technique: str
    threads: int | None
    seconds: tuple[float, ...]
    share: float | None = None

    @property
    def label(self) -> str:
        """The technique, with the threads of this package."""
        return self.technique if self.threads is None else f"{self.technique}, {self.threads} thr."

    @property
    def time(self) -> float:
        """The median over the rounds."""
        return median(self.seconds)

    def times(self, other: Row) -> float:
        """Compute the median ratio to another row, over the rounds that both have."""
        return median(a / b for a, b in zip(self.seconds, other.seconds, strict=False))


@dataclass(frozen=True)
class Comparison:
    """The rows of one work.

    Parameters
    ----------
    name, title, unit : str
        What it is, and of what the times are.
    rows : sequence of Row
        As measured.
    notes : sequence of str
        Sentences to stand below.
    """

    name: str
    title: str
    unit: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    @property
    def references(self) -> list[Row]:
        """The rows that the others are set in ratio to: this package by threads."""
        own = [row for row in self.rows if row.technique == OURS]
        return sorted(own, key=lambda row: row.threads or 0) or list(self.rows[:1])

    @property
    def ordered(self) -> list[Row]:
        """The rows: this package by threads, then the others, the fastest first."""
        own = self.references
        others = [row for row in self.rows if row not in own]
        return own + sorted(others, key=lambda row: row.time)

    def cells(self) -> list[list[str]]:
        """Write out the heading and the rows."""
        references = self.references
        by_threads = all(row.technique == OURS for row in references)
        shares = any(row.share is not None for row in self.rows)
        heads = [f"times ours on {row.threads}" for row in references]
        if not by_threads:
            heads = [f"times {references[0].technique.removeprefix(f'{OURS}, ')}"]
        lines = [["technique", "time", *heads, *(["of limit"] if shares else [])]]
        for row in self.ordered:
            ratios = [f"{row.times(own):.3g}" for own in references]
            share = [] if not shares else ["" if row.share is None else f"{row.share:.0%}"]
            lines.append([row.label, duration(row.time), *ratios, *share])
        return lines


def to_markdown(comparison: Comparison) -> str:
    """Write the table in Markdown, with aligned columns."""
    head, *rows = comparison.cells()
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = "\n".join(_line(line, widths) for line in lines)
    title = f"### {comparison.title}, time per {comparison.unit}"
    return "\n\n".join([title, table, *comparison.notes])


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print the table on a terminal."""
    head, *rows = comparison.cells()
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, title in enumerate(head):
        table.add_column(title, justify="right" if k else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(f"{comparison.title}, time per {comparison.unit}", markup=False, highlight=False)
    console.print(table)
    for note in comparison.notes:
        console.print(note, markup=False, highlight=False)
    console.print()


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Give what was measured, as JSON takes it."""
    references = comparison.references
    return {
        "name": comparison.name,
        "title": comparison.title,
        "unit": comparison.unit,
        "rows": [
            {
                "technique": row.technique,
                "threads": row.threads,
                "seconds": row.time,
                "rounds": list(row.seconds),
                "times_ours": {str(own.threads): row.times(own) for own in references},
                "share_of_limit": row.share,
            }
            for row in comparison.ordered
        ],
        "notes": list(comparison.notes),
    }


def _line(row: list[str], widths: list[int]) -> str:
    first, *numbers = row
    cells = [first.ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
    return "| " + " | ".join(cells) + " |"


def duration(seconds: float) -> str:
    """Write a time with its unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= 0.1 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"

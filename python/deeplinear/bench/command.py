"""What the command ``deeplinear bench`` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from deeplinear import _core
from deeplinear._support.checks import one_of, positive_integer
from deeplinear._support.files import check_replaceable, writable_file, write_file
from deeplinear._support.progress import progress_bar
from deeplinear._support.signals import uninterrupted
from deeplinear.bench import runner
from deeplinear.bench.machine import ARITHMETIC, Limits, describe_machine, use_processors
from deeplinear.bench.table import Comparison, print_comparison, to_json, to_markdown
from deeplinear.bench.works import NAMES, Work, make_works

__all__ = ["Bench"]


class Bench:
    """A run of the benchmarks, with checked options.

    Parameters
    ----------
    only : sequence of str
        Names of works; none stands for all.
    quick, full : bool
        Small sizes; everything, also what takes minutes.
    threads : int or None
        The most that this package takes, and the processors that the others may use.
    markdown : bool
        Whether to print Markdown.
    json_file : Path or None
        Where to write the numbers too.

    Raises
    ------
    ValueError
        If an option does not fit.
    """

    def __init__(
        self,
        only: Sequence[str] = (),
        *,
        quick: bool = False,
        full: bool = False,
        threads: int | None = None,
        markdown: bool = False,
        json_file: Path | None = None,
    ) -> None:
        names = tuple(dict.fromkeys(one_of("--only", name, NAMES) for name in only)) or NAMES
        if quick and full:
            raise ValueError("--quick and --full exclude each other; got both.")
        if threads is None:
            threads = _core.build_config()["threads"]
        self.threads = positive_integer("--threads", threads)
        if json_file is not None:
            json_file = writable_file("--json", json_file)
            check_replaceable("--json", json_file)
        use_processors(self.threads)
        self.works: list[Work] = make_works(names, self.threads, quick)
        self.timing = runner.QUICK if quick else runner.FULL
        self.quick, self.full = quick, full
        self.markdown, self.json_file = markdown, json_file
        self.limits = Limits()
        self.done: list[Comparison] = []
        self._console = Console()

    def run(self) -> bool:
        """Measure and print one work after another; false where Ctrl-C ended it."""
        self._print_head()
        complete = True
        for number, work in enumerate(self.works, start=1):
            race = runner.Race(work, self.limits, self.threads, self.timing, full=self.full)
            label = f"{number} of {len(self.works)}, {work.name}"
            try:
                with progress_bar(True, label) as update:
                    race.run(update)
            except KeyboardInterrupt:
                complete = False
            found = race.comparison()
            if found is not None:
                self.done.append(found)
                self._print(found)
            if not complete:
                break
        if self.json_file is not None:
            with uninterrupted() if complete else nullcontext():
                self._write(self.json_file, complete)
        return complete

    def _print_head(self) -> None:
        machine = describe_machine()
        for threads in sorted({1, self.threads}):
            for dtype in ("float64", "float32"):
                self.limits.measure(ARITHMETIC, dtype, threads)
        packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        caches = f" ({', '.join(machine['caches'])})" if machine["caches"] else ""
        lines = [
            f"{machine['processors']} processors of {machine['processor']}{caches}, "
            f"{machine['system']}.",
            f"deeplinear {machine['deeplinear']}, level {machine['simd']}, {machine['compiler']}; "
            f"Python {machine['python']}, {packages}.",
            *(self.limits.sentence(ARITHMETIC, dtype) for dtype in ("float64", "float32")),
        ]
        if self.quick:
            lines.append("Small sizes, briefly: not for comparisons.")
        if self.markdown:
            print(f"## Measured, {date.today():%d %B %Y}\n\n" + "\n".join(lines) + "\n")
        else:
            for line in lines:
                self._console.print(line, markup=False, highlight=False)
            self._console.print()

    def _print(self, found: Comparison) -> None:
        if self.markdown:
            print(to_markdown(found) + "\n", flush=True)
        else:
            print_comparison(self._console, found)

    def _write(self, file: Path, complete: bool) -> None:
        content: dict[str, Any] = {
            "date": date.today().isoformat(),
            "complete": complete,
            "quick": self.quick,
            "threads": self.threads,
            "machine": describe_machine(),
            "limits": self.limits.to_json(),
            "works": [to_json(found) for found in self.done],
        }
        write_file(file, (json.dumps(content, indent=2) + "\n").encode())

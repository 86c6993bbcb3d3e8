"""What a claim is, and a row of what was expected of it and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from deeplinear.experiments.results.runs import Runs

__all__ = ["Claim", "Finding", "Row"]


class Finding(NamedTuple):
    """One expectation and what was measured.

    Attributes
    ----------
    quantity, expected, measured : str
        In words and numbers. Where an expectation needs a threshold, it says it in words.
    agrees : bool or None
        None where the data can't tell.
    """

    quantity: str
    expected: str
    measured: str
    agrees: bool | None


@dataclass(frozen=True)
class Row:
    """A finding about a claim in the data of an experiment.

    Attributes
    ----------
    claim : int
        Number of the claim, of `CLAIMS`.
    experiment : str
        Whose data it is from.
    quantity, expected, measured, agrees
        As of `Finding`.
    """

    claim: int
    experiment: str
    quantity: str
    expected: str
    measured: str
    agrees: bool | None


@dataclass(frozen=True)
class Claim:
    """A sentence of the literature, and how experiments are held against it.

    Attributes
    ----------
    number : int
        Its place among the claims.
    sentence : str
        What is claimed.
    findings : callable
        Takes the runs of an experiment, which recorded the sharpness. What it finds follows from
        what was run and recorded alone; of an experiment that says nothing of the claim, nothing.
    """

    number: int
    sentence: str
    findings: Callable[[Runs], Iterable[Finding]]

    def rows(self, runs: Runs) -> list[Row]:
        """Hold an experiment against the claim."""
        return [
            Row(
                self.number,
                runs.experiment,
                finding.quantity,
                finding.expected,
                finding.measured,
                None if finding.agrees is None else bool(finding.agrees),
            )
            for finding in self.findings(runs)
        ]

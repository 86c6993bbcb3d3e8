"""What a figure of an experiment is, and what the experiment must hold for it.

What it lacks is said when the experiment is made, not after the work, and without matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deeplinear.dynamics import GradientDescent
from deeplinear.experiments.results.runs import Runs

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from deeplinear.experiments.data import Data
    from deeplinear.experiments.training import Training

__all__ = [
    "ENDS",
    "ONLY_DESCENT",
    "SOME_DESCENT",
    "SOME_ENDS",
    "SOME_FLOW",
    "Drawing",
    "Fault",
    "descends",
]

Parts = Sequence["Training"]


@dataclass(frozen=True)
class Fault:
    """What an experiment must not be like for a figure.

    Attributes
    ----------
    text : str
        How a sentence says that it is.
    found : callable
        Whether it is, by its parts of the training and its data.
    """

    text: str
    found: Callable[[Parts, Data], bool]


@dataclass(frozen=True)
class Drawing:
    """A figure of an experiment.

    Attributes
    ----------
    name : str
        What presets call it, and files.
    needs : tuple of str
        What must be recorded.
    caption : str
        What it shows, in sentences of plain text.
    draw : callable
        Draws the runs of an experiment.
    faults : tuple of Fault
        What the experiment must not be like; the first one that it is like is told.
    """

    name: str
    needs: tuple[str, ...]
    caption: str
    draw: Callable[[Runs], Figure]
    faults: tuple[Fault, ...] = ()

    def __call__(self, dataset: xr.Dataset) -> Figure:
        """Draw the dataset of an experiment."""
        return self.draw(Runs(dataset))

    def lacking(self, record: Sequence[str], data: Data, training: Parts) -> str | None:
        """Say in a few words why an experiment can't have the figure.

        Parameters
        ----------
        record, data, training
            As of `deeplinear.experiments.preset.Preset`.

        Returns
        -------
        str or None
            Such as ``"record lacks 'sharpness'"``; None where it can.
        """
        for need in self.needs:
            if need not in record:
                return f"record lacks {need!r}"
        return next((fault.text for fault in self.faults if fault.found(training, data)), None)


def descends(part: Training) -> bool:
    """Say whether a part of the training is gradient descent."""
    return isinstance(part.dynamics, GradientDescent)


ENDS = Fault(
    "a part of the training has 'every': it shows the start and the end",
    lambda parts, data: any(part.every is not None for part in parts),
)
SOME_ENDS = Fault(
    "every part of the training has 'every': it shows the end of those without",
    lambda parts, data: all(part.every is not None for part in parts),
)
ONLY_DESCENT = Fault(
    "a part of the training is gradient flow",
    lambda parts, data: not all(map(descends, parts)),
)
SOME_DESCENT = Fault(
    "no part of the training is gradient descent",
    lambda parts, data: not any(map(descends, parts)),
)
SOME_FLOW = Fault(
    "no part of the training is gradient flow",
    lambda parts, data: all(map(descends, parts)),
)

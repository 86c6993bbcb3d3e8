"""What an experiment must hold for each figure: said when it is made, not after the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from deeplinear.dynamics import GradientDescent
from deeplinear.experiments.data import Data, SpectralData

if TYPE_CHECKING:
    from deeplinear.experiments.preset import Training

__all__ = ["FIGURE_NAMES", "FIGURE_NEEDS", "lacking"]

#: The figures that a preset can ask for, with what each needs to be recorded.
FIGURE_NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sharpness": ("sharpness",),
        "distance": ("distance",),
        "divergence": (),
        "generalization": ("test_risk", "sharpness"),
        "curves": ("distance", "sharpness"),
        "depths": ("distance",),
        "alignment-curves": (
            "rank_one_gap",
            "alignment",
            "layer_norm",
            "balancedness",
            "sharpness",
        ),
        "alignment-scales": ("rank_one_gap", "alignment", "sharpness"),
        "flow-and-descent": ("distance", "sharpness", "balancedness"),
        "depth-scaling": ("sharpness",),
        "tightness": ("sharpness",),
    }
)
#: Their names.
FIGURE_NAMES = tuple(FIGURE_NEEDS)

_Parts = Sequence["Training"]


def _descent(part: Training) -> bool:
    return isinstance(part.dynamics, GradientDescent)


#: What the training must be like: how a sentence says that it isn't, and whether it isn't.
_Fault = tuple[str, Callable[[_Parts], bool]]
_ENDS: _Fault = (
    "a part of the training has 'every': it shows the start and the end",
    lambda parts: any(part.every is not None for part in parts),
)
_DESCENT: _Fault = (
    "a part of the training is gradient flow",
    lambda parts: not all(map(_descent, parts)),
)
_SOME_DESCENT: _Fault = (
    "no part of the training is gradient descent",
    lambda parts: not any(map(_descent, parts)),
)
_SOME_FLOW: _Fault = (
    "no part of the training is gradient flow",
    lambda parts: all(map(_descent, parts)),
)
_MORE_RUNS: _Fault = (
    "gradient descent has more runs than gradient flow, which each is compared with",
    lambda parts: (
        max(part.runs for part in parts if _descent(part))
        > max(part.runs for part in parts if not _descent(part))
    ),
)
_FLOW_ALONG: _Fault = (
    "no part of gradient flow has 'every': it shows what happens in between",
    lambda parts: not any(part.every is not None for part in parts if not _descent(part)),
)
_SOME_ENDS: _Fault = (
    "every part of the training has 'every': it shows the end of those without",
    lambda parts: all(part.every is not None for part in parts),
)
_FAULTS: Mapping[str, tuple[_Fault, ...]] = MappingProxyType(
    {
        "sharpness": (_ENDS,),
        "distance": (_ENDS,),
        "generalization": (_ENDS, _SOME_DESCENT),
        "curves": (_DESCENT,),
        "depths": (_ENDS, _DESCENT),
        "alignment-curves": (_FLOW_ALONG,),
        "alignment-scales": (_SOME_ENDS,),
        "flow-and-descent": (_SOME_FLOW, _SOME_DESCENT, _MORE_RUNS),
    }
)


def lacking(figure: str, record: Sequence[str], data: Data, training: _Parts) -> str | None:
    """Say in a few words why an experiment can't have a figure.

    Parameters
    ----------
    figure : str
        One of `FIGURE_NAMES`.
    record, data, training
        As of `deeplinear.experiments.preset.Preset`.

    Returns
    -------
    str or None
        Such as ``"record lacks 'sharpness'"``; None where it can.
    """
    for need in FIGURE_NEEDS[figure]:
        if need not in record:
            return f"record lacks {need!r}"
    if figure == "tightness" and not isinstance(data, SpectralData):
        return "the data have no spectrum of their own: it needs those of kind 'spectral'"
    return next((text for text, found in _FAULTS.get(figure, ()) if found(training)), None)

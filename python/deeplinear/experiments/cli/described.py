"""What ``deeplinear sweep`` is told to run: a sweep as TOML, or a part of a preset."""

from __future__ import annotations

from pathlib import Path

from deeplinear._support.checks import positive_integer
from deeplinear._support.files import user_path
from deeplinear._support.toml import parse, read_text
from deeplinear.description import Sweep
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.preset import Preset
from deeplinear.experiments.toml import read_preset
from deeplinear.sweep_files import read_sweep

__all__ = ["described"]


def described(file: Path, part: int | None) -> Sweep:
    """Read a sweep, or a part of the training of a preset, by its file or its name.

    Raises
    ------
    ValueError
        If the file or the part is not as it must be.
    """
    if not user_path("FILE", file).exists() and str(file) in PRESETS:
        return _part_of(PRESETS[str(file)], part)
    if "training" in parse(read_text(file), str(file)):
        return _part_of(read_preset(file), part)
    if part is not None:
        raise ValueError(f"--part must be that of a preset; got {part} and {file}, a sweep.")
    return read_sweep(file)


def _part_of(preset: Preset, part: int | None) -> Sweep:
    sweeps = preset.sweeps()
    if part is None and len(sweeps) > 1:
        raise ValueError(
            f"--part must be 1 to {len(sweeps)}, a part of the training of {preset.name}; "
            "got nothing."
        )
    number = 1 if part is None else positive_integer("--part", part)
    if number > len(sweeps):
        raise ValueError(
            f"--part must be 1 to {len(sweeps)}, a part of the training of {preset.name}; "
            f"got {part}."
        )
    return sweeps[number - 1]

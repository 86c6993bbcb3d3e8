"""The side-by-side table at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass

from .peak import Peak

OURS = "deeplinear"


@dataclass(frozen=True)
class Measurement:
    """One technique at one work: the fastest round, per unit of that work."""

    work: str
    dtype: str
    technique: str
    threads: int | None  # None: all that the library takes
    seconds: float
    unit: str  # the work of one unit, such as "run and step"
    flops: int | None = None  # of one unit


def render(measurements: list[Measurement], peak: Peak | None) -> str:
    """One Markdown table per work and type, ours first."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.work, measurement.dtype), []).append(measurement)
    parts = [] if peak is None else [peak.describe()]
    for (work, dtype), group in groups.items():
        parts.append(f"{work}, {dtype}, time per {group[0].unit}\n\n" + _table(group, peak))
    return "\n\n".join(parts)


def _table(group: list[Measurement], peak: Peak | None) -> str:
    ours = sorted((m for m in group if m.technique == OURS), key=lambda m: m.threads or 0)
    others = sorted((m for m in group if m.technique != OURS), key=lambda m: m.seconds)
    arithmetic = any(m.flops for m in group)
    header = ["technique", "time"]
    header += [f"times ours on {m.threads}" for m in ours]
    header += ["GFLOP/s", "of peak"] if arithmetic else []
    rows = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for m in [*ours, *others]:
        name = f"{OURS}, threads: {m.threads}" if m.technique == OURS else m.technique
        row = [name, _duration(m.seconds)]
        row += [f"{m.seconds / own.seconds:.3g}" for own in ours]
        if arithmetic:
            row += _arithmetic(m, peak)
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _arithmetic(measurement: Measurement, peak: Peak | None) -> list[str]:
    if not measurement.flops:
        return ["", ""]
    rate = measurement.flops / measurement.seconds / 1e9
    if peak is None:
        return [f"{rate:.1f}", ""]
    threads = measurement.threads or max(n for _, n in peak.arithmetic)
    limit = peak.arithmetic.get((measurement.dtype, threads))
    return [f"{rate:.1f}", f"{rate / limit:.0%}" if limit else ""]


def _line(row: list[str], widths: list[int]) -> str:
    first, *numbers = row
    cells = [first.ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
    return "| " + " | ".join(cells) + " |"


def _duration(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= 0.1 * scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"

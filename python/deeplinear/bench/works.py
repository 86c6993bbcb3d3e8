"""What is set side by side: each work with everything that can do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from deeplinear.bench import ours
from deeplinear.bench.baselines import (
    BENT_NETWORK_DESCENT,
    BENT_NETWORK_SHARPNESS,
    GRADIENT_DESCENT,
    ONE_NETWORK,
    ONE_NETWORK_SHARPNESS,
    Technique,
)
from deeplinear.bench.machine import ARITHMETIC, READ, READ_READ_WRITE
from deeplinear.bench.problems import (
    BENT_NETWORK,
    DEEP_NETWORK,
    MIDDLE_NETWORK,
    SHORT,
    SMALL,
    WIDE_NETWORK,
    Problem,
    bent_network,
    one_network,
)
from deeplinear.bench.table import OURS

__all__ = [
    "NAMES",
    "TOLERANCE",
    "Entry",
    "Work",
    "compute_of",
    "descent",
    "ensemble",
    "flow",
    "make_works",
    "rules",
    "run_of",
    "sample_sharpness",
    "samples",
    "sharpness",
    "short_runs",
    "thread_counts",
]

TOLERANCE = 1e-6
# Read passes over the weights: two for each stage, the last of dopri5 being the first of the next
RK4_READS, DOPRI5_READS = 8, 12


@dataclass(frozen=True)
class Entry:
    """One technique at one work.

    Parameters
    ----------
    technique : str
        Its name.
    prepare : callable
        Returns what is timed, ``run(amount)``.
    threads : int or None
        Those of this package; None stands for all that a library takes.
    limit : str or None
        The kind of limit that it is held against.
    quantity : callable, optional
        Operations or bytes of a unit, from what `run` returned.
    units : callable, optional
        The units of work done, from what `run` returned, where these are not the amount's.
    fixed_cost : bool
        Whether a call has a cost of its own, which is not the work's: copies of the weights.
    value : callable, optional
        The number that all techniques must agree in, from what `run` returned.
    slow : bool
        Whether it takes minutes.
    """

    technique: str
    prepare: Callable[[], Callable[[Any], Any]]
    threads: int | None = None
    limit: str | None = None
    quantity: Callable[[Any], float] | None = None
    units: Callable[[Any], float] | None = None
    fixed_cost: bool = False
    value: Callable[[Any], float] | None = None
    slow: bool = False

    @property
    def own(self) -> bool:
        """Whether it is this package."""
        return self.threads is not None


@dataclass(frozen=True)
class Work:
    """What several techniques do.

    Parameters
    ----------
    name : str
        For the command line.
    title, unit : str
        For the table; the unit is that of the times.
    entries : tuple of Entry
        What can do it, this package first.
    limit_of : str or int
        What the limit depends on: the dtype of the arithmetic, or the bytes of the weights.
    units : float
        In an amount of one.
    amount : float or None
        What is done at once, where it is not as much as fills a round.
    """

    name: str
    title: str
    unit: str
    entries: tuple[Entry, ...]
    limit_of: str | int
    units: float = 1
    amount: float | None = None


def thread_counts(threads: int) -> tuple[int, ...]:
    """Give one, and all."""
    return tuple(sorted({1, threads}))


def _always(value: float) -> Callable[[Any], float]:
    return lambda result: value


def _bytes(problem: Problem) -> int:
    return 8 * problem.parameters


def ensemble(problem: Problem, threads: int, dtype: str = "float64") -> Work:
    """Set up gradient steps of many small networks."""
    common: dict[str, Any] = {"limit": ARITHMETIC, "quantity": _always(problem.flops)}
    entries = [
        Entry(OURS, partial(ours.descent, problem, dtype, n), n, **common)
        for n in thread_counts(threads)
    ]
    entries += [
        Entry(name, run_of(technique, problem, dtype), **common)
        for name, technique in GRADIENT_DESCENT.items()
    ]
    title = f"Gradient step, ensemble, {problem.name}, {dtype}"
    return Work("ensemble", title, "run and step", tuple(entries), dtype, problem.runs)


def descent(name: str, problem: Problem, threads: int) -> Work:
    """Set up gradient steps of one large network: two reads and one write of its weights."""
    common: dict[str, Any] = {"limit": READ_READ_WRITE, "quantity": _always(3 * _bytes(problem))}
    entries = [
        Entry(OURS, partial(ours.descent, problem, "float64", n), n, fixed_cost=True, **common)
        for n in thread_counts(threads)
    ]
    entries += [
        Entry(technique, run_of(found, problem, "float64"), **common)
        for technique, found in ONE_NETWORK.items()
    ]
    title = f"Gradient step, one network, {problem.name}, float64"
    return Work(name, title, "step", tuple(entries), _bytes(problem))


def samples(name: str, problem: Problem, threads: int, dtype: str = "float64") -> Work:
    """Set up gradient steps of one network with tanh between its layers, over the samples."""
    common: dict[str, Any] = {"limit": ARITHMETIC, "quantity": _always(problem.sample_flops)}
    entries = [
        Entry(OURS, partial(ours.descent, problem, dtype, n, "tanh"), n, fixed_cost=True, **common)
        for n in thread_counts(threads)
    ]
    entries += [
        Entry(technique, run_of(found, problem, dtype), **common)
        for technique, found in BENT_NETWORK_DESCENT.items()
    ]
    title = f"Gradient step, one tanh network, {problem.name}, n={problem.samples}, {dtype}"
    return Work(name, title, "step", tuple(entries), dtype)


def sample_sharpness(name: str, problem: Problem, threads: int) -> Work:
    """Set up a sharpness of such a network: twice the operations of a gradient for a product."""
    common: dict[str, Any] = {
        "limit": ARITHMETIC,
        "quantity": lambda result: 2.0 * problem.sample_flops * float(result.products),
    }
    compute = partial(ours.sharpness, problem, TOLERANCE, activation="tanh")
    entries = [
        Entry(OURS, partial(compute, n), n, value=_value, **common) for n in thread_counts(threads)
    ]
    entries += [
        Entry(technique, compute_of(found, problem), value=float)
        for technique, found in BENT_NETWORK_SHARPNESS.items()
    ]
    size = f"{problem.name}, n={problem.samples}"
    title = f"Sharpness to {TOLERANCE:g}, one tanh network, {size}, float64"
    return Work(name, title, "network", tuple(entries), "float64")


def flow(name: str, problem: Problem, threads: int) -> Work:
    """Set up steps of gradient flow beside those of descent, all by this package."""
    size = _bytes(problem)
    entries = [
        Entry(
            f"{OURS}, gradient descent",
            partial(ours.descent, problem, "float64", threads),
            threads,
            READ_READ_WRITE,
            _always(3 * size),
            fixed_cost=True,
        )
    ]
    entries += [
        Entry(
            f"{OURS}, {method}",
            partial(ours.flow, problem, "float64", threads, method),
            threads,
            READ,
            _always(reads * size),
            units=_last_step,
            fixed_cost=True,
        )
        for method, reads in (("rk4", RK4_READS), ("dopri5", DOPRI5_READS))
    ]
    title = f"Steps of the integrators, one network, {problem.name}, float64"
    return Work(name, title, "step", tuple(entries), size)


def rules(name: str, problem: Problem, threads: int) -> Work:
    """Set up steps with momentum beside those of plain descent, all by this package."""
    entries = [
        Entry(
            f"{OURS}, {rule}",
            partial(ours.descent, problem, "float64", threads, **fields),
            threads,
            fixed_cost=problem.runs == 1,
        )
        for rule, fields in _RULES.items()
    ]
    one = problem.runs == 1
    kind = "one network" if one else "ensemble"
    unit, limit_of = ("step", _bytes(problem)) if one else ("run and step", "float64")
    title = f"Steps of the rules, {kind}, {problem.name}, float64"
    return Work(name, title, unit, tuple(entries), limit_of, problem.runs)


def short_runs(name: str, problem: Problem, threads: int) -> Work:
    """Set up a sweep of many short runs, beside `simulate` from the same weights."""
    entries = [
        Entry(f"{OURS}, sweep", partial(ours.sweep_runs, problem, n), n)
        for n in thread_counts(threads)
    ]
    entries += [
        Entry(
            f"{OURS}, {how}", partial(ours.sampled_runs, problem, threads, sampled=sampled), threads
        )
        for how, sampled in (
            ("simulate from weights that are there", False),
            ("weights sampled one by one, and simulate", True),
        )
    ]
    title = f"Sweep of runs of {ours.SHORT_STEPS} steps, {problem.name}, float64"
    return Work(name, title, "run", tuple(entries), "float64", problem.runs)


_RULES: dict[str, dict[str, Any]] = {
    "gradient descent": {},
    "momentum": {"momentum": 0.9},
    "Nesterov's": {"momentum": 0.9, "nesterov": True},
    "Nesterov's, weight decay": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
}


def _last_step(dataset: Any) -> float:
    return float(dataset.last_step[0])


def sharpness(
    name: str, problem: Problem, threads: int, *, slow: bool = False, warm: bool = False
) -> Work:
    """Set up a sharpness of one large network: two reads of its weights for a Hessian product."""
    common: dict[str, Any] = {"limit": READ, "quantity": partial(_product_bytes, _bytes(problem))}
    compute = partial(ours.sharpness, problem, TOLERANCE)
    entries = [
        Entry(OURS, partial(compute, n, warm=warm), n, value=_value, **common)
        for n in thread_counts(threads)
    ]
    if warm:
        entries.append(Entry(f"{OURS}, from nothing", partial(compute, threads), threads, **common))
    else:
        entries += [
            Entry(technique, compute_of(found, problem), value=float, slow=slow)
            for technique, found in ONE_NETWORK_SHARPNESS.items()
        ]
    after = "after one more step, from the eigenvector before, " if warm else ""
    title = f"Sharpness to {TOLERANCE:g}, {after}one network, {problem.name}, float64"
    return Work(name, title, "network", tuple(entries), _bytes(problem))


def _value(result: Any) -> float:
    return float(result.value)


def _product_bytes(size: int, result: Any) -> float:
    return 2.0 * size * float(result.products)


def run_of(technique: Technique, *arguments: Any) -> Callable[[], Callable[[Any], Any]]:
    """Prepare a job's work alone."""

    def prepare() -> Callable[[Any], Any]:
        job = technique.prepare(*arguments)
        run: Callable[[Any], Any] = job.run
        return run

    return prepare


def compute_of(technique: Technique, problem: Problem) -> Callable[[], Callable[[Any], Any]]:
    """Prepare a sharpness, to be computed so many times."""

    def prepare() -> Callable[[Any], Any]:
        compute = technique.prepare(problem, TOLERANCE)

        def run(times: int) -> Any:
            for _ in range(times):
                value = compute()
            return value

        return run

    return prepare


_Make = Callable[[str, Problem, int], Work]
# name -> how it is made, and of which networks in full and in quick form
_WORKS: dict[str, tuple[_Make, Problem, Problem]] = {
    "ensemble": (
        lambda name, problem, threads: ensemble(problem, threads),
        SMALL,
        Problem(5, 10, 256, 0.35),
    ),
    "deep": (descent, DEEP_NETWORK, one_network(32, 50)),
    "wide": (descent, WIDE_NETWORK, one_network(128, 10)),
    "ensemble-rules": (rules, SMALL, Problem(5, 10, 256, 0.35)),
    "wide-rules": (rules, WIDE_NETWORK, one_network(128, 10)),
    "sweep": (short_runs, SHORT, Problem(2, 4, 500, 0.5)),
    "deep-flow": (flow, DEEP_NETWORK, one_network(32, 50)),
    "wide-flow": (flow, WIDE_NETWORK, one_network(128, 10)),
    "sharpness": (sharpness, MIDDLE_NETWORK, one_network(16, 20)),
    "deep-sharpness": (partial(sharpness, slow=True), DEEP_NETWORK, one_network(16, 50)),
    "samples": (samples, BENT_NETWORK, bent_network(24, 100)),
    "samples-sharpness": (sample_sharpness, BENT_NETWORK, bent_network(16, 50)),
    "warm-sharpness": (partial(sharpness, warm=True), DEEP_NETWORK, one_network(16, 50)),
}
#: The names of all works.
NAMES = tuple(_WORKS)


def make_works(names: tuple[str, ...], threads: int, quick: bool) -> list[Work]:
    """Make the works of these names, for this package on one and so many threads."""
    works = []
    for name in names:
        make, full, small = _WORKS[name]
        works.append(make(name, small if quick else full, threads))
    return works

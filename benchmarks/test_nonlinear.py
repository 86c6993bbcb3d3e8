"""Nonlinear networks: an ensemble and one sharpness with GELUs, and one larger tanh network."""

from __future__ import annotations

from functools import partial

from deeplinear.bench import ours
from deeplinear.bench.baselines import GELU_GRADIENT_DESCENT, GELU_SHARPNESS
from deeplinear.bench.problems import GELU, SINGLE_GELU, bent_network
from deeplinear.bench.table import OURS
from deeplinear.bench.works import (
    TOLERANCE,
    Entry,
    Work,
    compute_of,
    run_of,
    sample_sharpness,
    samples,
    thread_counts,
)

from .conftest import THREADS, each_entry


def gradient_descent(dtype):
    entries = [
        Entry(OURS, partial(ours.descent, GELU, dtype, n, "gelu"), n)
        for n in thread_counts(THREADS)
    ]
    entries += [
        Entry(name, run_of(found, GELU, dtype)) for name, found in GELU_GRADIENT_DESCENT.items()
    ]
    title = f"Gradient step, GELU, {GELU.name}, n={GELU.samples}, {dtype}"
    return Work("gelu", title, "run and step", tuple(entries), dtype, GELU.runs)


def sharpness():
    compute = partial(ours.sharpness, SINGLE_GELU, TOLERANCE, 1, activation="gelu")
    entries = [Entry(OURS, compute, 1)]
    entries += [
        Entry(name, compute_of(found, SINGLE_GELU)) for name, found in GELU_SHARPNESS.items()
    ]
    title = f"Sharpness to {TOLERANCE:g}, GELU, {SINGLE_GELU.name}, n={GELU.samples}, float64"
    return Work("gelu-sharpness", title, "network", tuple(entries), "float64")


@each_entry(gradient_descent("float64"), gradient_descent("float32"), sharpness())
def test_gelu(compare, work, entry):
    compare(work, entry)


# Around the sizes at which lanes, caches and threads change what is fast
SIZES = ((32, 200), (64, 1000), (64, 20000), (128, 2000), (256, 100), (256, 2000), (512, 5000))


@each_entry(
    *(samples("samples", bent_network(*size), THREADS) for size in SIZES),
    samples("samples", bent_network(256, 2000), THREADS, "float32"),
    *(sample_sharpness("samples", bent_network(*size), THREADS) for size in SIZES[1:6:2]),
)
def test_one_bent_network(compare, work, entry):
    compare(work, entry)

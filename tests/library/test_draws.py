"""The weights of many runs: NumPy's streams from the core, and what laws make of them."""

from __future__ import annotations

import platform
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import deeplinear as dl
from deeplinear import _core, draws
from deeplinear.draws import draw
from deeplinear.init import FromWeights, Gaussian, Identity, Initialization, Orthogonal, Residual

EDGES = (0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
BEYOND = (2**64, 2**96 + 5, 2**128 - 1, 2**200)


def numpys(seed: int, count: int) -> Any:
    sequence = np.random.SeedSequence(seed, spawn_key=(0,))
    return np.random.default_rng(sequence).standard_normal(count)


def same_bits(found: Any, expected: Any) -> bool:
    return bool(np.array_equal(found.view(np.uint64), expected.view(np.uint64)))


#: Elsewhere NumPy's compiler may have fused a product and a sum of the tail, and the weights are
#: then drawn by NumPy itself.
EXACT = platform.machine() in ("x86_64", "AMD64")


def assert_numpys(found: Any, seeds: list[int]) -> None:
    expected = np.array([numpys(seed, found.shape[1]) for seed in seeds])
    off = found.view(np.uint64) != expected.view(np.uint64)
    assert not (EXACT and off.any())
    assert np.all(np.abs(expected[off]) > 3.654)
    np.testing.assert_array_max_ulp(found[off], expected[off], maxulp=1)


# ---- The core's streams ------------------------------------------------------------------------


@pytest.mark.core
@given(
    st.lists(st.sampled_from(EDGES) | st.integers(0, 2**64 - 1), min_size=1, max_size=9),
    st.integers(1, 600),
    st.integers(1, 3),
)
def test_streams_are_numpys(seeds: list[int], count: int, threads: int) -> None:
    found = np.empty((len(seeds), count))
    _core.standard_normals(np.array(seeds, np.uint64), found, threads)
    assert_numpys(found, seeds)


@pytest.mark.core
def test_long_streams_with_their_tails() -> None:
    """One number in 3,900 lies beyond the outermost strip, at 3.654."""
    seeds, count = np.array([5, 2**63], np.uint64), 200_000
    found = np.empty((2, count))
    _core.standard_normals(seeds, found, 2)
    assert_numpys(found, seeds.tolist())
    assert min((found > 3.6542).sum(), (found < -3.6542).sum()) > 20


@pytest.mark.core
def test_many_runs_on_several_threads() -> None:
    seeds = np.arange(30_000, dtype=np.uint64)
    rows = [np.empty((len(seeds), 7)) for _ in range(2)]
    for threads, found in enumerate(rows, 1):
        _core.standard_normals(seeds, found, threads)
    assert same_bits(*rows)
    assert_numpys(rows[0][::997].copy(), seeds[::997].tolist())


@pytest.mark.core
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
def test_ctrl_c_ends_long_draws() -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    out = np.zeros((2**26, 1))  # memory that is not written takes none
    seeds = np.zeros(len(out), np.uint64)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            _core.standard_normals(seeds, out, 2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert out[0, 0] != 0
    assert out[-1, 0] == 0


# ---- What laws make of them --------------------------------------------------------------------

scales = st.floats(1e-300, 1e300) | st.sampled_from((1e-320, 0.5, 1.0, 1e308))
LAWS: dict[str, Any] = {
    "Gaussian": scales.map(Gaussian),
    "Residual": (scales | st.just(0.0)).map(Residual),
    "Orthogonal": scales.map(Orthogonal),
    "Identity": st.just(Identity()),
}


@st.composite
def networks(draw: st.DrawFn) -> dl.Network:
    widths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=6))
    return dl.Network(widths, readout=np.ones(widths[-1]))


@pytest.fixture(scope="module", params=[(2**22, 2**16), (97, 31)], ids=["long", "short"])
def blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocks and pieces as they are, and so short that a few runs have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "_BLOCK", request.param[0])
        patch.setattr(draws, "_PIECE", request.param[1])
        yield


def check(network: dl.Network, laws: Any, seeds: Any, runs: Any) -> None:
    """Compare the runs' weights, which law and seed each has, with those of `sample`."""
    law_of, seed_of = (np.array(index, np.int64) for index in zip(*runs, strict=True))
    found = np.full((len(runs), network.parameters), np.nan)
    draw(network, laws, law_of, seeds, seed_of, found, threads=2)
    for row, (i, j) in zip(found, runs, strict=True):
        with np.errstate(all="ignore"):
            expected = np.concatenate([W.ravel() for W in laws[i].sample(network, seeds[j])])
        assert same_bits(row, expected)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("name", LAWS)
@given(data=st.data())
def test_blocks_are_samples(name: str, data: st.DataObject) -> None:
    """Over laws, shapes and seeds; laws and seeds in any order, some of them several times."""
    network = data.draw(networks())
    laws = data.draw(st.lists(LAWS[name], min_size=1, max_size=3))
    one = st.sampled_from(EDGES) | st.integers(0, 2**64 - 1)
    if data.draw(st.booleans()):
        one |= st.sampled_from(BEYOND)
    seeds = data.draw(st.lists(one, min_size=1, max_size=6, unique=True))
    run = st.tuples(st.integers(0, len(laws) - 1), st.integers(0, len(seeds) - 1))
    check(network, laws, seeds, data.draw(st.lists(run, min_size=1, max_size=12)))


@pytest.mark.usefixtures("blocks")
def test_ranges_of_seeds() -> None:
    network, runs = dl.Network((3, 4, 1)), [(0, j) for j in (2, 0, 1, 2)]
    for seeds in (range(3), range(9, 0, -4), range(2**63 - 2, 2**63 + 1), range(2**64, 2**64 + 3)):
        check(network, [Gaussian(0.5)], seeds, runs)


@pytest.mark.usefixtures("blocks")
def test_given_starts() -> None:
    network = dl.Network((3, 2, 1))
    starts = np.random.default_rng(0).standard_normal((4, network.parameters))
    check(network, [FromWeights(starts)], (3, 0, 2), [(0, 0), (0, 1), (0, 0), (0, 2)])
    check(network, [FromWeights(starts[0])], (3, 2**64 - 1), [(0, 0), (0, 1)])
    check(network, [FromWeights(starts[0])], (3, 2**64), [(0, 0), (0, 1)])
    for seed in (4, 2**64):
        with pytest.raises(ValueError, match=rf"below the number of starts, 4; got {seed}\.$"):
            check(network, [FromWeights(starts)], (0, seed), [(0, 0), (0, 1)])


def test_a_law_of_ones_own_is_asked_once_for_a_seed() -> None:
    """Whatever else runs differ in."""
    asked: list[tuple[float, int]] = []

    @dataclass(frozen=True)
    class Law(Initialization):
        scale: Any

        def sample(self, network: dl.Network, seed: int) -> Any:
            asked.append((self.scale, seed))
            return Gaussian(self.scale).sample(network, seed)

    network = dl.Network((3, 3, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=12, d=3, seed=1))
    flow = dl.GradientFlow(["rk4", "dopri5"], step=[0.1, 0.2])
    dl.sweep(landscape, Law([0.5, 0.25]), flow, seeds=[7, 2], time=1.0, progress=False)
    assert sorted(asked) == [(0.25, 2), (0.25, 7), (0.5, 2), (0.5, 7)]


# ---- Another NumPy -----------------------------------------------------------------------------


@pytest.fixture
def afresh() -> Iterator[None]:
    draws._draws_as_numpy.cache_clear()
    yield
    draws._draws_as_numpy.cache_clear()


@pytest.mark.usefixtures("afresh")
def test_the_comparison_with_numpy_sees_a_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has numbers of the tail, whose last bits depend on the library's logarithm."""
    assert draws._draws_as_numpy() or not EXACT
    function = _core.standard_normals

    def other(seeds: Any, out: Any, threads: int) -> None:
        function(seeds, out, threads)
        tail = np.abs(out) > 3.6542
        out[tail] = np.nextafter(out[tail], 0)

    draws._draws_as_numpy.cache_clear()
    monkeypatch.setattr(_core, "standard_normals", other)
    assert not draws._draws_as_numpy()


def test_with_another_numpy_its_own_streams_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "_draws_as_numpy", lambda: False)
    monkeypatch.setattr(_core, "standard_normals", None)
    check(dl.Network((3, 4, 1)), [Gaussian(0.5)], (2, 2**63), [(0, 1), (0, 0), (0, 1)])

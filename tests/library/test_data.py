"""Laws of data: drawn ones, and files of a person's own."""

import hashlib
import io
import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import deeplinear as dl
from deeplinear import wording

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
X_TEST, Y_TEST = RNG.standard_normal((4, 3)), RNG.standard_normal(4)


def assert_same(one, other):
    for name in ("X", "y", "X_test", "y_test"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_gaussian_data_are_those_of_the_function():
    for n, d, noise, seed in ((12, 3, 1.0, 0), (5, 9, 0.0, 7), (20, 4, 0.3, 2**70)):
        law = dl.data.Gaussian(n, d, noise, seed)
        assert_same(law.regression(), dl.gaussian_regression(n, d, noise, seed))
    assert dl.data.Gaussian(12, 3) == dl.data.Gaussian(n=12, d=3, noise=1.0, seed=0)


@pytest.mark.parametrize("along", ["top", "bottom"])
@pytest.mark.parametrize(("n", "d", "condition"), [(2, 2, 1.0), (9, 4, 30.0), (40, 6, 1e6)])
def test_spectral_data_have_the_asked_spectrum(n, d, condition, along):
    regression = dl.data.Spectral(n, d, condition, along, seed=3).regression()
    eigenvalues = np.linalg.eigvalsh(regression.X.T @ regression.X / n)
    np.testing.assert_allclose(eigenvalues, np.geomspace(1 / condition, 1, d), atol=1e-14 * d)
    # y = X w* without noise, w* a unit eigenvector of the first or last eigenvalue
    minimizer = np.linalg.lstsq(regression.X, regression.y, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.norm(minimizer), 1, rtol=1e-9)
    curvature = minimizer @ regression.X.T @ regression.X @ minimizer / n
    np.testing.assert_allclose(curvature, 1 if along == "top" else 1 / condition, rtol=1e-9)


def test_the_spectrum_does_not_change_the_directions():
    one, other = (dl.data.Spectral(9, 4, c, seed=3).regression() for c in (1.0, 50.0))
    # y along the top is sqrt(n) times a column of Q, whatever the condition
    np.testing.assert_allclose(one.y, other.y, rtol=1e-14)
    assert (dl.data.Spectral(9, 4, 50.0, seed=4).regression().y != other.y).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dl.data.Gaussian(0, 3), "n must be a positive integer; got 0"),
        (lambda: dl.data.Gaussian([5, 0], 3), r"n\[1\] must be a positive integer; got 0"),
        (lambda: dl.data.Gaussian(5, 3, -1.0), "noise must be a non-negative finite number"),
        (lambda: dl.data.Gaussian(5, 3, []), "noise must be one value or a non-empty sequence"),
        (lambda: dl.data.Gaussian(5, 3, seed=-1), "seed must be a non-negative integer; got -1"),
        (lambda: dl.data.Spectral(5, 3, 0.5), "condition must be at least 1; got 0.5"),
        (
            lambda: dl.data.Spectral(5, 3, 1e300, "bottom").regression(),
            r"condition must be one whose data are in range; got 1e\+300: y must be",
        ),
        (lambda: dl.data.Spectral(5, 3, 2, "left"), "along must be one of 'top', 'bottom'"),
        (lambda: dl.data.Spectral(5, 1, 2), "d must be at least 2"),
        (lambda: dl.data.Spectral([9, 5], [3, 6], 2), "n must be at least d = 6"),
        (lambda: dl.data.Gaussian(5, [3, 4]).regression(), "d must be one value here; got a seq"),
        (lambda: dl.data.Spectral(5, 3, [2, 3]).regression(), "condition must be one value here"),
    ],
)
def test_bad_laws_get_one_sentence(make, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        make()


def saved(path, name="d.csv", content=None):
    file = path / name
    if content is None:
        content = "a,b,y,c\n" + "".join(
            f"{x[0]!r},{x[1]!r},{y!r},{x[2]!r}\n"
            for x, y in zip(X.tolist(), Y.tolist(), strict=True)
        )
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_csv_is_read_to_the_bit(tmp_path):
    file = saved(tmp_path)
    law = dl.data.File(file)
    assert_same(law.regression(), dl.Regression(X, Y))
    assert law.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert law.path == str(file)
    # numbers on which a quick reader errs by one in the last place
    numbers = [*RNG.uniform(0, 1e-5, 2000), 0.1 + 0.2, 1 / 3]
    text = "y,x\n" + "".join(f"{x!r},1\n" for x in map(float, numbers))
    law = dl.data.File(saved(tmp_path, "e.csv", text))
    np.testing.assert_array_equal(law.regression().y, numbers)


def test_csv_of_other_programs(tmp_path):
    """A mark of the byte order, quotes, another target, integers, and what pandas writes."""
    text = '\ufeff"price, net","b"\r\n1,2\r\n3,4\r\n0,1\r\n'
    law = dl.data.File(saved(tmp_path, content=text), target="price, net")
    assert_same(law.regression(), dl.Regression([[2], [4], [1]], [1, 3, 0]))
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y)
    table.to_csv(tmp_path / "P.CSV", index=False)
    assert_same(dl.data.File(tmp_path / "P.CSV").regression(), dl.Regression(X, Y))


def test_npz_with_and_without_test_data(tmp_path):
    law = dl.data.File(saved(tmp_path, "d.npz", npz(X=X, y=Y)))
    assert_same(law.regression(), dl.Regression(X, Y))
    content = npz(X=X, z=Y, X_test=X_TEST, z_test=Y_TEST)
    law = dl.data.File(saved(tmp_path, "e.npz", content), "z")
    assert_same(law.regression(), dl.Regression(X, Y, X_TEST, Y_TEST))
    # the test risk of a file is that of its arrays
    dataset = dl.sweep(
        dl.Landscapes(dl.Networks(2), law),
        dl.init.Gaussian(0.3),
        dl.GradientDescent(0.01),
        seeds=1,
        steps=3,
        record="test_risk",
        progress=False,
    )
    landscape = dl.Landscape(dl.Network((3, 3, 1)), dl.Regression(X, Y, X_TEST, Y_TEST))
    weights = dl.init.Gaussian(0.3).sample(landscape.network, 0)
    alone = dl.simulate(
        landscape, weights, dl.GradientDescent(0.01), steps=3, every=3, record="test_risk"
    )
    np.testing.assert_array_equal(dataset.test_risk, alone.test_risk)


def test_the_digest_is_in_the_description(tmp_path):
    file = saved(tmp_path)
    sweep = dl.Sweep(
        dl.Landscapes(dl.Networks(2), dl.data.File(file)),
        dl.init.Gaussian(0.3),
        dl.GradientDescent(0.01),
        seeds=1,
        steps=3,
    )
    words = wording.words_of(sweep)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert words["data"] == {"kind": "file", "path": str(file), "sha256": digest}
    assert wording.words_of(wording.sweep_of(words)) == words
    file.write_bytes(file.read_bytes() + b"1,2,3,4\n")
    with pytest.raises(
        ValueError, match=rf"^data\.sha256 must be that of {file}, .*; got '{digest[:40]}"
    ):
        wording.sweep_of(words)


def test_a_file_that_changes_is_not_taken_for_the_old_one(tmp_path):
    file = saved(tmp_path)
    law = dl.data.File(file)
    file.write_bytes(b"a,y\n1,2\n")
    with pytest.raises(ValueError, match=f"^path must be the file that was described; {file} has"):
        law.regression()
    with pytest.raises(ValueError, match=f"^sha256 must be that of {file}, "):
        replace(law)
    file.unlink()
    with pytest.raises(
        ValueError, match=f"^path must be a file; {file} could not be read: No such"
    ):
        law.regression()


def test_a_relative_path_is_the_same_file_from_everywhere(tmp_path, monkeypatch):
    saved(tmp_path)
    monkeypatch.chdir(tmp_path)
    law = dl.data.File("d.csv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert_same(law.regression(), dl.Regression(X, Y))
    assert dl.data.File("../d.csv") == law
    assert pickle.loads(pickle.dumps(law)) == law


HOLDS = "path must hold data; FILE does not: "
OBJECTS = np.array([None, {}], object)
BAD_FILES = [
    ("d.csv", "a,b\n1,2\n", "target must be one of 'a', 'b', which FILE holds; got 'y'."),
    ("d.csv", "a,y\n1,2\n\nx,3\n", f"{HOLDS}line 4 must hold a finite number for 'a'; .* 'x'."),
    ("d.csv", "a,y\n1,2\n2,x\n", f"{HOLDS}line 3 must hold a finite number for 'y'; .* 'x'."),
    ("d.csv", "a,y\n1,2\n,3\n", f"{HOLDS}line 3 must hold a finite number for 'a'; .* ''."),
    ("d.csv", "a,y\n1,NA\n", f"{HOLDS}line 2 must hold a finite number for 'y'; .* 'NA'."),
    ("d.csv", "a,y\n1,nan\n", f"{HOLDS}line 2 must hold a finite number for 'y'; .* 'nan'."),
    ("d.csv", "a,y\n1,1e999\n", f"{HOLDS}line 2 must hold a finite number for 'y'; .* '1e999'."),
    ("d.csv", "a,y\n1_0,1\n", f"{HOLDS}line 2 must hold a finite number for 'a'; .* '1_0'."),
    ("d.csv", "a,y\n1,2\n2\n", f"{HOLDS}line 3 must have 2 entries, as line 1 has; it has 1."),
    ("d.csv", "a,y\n0,1,2\n", f"{HOLDS}line 2 must have 2 entries, as line 1 has; it has 3."),
    ("d.csv", ",a,y\n0,1,2\n1,2,3\n", f"{HOLDS}every column must have a name, which line 1 "),
    ("d.csv", "a,y,y\n0,1,2\n", f"{HOLDS}columns must have different names; two are 'y'."),
    ("d.csv", 'a,"y\n1,2\n', f"{HOLDS}"),
    ("d.csv", "", "target must be one of nothing, which FILE holds; got 'y'."),
    ("d.csv", "a,y\n", f"{HOLDS}X must"),
    ("d.csv", "y\n1\n", f"{HOLDS}X must"),
    ("d.csv", b"a,y\n\xff\xfe,1\n", f"{HOLDS}.*utf-8"),
    ("d.npz", b"", f"{HOLDS}"),
    ("d.npz", b"no archive", f"{HOLDS}"),
    ("d.npz", npz(X=X, y=Y)[:-30], f"{HOLDS}"),
    ("d.npz", npz(X=X, z=Y), "target must be one of 'z', which FILE holds; got 'y'."),
    ("d.npz", npz(), "target must be one of nothing, which FILE holds; got 'y'."),
    ("d.npz", npz(y=Y), f"{HOLDS}it must hold 'X'; it holds y."),
    ("d.npz", npz(X=X, y=Y, X_test=X), f"{HOLDS}it must hold 'y_test'; it holds X, y, X_test."),
    ("d.npz", npz(X=X, y=Y, y_test=Y), f"{HOLDS}it must hold 'X_test'; it holds X, y, y_test."),
    ("d.npz", npz(X=X, y=Y[:3]), f"{HOLDS}y must"),
    ("d.npz", npz(X=X * np.inf, y=Y), f"{HOLDS}X must"),
    ("d.npz", npz(X=X.astype(str), y=Y), f"{HOLDS}X must"),
    ("d.npz", npz(X=X, y=OBJECTS), f"{HOLDS}.*allow_pickle"),
    ("d.npz", pickle.dumps({"X": X, "y": Y}), f"{HOLDS}.*pickle"),
]


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("name", "content", "words"), BAD_FILES)
def test_files_without_such_data_get_one_sentence(name, content, words, tmp_path):
    file = saved(tmp_path, name, content)
    with pytest.raises(
        ValueError, match=f"^{words.replace('FILE', re.escape(str(file)))}"
    ) as caught:
        dl.data.File(file).regression()
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert not message.endswith("..")


def test_one_array_without_a_name(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, X)
    with pytest.raises(ValueError, match="does not: it holds one array without a name"):
        dl.data.File(saved(tmp_path, "d.npz", buffer.getvalue())).regression()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"path": "none.csv"}, ValueError, "path must be a file; .*none.csv could not be read: No"),
        ({"path": "."}, ValueError, "path must end with .csv or .npz; got "),
        ({"path": "d.txt"}, ValueError, "path must end with .csv or .npz; got "),
        ({"path": 3}, TypeError, "path must be a path; got 3"),
        ({"path": b"d.csv"}, TypeError, "path must be a path"),
        ({"path": "a\0.csv"}, ValueError, "path must be a path without null characters"),
        ({"path": "d.csv", "target": 1}, TypeError, "target must be a text; got 1"),
        ({"path": "d.csv", "sha256": "ab"}, ValueError, "sha256 must be that of .*; got 'ab'"),
        ({"path": "d.csv", "sha256": 5}, ValueError, "sha256 must be that of .*; got 5"),
    ],
)
def test_bad_arguments_of_a_file(arguments, error, words, tmp_path, monkeypatch):
    saved(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"^{words}"):
        dl.data.File(**arguments)
    with pytest.raises(ValueError, match="could not be read: Is a directory"):
        dl.data.File("folder.csv")

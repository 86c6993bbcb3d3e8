"""The runs of a store as one table in a Parquet file, written block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeplinear._support.files import replacing, require
from deeplinear.options import STATUS
from deeplinear.store.blocks import Index
from deeplinear.store.opened_store import Store, trouble

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MODULES", "to_parquet"]

MODULES = ("pyarrow",)

#: Rows that are written together, at least.
_ROWS = 2**20
#: Dimensions whose arrays have no place in a table.
_LEFT_OUT = ("parameter",)


def to_parquet(
    store: Store, path: Path, report: Callable[[float], None] = lambda share: None
) -> int:
    """Write the runs of the finished blocks: a row for every run and record.

    The columns are the dimensions, ``step`` or ``time``, what was recorded, ``last_step``,
    ``out_of_range_layer`` and ``status`` as a word. What was recorded of every layer and the like
    is a list; weights are left out. Memory holds a few blocks.

    Parameters
    ----------
    store : Store
        The store.
    path : Path
        The file, whole or not there; one that is there is replaced.
    report : callable
        Called with the share of the blocks that are written.

    Returns
    -------
    int
        The rows.

    Raises
    ------
    ImportError
        If pyarrow is missing.
    StoreError
        If the store cannot be read.
    OSError
        If the file cannot be written.
    """
    require("A table as Parquet", *MODULES, extra="parquet")
    import pyarrow as pa
    from pyarrow import parquet

    blocks = sorted(store.done())
    table = _Table(store)
    rows, waiting, held = 0, [], 0
    with replacing(path) as file, parquet.ParquetWriter(file, table.schema) as writer:
        for i, index in enumerate(blocks):
            part = table.rows(index)
            waiting.append(part)
            held += part.num_rows
            rows += part.num_rows
            if held >= _ROWS or i + 1 == len(blocks):
                writer.write_table(pa.concat_tables(waiting))
                waiting, held = [], 0
                report((i + 1) / len(blocks))
    return rows


class _Table:
    """What the columns are, and their values in a block."""

    def __init__(self, store: Store) -> None:
        import pyarrow as pa

        self._store = store
        axes = tuple(store.blocks.sizes)
        arrays = {name: store.group[name] for name in store.variables}
        further = {name: a.metadata.dimension_names[len(axes) :] for name, a in arrays.items()}
        self._axis = next(dims[0] for dims in further.values() if dims and dims[0] not in _LEFT_OUT)
        names = [n for n, dims in further.items() if not dims or dims[0] == self._axis]
        self._columns = {name: further[name] for name in names}
        with trouble(store.path):
            self._values = {name: store.group[name][...] for name in (*axes, self._axis)}
        kinds = {name: _type(values) for name, values in self._values.items()}
        for name, dims in self._columns.items():
            one = pa.from_numpy_dtype(arrays[name].dtype)
            kinds[name] = pa.list_(one) if len(dims) > 1 else one
        self._words = pa.array([*STATUS, "failed"])
        kinds["status"] = pa.dictionary(pa.int8(), pa.string())
        about = {"deeplinear": store.group.attrs["description"]}
        self.schema = pa.schema(list(kinds.items()), metadata=about)

    def rows(self, index: Index) -> pa.Table:
        """Read the rows of a block."""
        import pyarrow as pa

        places = self._store.blocks.places(index)
        shape = tuple(cut.stop - cut.start for cut in places.values())
        records = len(self._values[self._axis])
        columns: list[Any] = []
        for i, (name, cut) in enumerate(places.items()):
            along = self._values[name][cut].reshape(
                [-1 if k == i else 1 for k in range(len(shape))]
            )
            columns.append(np.repeat(np.broadcast_to(along, shape).ravel(), records))
        columns.append(np.tile(self._values[self._axis], int(np.prod(shape))))
        columns += self._read(index, len(shape), records)
        arrays = (
            pa.array(values, field.type) if isinstance(values, np.ndarray) else values
            for values, field in zip(columns, self.schema, strict=True)
        )
        return pa.table(list(arrays), schema=self.schema)

    def _read(self, index: Index, axes: int, records: int) -> Iterator[Any]:
        """Read what was recorded in a block, as columns."""
        import pyarrow as pa

        for name, dims in self._columns.items():
            array = self._store.group[name]
            with trouble(self._store.path):
                values = np.asarray(array.blocks[(*index, *(0,) * len(dims))])
            if name == "status":
                codes = pa.array(np.repeat(values.ravel(), records))
                yield pa.DictionaryArray.from_arrays(codes, self._words)
            elif len(dims) < 2:
                yield values.ravel() if dims else np.repeat(values.ravel(), records)
            else:
                yield _lists(values.reshape(int(np.prod(values.shape[: axes + 1])), -1))


def _type(values: npt.NDArray[Any]) -> Any:
    import pyarrow as pa

    return pa.string() if values.dtype.kind in "OTU" else pa.from_numpy_dtype(values.dtype)


def _lists(values: npt.NDArray[Any]) -> Any:
    """Turn an array (rows, numbers) into a column of lists."""
    import pyarrow as pa

    rows, numbers = values.shape
    ends = np.arange(rows + 1, dtype=np.int32) * numbers
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values.ravel()))

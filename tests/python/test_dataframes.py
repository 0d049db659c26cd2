"""pandas and pyarrow over arrays in arenas: the same results, memory in the arena, and all of it back afterwards."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import hakmem
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pytest

ROWS = 20_000


def table() -> pd.DataFrame:
    chance = np.random.default_rng(7)
    frame: pd.DataFrame = pd.DataFrame(
        {
            "group": chance.integers(0, 50, ROWS),
            "value": chance.normal(size=ROWS),
            "weight": chance.random(ROWS).astype(np.float32),
            "day": np.datetime64("2024-01-01") + chance.integers(0, 400, ROWS).astype("timedelta64[D]"),
        }
    )
    return frame


def with_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    gaps: pd.DataFrame = frame.where(frame["value"] > 0)
    return gaps


OPERATIONS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "arithmetic": lambda frame: frame["value"] * frame["weight"] + 1 - frame["group"],
    "filter": lambda frame: frame[(frame["value"] > 0) & (frame["group"] % 3 == 0)],
    "sort": lambda frame: frame.sort_values(["group", "value"]),
    "group": lambda frame: frame.groupby("group")[["value", "weight"]].agg(["mean", "sum", "std", "max"]),
    "transform": lambda frame: frame.groupby("group")["value"].transform(lambda values: values - values.mean()),
    "concat": lambda frame: pd.concat([frame, frame.iloc[::-1]], ignore_index=True),
    "merge": lambda frame: frame.merge(frame.groupby("group", as_index=False)["value"].mean(), on="group"),
    "pivot": lambda frame: frame.pivot_table(index="group", columns=frame["day"].dt.month, values="value"),
    "gaps": lambda frame: with_gaps(frame).ffill().fillna(0),
    "rolling": lambda frame: frame["value"].rolling(30).mean(),
    "resample": lambda frame: frame.set_index("day").sort_index()["value"].resample("W").sum(),
    "text": lambda frame: frame["group"].astype(str).str.zfill(4).value_counts().sort_index(),
    "numpy": lambda frame: frame[["value", "weight"]].to_numpy(),
    "arrow": lambda frame: pa.Table.from_pandas(frame).to_pandas(),
}


def assert_same(result: object, expected: object) -> None:
    if isinstance(expected, pd.DataFrame):
        assert isinstance(result, pd.DataFrame)
        pd.testing.assert_frame_equal(result, expected, check_exact=True)
    elif isinstance(expected, pd.Series):
        assert isinstance(result, pd.Series)
        pd.testing.assert_series_equal(result, expected, check_exact=True)
    else:
        np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def lies_in(arena: hakmem.Arena, address: int) -> bool:
    return any(block.address <= address < block.address + block.size for block in arena.walk())


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name: str) -> None:
    expected = OPERATIONS[name](table())  # so what pandas makes once and keeps is not in the arena either
    with hakmem.Arena() as arena:
        with hakmem.numpy_arena(arena):
            frame = table()
            result = OPERATIONS[name](frame)
        assert_same(result, expected)
        assert lies_in(arena, frame["value"].to_numpy().ctypes.data)
        assert arena.statistics().live_bytes > ROWS * 8
        del frame, result
        gc.collect()
        assert arena.statistics().live_blocks == 0
        arena.check()


def test_arrow_sees_the_arena_s_memory_without_a_copy() -> None:
    with hakmem.Arena() as arena:
        with hakmem.numpy_arena(arena):
            array = np.arange(ROWS, dtype=np.float64)
        column = pa.array(array)
        buffer = column.buffers()[1]
        assert buffer is not None and buffer.address == array.ctypes.data
        back = column.to_numpy(zero_copy_only=True)
        assert back.ctypes.data == array.ctypes.data
        del array
        assert back.sum() == ROWS * (ROWS - 1) / 2
        with pytest.raises(BufferError, match=r"1 NumPy array\(s\) are in use"):
            arena.close()
        del column, buffer, back
        gc.collect()
        assert arena.statistics().live_blocks == 0


def test_arrow_over_a_buffer_of_the_arena() -> None:
    with hakmem.Arena(align=64) as arena:
        buffer = arena.alloc(ROWS * 8)
        np.frombuffer(memoryview(buffer), dtype=np.int64)[:] = np.arange(ROWS)
        column = pa.Array.from_buffers(pa.int64(), ROWS, [None, pa.py_buffer(buffer)])
        assert pa.compute.sum(column).as_py() == ROWS * (ROWS - 1) // 2
        assert column.to_numpy(zero_copy_only=True).ctypes.data == buffer.address
        del column
        gc.collect()
        buffer.close()


def test_a_frame_beyond_the_limit_is_a_memory_error() -> None:
    with hakmem.Arena(limit="4M") as arena:
        with hakmem.numpy_arena(arena):
            frame = table()
            with pytest.raises(MemoryError):
                pd.concat([frame] * 50, ignore_index=True).sort_values("value")
            assert_same(frame["value"].sum(), table()["value"].sum())
        del frame
        gc.collect()
        assert arena.statistics().live_blocks == 0

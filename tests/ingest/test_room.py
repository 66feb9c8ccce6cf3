"""Bytes in work are bounded, whatever the records weigh."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st_kpi.errors import RecordTooLarge
from st_kpi.ingest.normalize import Normalizer, slices
from st_kpi.ingest.normalized import Normalized, Stamp
from st_kpi.ingest.room import Room
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import entity_tables


def test_no_more_is_in_work_than_there_is_room_for() -> None:
    room, lock = Room(100), threading.Lock()
    amounts = [10, 60, 60, 100, 250, 1, 30, 70, 40] * 5
    taken: list[int] = []
    most = 0

    def work(amount: int) -> None:
        nonlocal most
        with room.taken(amount):
            with lock:
                taken.append(min(amount, 100))
                most = max(most, sum(taken))
            time.sleep(0.001)
            with lock:
                taken.remove(min(amount, 100))

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, amounts))
    assert (taken, most) == ([], 100)


def test_small_ones_do_not_keep_a_large_one_waiting() -> None:
    room, order = Room(10), list[str]()

    def work(name: str, amount: int) -> None:
        with room.taken(amount):
            order.append(name)

    with ThreadPoolExecutor(2) as pool, room.taken(5):
        pool.submit(work, "large", 10)
        time.sleep(0.05)
        pool.submit(work, "small", 1)
        time.sleep(0.05)
        assert order == []
    assert order == ["large", "small"]


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 40))
def test_slices_hold_every_record_once_and_are_bounded(sizes: list[int], limit: int) -> None:
    records = [bytes([n]) * size for n, size in enumerate(sizes)]
    parts = list(slices(records, limit))
    assert [record for part in parts for record in part] == records
    assert all(part and (len(part) == 1 or sum(map(len, part)) <= limit) for part in parts)


def test_slices_are_about_even() -> None:
    sizes = [sum(map(len, part)) for part in slices([b"x" * 10] * 110, 1000)]
    assert sizes == [550, 550]


def normalize(tmp_path: Path, memory: int, records: list[bytes]) -> list[Normalized]:
    with closing(Normalizer(memory)) as normalizer:
        return normalizer.normalize(
            REGISTRY["invoices"],
            entity_tables(REGISTRY["invoices"]),
            Stamp(77, "run", datetime(2025, 10, 21, tzinfo=UTC)),
            records,
            tmp_path / "page.parquet",
        )


def with_lines(number: int, lines: int) -> bytes:
    return json.dumps({"id": number, "items": [{"id": 1}] * lines}).encode()


def test_where_memory_does_not_do_a_slice_is_halved(tmp_path: Path) -> None:
    """Lines of a few bytes become rows of forty columns: nobody can tell from the bytes."""
    records = [with_lines(n, 2_000) for n in range(50)]
    parts = normalize(tmp_path, 140_000_000, records)
    assert sum(part.rows for part in parts) == 50
    assert any(part.records.stem.endswith(("a", "b")) for part in parts)


def test_a_record_that_no_memory_does_for_is_named_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(RecordTooLarge, match=r"invoices: one record of 0\.[89] MB .* 60 MB"):
        normalize(tmp_path, 60_000_000, [with_lines(1, 80_000)])

"""Several engines on one file, each with partitions of its own."""

from __future__ import annotations

import multiprocessing
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bmad_processor.errors import StoreError
from bmad_processor.model import AlertEvent, AlertEventKind, HistoryPoint, PartitionKey
from bmad_processor.state import Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader, share

from .test_codec import ALERT

AGENTS = [PartitionKey("agent", "", f"A{n}") for n in range(6)]


def owner_of(key: str) -> int:
    return int(key[-1]) % 2


def store_of(path: str, worker: int) -> SqliteStore:
    return SqliteStore(path, history_size=4, worker=worker, owns=lambda key: owner_of(key) == worker)


def commit_of(worker: int, at: int) -> Commit:
    mine = [key for key in AGENTS if owner_of(str(key)) == worker]
    return Commit(
        now_ns=at + worker,
        partitions={str(key): dump_partition(Partition(key, 1, at)) for key in mine},
        counters={"late": at, f"only_{worker}": 1},
        events=[
            AlertEvent(f"{at}-{key}", AlertEventKind.FIRED, at, replace(ALERT, alert_id=f"{at}-{key}", key=key))
            for key in mine
        ],
        history=[HistoryPoint(key, "cpu_usage", at, 0.5, 1) for key in mine],
    )


def test_each_has_its_part_and_a_reader_sees_all(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    with ExitStack() as stack:
        stack.enter_context(share(path, workers=2, history_size=4))
        stores = [stack.enter_context(store_of(path, worker)) for worker in (0, 1)]
        for at in range(10, 16):
            for worker, store in enumerate(stores):
                store.commit(commit_of(worker, at))
        with StoreReader(path).snapshot() as snapshot:
            assert snapshot.counters() == {"late": 30, "only_0": 1, "only_1": 1}
            assert snapshot.now_ns() == 16
            assert len(snapshot.partitions()) == len(AGENTS)
            for key in AGENTS:
                assert [row[0] for row in snapshot.history(str(key), "cpu_usage", 9)] == [12, 13, 14, 15]
    with share(path, workers=2), store_of(path, 1) as again:
        loaded = again.load()
        assert set(loaded.partitions) == {"agent//A1", "agent//A3", "agent//A5"}
        assert {str(event.alert.key) for event in loaded.unsent} == set(loaded.partitions)
        assert loaded.now_ns == 16, "the clock of the file"


@pytest.mark.parametrize("n_after", [None, 1, 3])
def test_another_number_of_engines_counts_on(tmp_path: Path, n_after: int | None) -> None:
    path = str(tmp_path / "state.db")
    with ExitStack() as stack:
        stack.enter_context(share(path, workers=2))
        for worker in (0, 1):
            stack.enter_context(store_of(path, worker)).commit(commit_of(worker, 10))
    with ExitStack() as stack:
        if n_after is None:
            stores = [stack.enter_context(SqliteStore(path))]
        else:
            stack.enter_context(share(path, workers=n_after))
            stores = [stack.enter_context(SqliteStore(path, worker=n, owns=lambda _: True)) for n in range(n_after)]
        loaded = [store.load() for store in stores]
        assert sum(one.counters.get("late", 0) for one in loaded) == 20
        assert {one.now_ns for one in loaded} == {11}
        for store, one in zip(stores, loaded, strict=True):
            store.commit(Commit(now_ns=12, counters=one.counters))
        with StoreReader(path).snapshot() as snapshot:
            assert snapshot.counters() == {"late": 20, "only_0": 1, "only_1": 1}


def test_the_file_is_held_for_all_of_them(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    with share(path, workers=2):
        with pytest.raises(StoreError, match="in use by another collector"):
            SqliteStore(path)
        with pytest.raises(StoreError, match="in use by another collector"), share(path, workers=2):
            pass
    SqliteStore(path).close()


def _write(path: str, worker: int, n: int) -> None:
    with store_of(path, worker) as store:
        for at in range(1, n + 1):
            store.commit(commit_of(worker, at))


def test_writing_at_the_same_time_loses_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    n = 60
    with share(path, workers=2, history_size=4):
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=_write, args=(path, worker, n)) for worker in (0, 1)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        assert [writer.exitcode for writer in writers] == [0, 0]
        with StoreReader(path).snapshot() as snapshot:
            assert snapshot.unsent() == n * len(AGENTS)
            for key in AGENTS:
                assert [row[0] for row in snapshot.history(str(key), "cpu_usage", 9)] == [n - 3, n - 2, n - 1, n]

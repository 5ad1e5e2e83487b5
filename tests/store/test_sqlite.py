"""The store keeps one commit whole, is bounded, and says what is wrong."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor.errors import StoreError
from bmad_processor.model import (
    AlertEvent,
    AlertEventKind,
    AlertStatus,
    HistoryPoint,
    PartitionKey,
    ScalingAction,
    ScalingHint,
)
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader
from bmad_processor.store import sqlite as store_module

from . import strategies
from .test_codec import ALERT

KEY = PartitionKey("agent", "", "Architect")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


@pytest.fixture
def store(path: str) -> Iterator[SqliteStore]:
    with SqliteStore(path, history_size=4, max_alerts=3) as opened:
        yield opened


def dumped(name: str = "Architect") -> dict[str, str]:
    key = PartitionKey("agent", "", name)
    return {str(key): dump_partition(Partition(key, 1, 2))}


def event(number: int) -> AlertEvent:
    return AlertEvent(f"e{number}", AlertEventKind.FIRED, number, replace(ALERT, alert_id=f"a{number}"))


def point(at: int, key: PartitionKey = KEY) -> HistoryPoint:
    return HistoryPoint(key, "cpu_usage", at, at / 10, at)


def history(path: str, limit: int = 100) -> list[int]:
    with StoreReader(path).snapshot() as snapshot:
        return [time_ns for time_ns, _, _ in snapshot.history(str(KEY), "cpu_usage", limit)]


def test_a_new_store_is_empty(store: SqliteStore) -> None:
    loaded = store.load()
    assert (loaded.partitions, loaded.counters, loaded.now_ns, loaded.unsent) == ({}, {}, 0, [])


@settings(max_examples=15, deadline=None)
@given(
    st.lists(strategies.partitions, max_size=3, unique_by=lambda p: str(p.key)),
    st.lists(strategies.events, max_size=2, unique_by=lambda e: e.event_id),
    st.dictionaries(strategies.texts, strategies.counts, max_size=3),
)
def test_what_was_committed_is_loaded(
    tmp_path_factory: pytest.TempPathFactory,
    partitions: list[Partition],
    events: list[AlertEvent],
    counters: dict[str, int],
) -> None:
    path = str(tmp_path_factory.mktemp("law") / "state.db")
    texts = {str(p.key): dump_partition(p) for p in partitions}
    with SqliteStore(path) as store:
        store.commit(Commit(now_ns=42, partitions=texts, events=events, counters=counters))
    with SqliteStore(path) as store:
        loaded = store.load()
    assert loaded.partitions == texts
    assert loaded.counters == counters
    assert loaded.now_ns == 42
    assert loaded.unsent == events
    assert loaded.quarantined == 0


def test_a_removed_partition_takes_history_and_hints_with_it(store: SqliteStore, path: str) -> None:
    hint = ScalingHint(KEY, 1, 1, 2, 1, 3, ScalingAction.SCALE_UP, "busy", {"cpu_usage": 0.9})
    store.commit(Commit(now_ns=1, partitions=dumped(), history=[point(1)], hints=[hint], alerts=[ALERT]))
    store.commit(Commit(now_ns=2, removed=frozenset({str(KEY)})))
    assert store.load().partitions == {}
    with StoreReader(path).snapshot() as snapshot:
        assert snapshot.hints() == []
        assert snapshot.metric_types(str(KEY)) == []
        assert len(snapshot.alerts()) == 1
        assert len(snapshot.hint_log(10)) == 1
    assert history(path) == []
    store.commit(Commit(now_ns=3, history=[point(3)]))
    assert history(path) == [3]


def test_history_is_a_ring(store: SqliteStore, path: str) -> None:
    for at in range(1, 8):
        store.commit(Commit(now_ns=at, history=[point(at)]))
    assert history(path) == [4, 5, 6, 7]
    assert history(path, 2) == [6, 7]


def test_series_of_names_long_gone_are_deleted(store: SqliteStore, path: str) -> None:
    for at in range(1, 301):
        names = (f"custom:of-{at}", "cpu_usage")
        store.commit(Commit(now_ns=at, history=[HistoryPoint(KEY, name, at, 1.0, 1) for name in names]))
    with StoreReader(path).snapshot() as snapshot:
        kept = set(snapshot.metric_types(str(KEY)))
        assert kept == {"cpu_usage", *(f"custom:of-{at}" for at in range(46, 301))}
        assert [time_ns for time_ns, _, _ in snapshot.history(str(KEY), "cpu_usage", 9)] == [297, 298, 299, 300]
        assert snapshot.history(str(KEY), "custom:of-300", 9) == [(300, 1.0, 1)]


def test_the_ring_goes_on_after_a_restart_and_replaces_a_replayed_point(path: str) -> None:
    for at in (1, 2, 3, 4, 5, 6):
        with SqliteStore(path, history_size=4) as store:
            store.commit(Commit(now_ns=at, history=[point(at), point(at)]))
    assert history(path) == [3, 4, 5, 6]
    with SqliteStore(path, history_size=4) as store:
        store.commit(Commit(now_ns=7, history=[point(6)]))
    assert history(path) == [3, 4, 5, 6]


@pytest.mark.parametrize(("size", "kept"), [(2, [6, 7]), (6, [3, 4, 5, 6, 7])])
def test_another_ring_size(path: str, size: int, kept: list[int]) -> None:
    with SqliteStore(path, history_size=5) as store:
        store.commit(Commit(now_ns=1, history=[point(at) for at in range(1, 8)]))
    with SqliteStore(path, history_size=size) as store:
        assert history(path) == kept
        store.commit(Commit(now_ns=1, history=[point(at) for at in range(8, 20)]))
    assert history(path) == list(range(20 - size, 20))


def test_a_rolled_back_ring_is_read_again(store: SqliteStore, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(Commit(now_ns=1, history=[point(1)]))

    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "set_meta", fail)
        with pytest.raises(RuntimeError):
            store.commit(
                Commit(now_ns=2, partitions=dumped("B"), history=[point(2), point(3, PartitionKey("host", "", "h"))])
            )
    assert store.load().partitions == {}
    store.commit(Commit(now_ns=2, history=[point(2), point(3, PartitionKey("host", "", "h"))]))
    assert history(path) == [1, 2]
    with StoreReader(path).snapshot() as snapshot:
        assert snapshot.history("host//h", "cpu_usage", 9) == [(3, 0.3, 3)]


def test_alerts_are_bounded_and_resolved_ones_go_first(store: SqliteStore, path: str) -> None:
    def alert(number: int, resolved_ns: int | None = None) -> object:
        status = AlertStatus.FIRING if resolved_ns is None else AlertStatus.RESOLVED
        return replace(ALERT, alert_id=f"a{number}", started_ns=number, status=status, resolved_ns=resolved_ns)

    store.commit(Commit(now_ns=1, alerts=[alert(1), alert(2, 90), alert(3, 80)]))  # type: ignore[list-item]
    store.commit(Commit(now_ns=1, alerts=[alert(4)]))  # type: ignore[list-item]

    def ids() -> list[str]:
        with StoreReader(path).snapshot() as snapshot:
            return [shown["alert_id"] for shown in snapshot.alerts()]

    assert ids() == ["a4", "a1", "a2"]
    store.commit(Commit(now_ns=1, alerts=[alert(5), alert(1)]))  # type: ignore[list-item]
    assert ids() == ["a5", "a4", "a1"]


def test_an_event_is_unsent_until_its_delivery_is_confirmed(path: str) -> None:
    with SqliteStore(path) as store:
        store.commit(Commit(now_ns=1, events=[event(2), event(1)]))
        store.commit(Commit(now_ns=2, events=[event(3)]))
        assert [e.event_id for e in store.load().unsent] == ["e2", "e1", "e3"]
        store.mark_sent(["e1", "unknown"], 5)
    with SqliteStore(path) as store:
        assert [e.event_id for e in store.load().unsent] == ["e2", "e3"]
        # said again after a restart: neither doubled nor unsent again
        store.commit(Commit(now_ns=9, events=[event(1), event(2)]))
        assert [e.event_id for e in store.load().unsent] == ["e2", "e3"]


def test_the_notification_log_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_NOTIFICATIONS", 3)
    store.commit(Commit(now_ns=1, events=[event(1), event(2)]))
    store.mark_sent(["e2"], 1)
    store.commit(Commit(now_ns=2, events=[event(3), event(4)]))
    assert [e.event_id for e in store.load().unsent] == ["e1", "e3", "e4"]


def test_a_commit_with_events_waits_for_the_disk(store: SqliteStore) -> None:
    statements: list[str] = []
    db = store._db
    assert db is not None
    db.set_trace_callback(statements.append)
    store.commit(Commit(now_ns=1))
    store.commit(Commit(now_ns=1, events=[event(1)]))
    modes = [s for s in statements if "synchronous" in s]
    assert modes == ["PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL"]
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_settings_are_kept_for_readers(store: SqliteStore, path: str) -> None:
    with StoreReader(path).snapshot() as snapshot:
        assert snapshot.settings() == EngineSettings()
        assert snapshot.started_ns() is None
    store.save_settings(EngineSettings(warmup=3), 17)
    with StoreReader(path).snapshot() as snapshot:
        assert snapshot.settings().warmup == 3
        assert snapshot.started_ns() == 17


def test_one_owner_per_file(store: SqliteStore, path: str) -> None:
    with pytest.raises(StoreError, match=rf"{path} is in use by another collector \(process \d+\)"):
        SqliteStore(path)
    store.close()
    store.close()
    SqliteStore(path).close()
    with pytest.raises(StoreError, match="closed"):
        store.load()


@pytest.mark.parametrize("damage", ["", "{}", '{"v": 99}', "[1]", "[" * 100_000])
def test_a_damaged_partition_is_moved_aside(path: str, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    with SqliteStore(path) as store:
        store.commit(Commit(now_ns=1, partitions={**dumped(), "agent//Broken": damage}))
        store.commit(Commit(now_ns=1, partitions={"agent//Other": dumped()[str(KEY)]}))
    with SqliteStore(path) as store:
        loaded = store.load()
        assert loaded.partitions == dumped()
        assert loaded.quarantined == 2
        assert "quarantine" in caplog.text
        assert store.load().quarantined == 0
    with StoreReader(path).snapshot() as snapshot:
        assert snapshot.quarantined() == 2


def test_a_damaged_event_is_moved_aside(path: str) -> None:
    with SqliteStore(path) as store:
        store.commit(Commit(now_ns=1, events=[event(1), event(2)]))
        assert store._db is not None
        store._db.execute("UPDATE notification_log SET payload = '{}' WHERE event_id = 'e1'")
        assert [e.event_id for e in store.load().unsent] == ["e2"]
        assert store.load().quarantined == 0


def test_a_file_that_is_no_database(path: str) -> None:
    Path(path).write_bytes(b"certainly not a database, but long enough to be one " * 100)
    with pytest.raises(StoreError, match=r"damaged.*move it away"):
        SqliteStore(path)
    with pytest.raises(StoreError, match="damaged"), StoreReader(path).snapshot():
        pass


def test_a_database_that_is_not_ours(path: str) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(path)


def test_another_schema_version(path: str) -> None:
    SqliteStore(path).close()
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    db.commit()
    db.close()
    for opening in (lambda: SqliteStore(path), lambda: StoreReader(path).snapshot().__enter__()):
        with pytest.raises(StoreError, match="schema version 99, this program knows 1"):
            opening()
    # a refused store is not locked
    with pytest.raises(StoreError, match="schema version 99"):
        SqliteStore(path)


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="directory must exist"):
        SqliteStore(str(tmp_path / "missing" / "state.db"))


def test_no_such_file(path: str) -> None:
    with pytest.raises(StoreError, match="no collector has run with this path"), StoreReader(path).snapshot():
        pass
    assert not Path(path).exists()


def test_readers_see_whole_commits_while_one_writes(store: SqliteStore, path: str) -> None:
    names = [f"A{i}" for i in range(20)]
    stop = threading.Event()
    failures: list[object] = []

    def read() -> None:
        while not stop.is_set():
            with StoreReader(path).snapshot() as snapshot:
                seen = {p.last_seen_ns for p in snapshot.partitions()} | {snapshot.now_ns()}
                if len(seen) > 1:
                    failures.append(seen)

    store.commit(Commit(now_ns=0, partitions=_versioned(names, 0)))
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(1, 100):
        store.commit(Commit(now_ns=version, partitions=_versioned(names, version)))
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []


def _versioned(names: list[str], version: int) -> dict[str, str]:
    keys = [PartitionKey("agent", "", name) for name in names]
    return {str(key): dump_partition(Partition(key, 0, version)) for key in keys}


def test_threads_may_share_a_store(store: SqliteStore) -> None:
    def write(name: str) -> None:
        for at in range(20):
            store.commit(Commit(now_ns=at, partitions=dumped(name), history=[point(at)]))
            store.mark_sent(["e1"], at)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("A", "B", "C")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(store.load().partitions) == {"agent//A", "agent//B", "agent//C"}

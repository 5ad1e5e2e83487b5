"""A database file that is damaged: set aside, and what can be read goes on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from bmad_processor.errors import StoreError
from bmad_processor.model import HistoryPoint, PartitionKey
from bmad_processor.state import Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader, share

from .test_codec import ALERT

KEYS = [PartitionKey("agent", "", f"A{n:03}") for n in range(120)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of some size, closed, so that everything is in the one file."""
    path = tmp_path_factory.mktemp("whole") / "state.db"
    with SqliteStore(str(path), history_size=20) as store:
        for at in range(1, 21):
            store.commit(
                Commit(
                    now_ns=at,
                    counters={"late": 7},
                    partitions={str(key): dump_partition(Partition(key, 1, at)) for key in KEYS},
                    alerts=[ALERT],
                    history=[
                        HistoryPoint(key, name, at, 0.5, 1) for key in KEYS for name in ("cpu_usage", "error_rate")
                    ],
                )
            )
    return path


def start(path: Path) -> dict[str, str]:
    """Starts and commits as a collector does; what was loaded."""
    with SqliteStore(str(path), history_size=20) as store:
        loaded = store.load()
        store.commit(
            Commit(now_ns=99, counters=loaded.counters, history=[HistoryPoint(KEYS[0], "cpu_usage", 99, 1.0, 1)])
        )
    with StoreReader(str(path)).snapshot() as snapshot:
        assert snapshot.now_ns() == 99
        assert [row[0] for row in snapshot.history(str(KEYS[0]), "cpu_usage", 1)] == [99]
        for row in snapshot.alerts():
            assert row["alert_id"] == ALERT.alert_id
    return loaded.partitions


def damaged(whole: Path, folder: Path) -> Path:
    path = folder / "state.db"
    shutil.copy(whole, path)
    return path


@pytest.mark.parametrize("seed", range(12))
def test_cut_short_anywhere(whole: Path, tmp_path: Path, seed: int) -> None:
    path = damaged(whole, tmp_path)
    size = random.Random(seed).randrange(100, path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(size)
    partitions = start(path)
    aside = tmp_path / "state.db.damaged-1"
    assert aside.exists()
    with StoreReader(str(path)).snapshot() as snapshot:
        assert snapshot.counters()["store_rescued"] == 1
    if size > 0.9 * whole.stat().st_size:
        assert partitions, "most of it is there"
    start(path)
    assert not (tmp_path / "state.db.damaged-2").exists(), "once is enough"


@pytest.mark.parametrize("seed", range(12))
def test_overwritten_anywhere(whole: Path, tmp_path: Path, seed: int) -> None:
    path = damaged(whole, tmp_path)
    dice = random.Random(seed)
    with path.open("r+b") as file:
        file.seek(dice.randrange(4096, path.stat().st_size - 4096))
        file.write(dice.randbytes(4096))
    with SqliteStore(str(path), history_size=20) as store:
        loaded = store.load()
    if (tmp_path / "state.db.damaged-1").exists():
        assert loaded.counters["store_rescued"] == 1
    else:
        assert len(loaded.partitions) + loaded.quarantined == len(KEYS)


def test_a_whole_one_is_left_alone(whole: Path, tmp_path: Path) -> None:
    path = damaged(whole, tmp_path)
    assert len(start(path)) == len(KEYS)
    assert not list(tmp_path.glob("*damaged*"))


def test_what_is_in_the_log_of_a_killed_collector_is_read_too(whole: Path, tmp_path: Path) -> None:
    path = damaged(whole, tmp_path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("UPDATE meta SET value = '55' WHERE key = 'now_ns'")
    db.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", killed / f"state.db{suffix}")
    db.close()
    with (killed / "state.db").open("r+b") as file:
        file.truncate(whole.stat().st_size - 5 * 4096)
    with SqliteStore(str(killed / "state.db"), history_size=20) as store:
        loaded = store.load()
    assert loaded.now_ns == 55
    assert loaded.counters == {"late": 7, "store_rescued": 1}


def test_the_engines_of_one_file(whole: Path, tmp_path: Path) -> None:
    path = damaged(whole, tmp_path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with share(str(path), workers=2, history_size=20), SqliteStore(str(path), history_size=20, worker=0) as store:
        assert store.load().counters["store_rescued"] == 1


@pytest.mark.parametrize("size", [15, 99])
def test_a_stump_that_says_nothing(whole: Path, tmp_path: Path, size: int) -> None:
    path = damaged(whole, tmp_path)
    with path.open("r+b") as file:
        file.truncate(size)
    if size < 16:
        with pytest.raises(StoreError, match="move it away"):
            SqliteStore(str(path))
    else:
        assert start(path) == {}

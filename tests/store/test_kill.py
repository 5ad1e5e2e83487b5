"""A collector killed at any moment leaves a database that opens at a commit boundary."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from bmad_processor.state_json import load_partition
from bmad_processor.store import SqliteStore, StoreReader

CHILD = """
import sys
from bmad_processor.model import HistoryPoint, PartitionKey
from bmad_processor.state import Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore

store = SqliteStore(sys.argv[1], history_size=10)
version = store.load().now_ns
keys = [PartitionKey("agent", "", f"A{i}") for i in range(40)]
while True:
    version += 1
    store.commit(Commit(
        now_ns=version,
        counters={"late": version},
        partitions={str(key): dump_partition(Partition(key, 0, version)) for key in keys},
        history=[HistoryPoint(key, "cpu_usage", version, 0.5, 1) for key in keys],
    ))
    print(version, flush=True)
"""


def test_killed_in_the_middle_of_commits(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    for round_number in range(4):
        child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        # another moment of the loop in every round
        time.sleep(0.02 + 0.013 * round_number)
        child.send_signal(signal.SIGKILL)
        lines = child.stdout.read().split()
        child.stdout.close()
        child.wait()
        # a reader alone, before any collector has recovered the file
        with StoreReader(path).snapshot() as snapshot:
            read_version = snapshot.now_ns()
        with SqliteStore(path, history_size=10) as store:
            loaded = store.load()
        assert loaded.now_ns == read_version
        assert loaded.quarantined == 0
        assert loaded.counters == {"late": loaded.now_ns}
        assert {load_partition(text).last_seen_ns for text in loaded.partitions.values()} == {loaded.now_ns}
        with StoreReader(path).snapshot() as snapshot:
            newest = {snapshot.history(key, "cpu_usage", 1)[0][0] for key in loaded.partitions}
        assert newest == {loaded.now_ns}
        if lines:
            # every commit that returned is there; at most the one in flight is there beside them
            assert loaded.now_ns in (int(lines[-1]), int(lines[-1]) + 1)

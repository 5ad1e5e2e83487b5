"""The file of a durable queue: what `put` said is on disk, through crashes, damage and full disks."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor.emit.lanes import Waiting
from bmad_processor.emit.queue_file import QueueFile
from bmad_processor.emit.queue_storage import QueueStorage, StoredQueue
from bmad_processor.errors import StartError
from bmad_processor.model import Signal


def waiting(number: int, size: int = 100) -> Waiting:
    body = number.to_bytes(4, "big") + random.Random(number).randbytes(size)
    return Waiting(Signal.TRACES, body, len(body), number % 7, 0.0)


def number_of(found: Waiting) -> int:
    assert found.body is not None
    return int.from_bytes(found.body[:4], "big")


def numbers(file: QueueFile, found: list[Waiting]) -> list[int]:
    """Their numbers, read back from disk; what cannot be read is left out."""
    damaged = file.load(found)
    sound = [each for each in found if each not in damaged]
    for each in sound:
        assert each.body == waiting(number_of(each), each.size - 4).body
    return [number_of(each) for each in sound]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db.queue-0-otlp_grpc.db"


@pytest.fixture
def filled(path: Path) -> list[int]:
    """A file with sixty requests of different sizes, none of them sent."""
    file = QueueFile(path, fsync=False)
    file.open()
    for number in range(60):
        assert file.put(waiting(number, number % 4 * 20_000 + 50))
    file.close()
    return list(range(60))


def images(path: Path, folder: Path) -> Path:
    """What a process killed now leaves behind."""
    folder.mkdir()
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copy(source, folder / source.name)
    return folder / path.name


commands = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 40_000)),
    st.tuples(st.just("send"), st.integers(1, 5)),
    st.tuples(st.just("done"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["tidy", "crash", "restart"]), st.just(0)),
)


@settings(max_examples=25)
@given(st.lists(commands, max_size=40))
def test_what_was_put_and_is_not_done_is_found_again_after_any_end(script: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        at = Path(folder) / "queue.db"
        file = QueueFile(at, fsync=False)
        assert file.open() == []
        held: list[Waiting] = []
        """In the queue, oldest first, as its owner knows them."""
        put, done, sent = set[int](), set[int](), set[int]()
        n_crashes = 0
        for command, argument in script:
            match command:
                case "put":
                    each = waiting(len(put), argument)
                    assert file.put(each)
                    put.add(len(put))
                    held.append(each)
                case "send":
                    assert not file.load(held[:argument])
                    sent |= {number_of(each) for each in held[:argument]}
                case "done":
                    finished, held = held[:argument], held[argument:]
                    file.load(finished)
                    done |= {number_of(each) for each in finished}
                    sent |= {number_of(each) for each in finished}
                    file.done([each.row for each in finished])
                case "tidy":
                    file.tidy()
                case "restart":
                    file.load(held)
                    file.close([each.row for each in held if number_of(each) in sent])
                    file = QueueFile(at, fsync=False)
                    held = file.open()
                    found = numbers(file, held)
                    assert found == sorted(put - done), "exactly what is not done, in order"
                    assert {n for n, each in zip(found, held, strict=True) if each.may_repeat} == sent & set(found)
                case "crash":
                    n_crashes += 1
                    at = images(at, Path(folder) / str(n_crashes))
                    file.close()
                    file = QueueFile(at, fsync=False)
                    held = file.open()
                    marked = {each.row for each in held if each.may_repeat}
                    found = numbers(file, held)
                    assert set(found) >= put - done
                    assert set(found) <= put
                    repeated = {n for n, each in zip(found, held, strict=True) if each.row in marked}
                    assert repeated >= sent & set(found), "whatever may have been sent is marked"
                    done -= set(found)
        file.close()


def test_many_threads_share_their_commits(path: Path) -> None:
    file = QueueFile(path)
    file.open()
    stored: list[int] = []

    def put(first: int) -> None:
        for number in range(first, first + 20):
            if file.put(waiting(number)):
                stored.append(number)

    threads = [threading.Thread(target=put, args=(n * 20,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    assert sorted(stored) == list(range(160))
    file = QueueFile(path)
    assert sorted(numbers(file, file.open())) == list(range(160))
    file.close()


def test_an_empty_queue_leaves_no_file(path: Path) -> None:
    file = QueueFile(path)
    file.open()
    each = waiting(1)
    assert file.put(each)
    file.done([each.row])
    file.close()
    assert list(path.parent.iterdir()) == []
    assert not file.put(waiting(2))


def test_space_is_used_again(path: Path) -> None:
    file = QueueFile(path, fsync=False)
    file.open()
    for number in range(300):
        each = waiting(number, 100_000)
        assert file.put(each)
        file.done([each.row])
    assert path.stat().st_size < 6 * 2**20
    assert path.with_name(path.name + "-wal").stat().st_size < 12 * 2**20
    file.close()


def test_one_owner(path: Path) -> None:
    file = QueueFile(path)
    file.open()
    with pytest.raises(StartError, match="another collector uses it"):
        QueueFile(path).open()
    file.close()


def test_a_place_that_is_not_there() -> None:
    with pytest.raises(StartError, match="must exist and be writable"):
        QueueFile(Path("/no/such/folder/queue.db")).open()


def test_a_corrupt_row_is_set_aside(path: Path, filled: list[int], caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE requests SET body = zeroblob(length(body)) WHERE id = 18")
    file = QueueFile(path)
    found = file.open()
    assert len(found) == 60
    assert numbers(file, found) == [number for number in filled if number != 17]
    assert "moved to its table 'quarantine'" in caplog.text
    file.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id, reason, length(body) FROM quarantine").fetchall() == [(18, "checksum", 20_054)]


@pytest.mark.parametrize("seed", range(15))
def test_a_file_truncated_anywhere(path: Path, filled: list[int], seed: int) -> None:
    size = path.stat().st_size
    keep = 0 if seed == 0 else random.Random(seed).randrange(size)
    with path.open("r+b") as raw:
        raw.truncate(keep)
    file = QueueFile(path)
    found = numbers(file, file.open())
    assert set(found) <= set(filled)
    # what lies before the cut is there: two pages of a table's own, then rows in the order they came
    whole = int(len(filled) * keep / size) - 12
    assert len(found) >= whole
    assert file.put(waiting(1000))
    file.close()
    file = QueueFile(path)
    assert 1000 in numbers(file, file.open())
    file.close()


@pytest.mark.parametrize("seed", range(20))
def test_a_file_with_damage_anywhere(path: Path, filled: list[int], seed: int) -> None:
    draw = random.Random(seed)
    with path.open("r+b") as raw:
        for _ in range(draw.choice([1, 5, 50])):
            raw.seek(draw.randrange(path.stat().st_size))
            raw.write(draw.randbytes(draw.choice([1, 100, 20_000])))
    file = QueueFile(path)
    rows = file.open()
    assert set(numbers(file, rows)) <= set(filled)
    for number in range(1000, 1020):  # pages of the free list may be damaged as well
        assert file.put(waiting(number, 30_000))
    file.done(each.row for each in rows[:3])
    file.tidy()
    file.close()
    file = QueueFile(path)
    assert set(numbers(file, file.open())) >= set(range(1000, 1020))
    file.close()


def test_what_is_no_database_is_set_aside(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)
    file = QueueFile(path)
    assert file.open() == []
    assert file.put(waiting(1))
    file.close()
    assert path.with_name(path.name + ".damaged").read_bytes().startswith(b"not a database")


def test_queues_of_workers_that_are_gone_are_taken_over(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    for worker in range(4):
        file = StoredQueue(QueueStorage(database, worker, 4), "otlp_grpc/b", fsync=False)
        file.open()
        for n in range(3):
            assert file.file.put(waiting(10 * worker + n))
        file.file.close([1])
    other = StoredQueue(QueueStorage(database, 3, 4), "otlp_grpc", fsync=False)
    other.open()
    assert other.file.put(waiting(99))
    other.file.close()
    running = StoredQueue(QueueStorage(database, 3, 4), "otlp_grpc/b", fsync=False)
    running.open()

    first = StoredQueue(QueueStorage(database, 0, 2), "otlp_grpc/b", fsync=False)
    found = first.open()
    marked = [each.may_repeat for each in found]
    assert numbers(first.file, found) == [0, 1, 2, 20, 21, 22], "its own and the one nobody uses"
    assert marked == [True, False, False] * 2
    first.file.close([each.row for each, repeats in zip(found, marked, strict=True) if repeats])
    running.file.close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        f"state.db.queue-{n}.db" for n in ("0-otlp_grpc+b", "1-otlp_grpc+b", "3-otlp_grpc+b", "3-otlp_grpc")
    }
    assert [path.name for path in QueueStorage(database).leftover({"otlp_grpc/b"})] == ["state.db.queue-3-otlp_grpc.db"]

    again = StoredQueue(QueueStorage(database, 0, 2), "otlp_grpc/b", fsync=False)
    assert numbers(again.file, again.open()) == [0, 1, 2, 20, 21, 22, 30, 31, 32]
    again.file.close()

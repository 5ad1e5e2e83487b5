"""A bus over one JSON file, handlers called inside of publish and with the file locked."""

import contextlib
import fcntl
import json
import time
from pathlib import Path

SHARED_CONTEXT_PATH = Path("shared_context.json")
_subscribers = {}


@contextlib.contextmanager
def file_lock(path):
    with Path(f"{path}.lock").open("w") as lock:
        for _ in range(50):  # the real one waits for ever
            try:
                fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
        else:
            raise TimeoutError("the file stays locked")
        try:
            yield
        finally:
            fcntl.flock(lock.fileno(), fcntl.LOCK_UN)


def safe_write_json(data, path):
    path.write_text(json.dumps(data))
    return True


def load():
    return json.loads(SHARED_CONTEXT_PATH.read_text()) if SHARED_CONTEXT_PATH.exists() else {"events": []}


def publish(event, data):
    try:
        with file_lock(SHARED_CONTEXT_PATH):
            context = load()
            message = {"timestamp": "2026-11-23T12:00:00", "event": event, "data": data}
            context["events"].append(message)
            if not safe_write_json(context, SHARED_CONTEXT_PATH):
                return False
            for callback in _subscribers.get(event, []):
                with contextlib.suppress(Exception):
                    callback(message)
            return True
    except Exception:
        return False


def subscribe(event_type, callback):
    _subscribers.setdefault(event_type, []).append(callback)


def unsubscribe(event_type, callback):
    if callback in _subscribers.get(event_type, []):
        _subscribers[event_type].remove(callback)

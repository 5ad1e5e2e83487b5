"""Agents in asyncio: coroutines, streams, tasks within tasks, and a failure that is recorded and goes on its way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from bmad_otel import Operation, configure, shutdown, track_task


class Librarian:
    """Streams the files of a directory, each with a digest."""

    @track_task
    async def catalogue(self, directory: Path) -> AsyncIterator[tuple[str, str]]:
        """One span from the first file to the last, however long the reader takes in between."""
        for path in sorted(directory.glob("*.py")):
            yield path.name, await self.digest(path)

    # A tool has its own kind of span, a child of the task that uses it.
    @track_task(operation=Operation.EXECUTE_TOOL)
    async def digest(self, path: Path) -> str:
        data = await asyncio.to_thread(path.read_bytes)
        return hashlib.sha256(data).hexdigest()[:12]


class Reader:
    """Asks the librarian; the call across agents is one trace."""

    # The id of each task is computed from the arguments of the call.
    @track_task(task_id=lambda _self, directory: directory.name)
    async def read(self, directory: Path) -> int:
        return len([name async for name, _ in Librarian().catalogue(directory)])


async def main() -> None:
    here = Path(__file__).parent
    found = await asyncio.gather(Reader().read(here), Reader().read(here / "demo"))
    print("read", *found, "files")
    try:
        await Librarian().digest(here / "no such file")
    except FileNotFoundError as error:
        print("as it should be:", error.strerror)


if __name__ == "__main__":
    configure(service_name="async-agent")
    asyncio.run(main())
    shutdown()  # runs by itself at the end of a program, too; here it shows where a service would call it

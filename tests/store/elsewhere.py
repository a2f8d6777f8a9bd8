"""The store in a folder: as a test opens it, and in another process, which answers line by line.

Run as ``python elsewhere.py FOLDER NAME…``, it writes a generation for each line that it reads, which is a
name and may have a length of its text, and says how long the texts of those are that it was given names of.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from runapi_mcp.generations.store.engine import Append, Begin, Entry, Op, Read
from runapi_mcp.generations.store.sqlite import SqliteEngine

LONG = 1_000_000


def written(name: str, text: str = "text", *, epoch: int = 1) -> list[Op]:
    return [
        Begin(name, "server", epoch, "{}", "{}", f"g_{name}", "owner", LONG),
        Append(name, "server", epoch, 0, (Entry(1, text, ""),), "{}", "{}", LONG),
    ]


@asynccontextmanager
async def opened(folder: Path, most_bytes: int = 200 << 20) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(folder, most_bytes=most_bytes)
    yield engine
    await engine.aclose()


async def texts(engine: SqliteEngine, name: str) -> list[str]:
    [record] = await engine.run(Read(name))
    return [entry.text for _, entry in record.entries] if record else []


async def answer(folder: Path, names: list[str]) -> None:
    async with opened(folder) as engine:
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            name, *length = line.split()
            await engine.run(*written(name, *("x" * int(number) for number in length)))
            print([len(text) for name in names for text in await texts(engine, name)], flush=True)


if __name__ == "__main__":
    anyio.run(answer, Path(sys.argv[1]), sys.argv[2:])

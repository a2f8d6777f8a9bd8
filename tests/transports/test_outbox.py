"""What waits for a host that does not read: answers are kept, progress has a bound of its own."""

import os
import threading

import anyio
import anyio.to_thread
import pytest
from piped import PATIENCE
from waiting import became

from runapi_mcp.transports.stdio import threads
from runapi_mcp.transports.stdio.threads import Outbox

LIMIT = 1_000
TOO_MUCH = b"x" * (1 << 20) + b"\n"
"""A line that no pipe holds: while it is under way, all else is queued."""
REPORT = b"r" * 99 + b"\n"


async def test_progress_that_nobody_reads_takes_half_of_what_answers_may() -> None:
    reads, writes = os.pipe()
    outbox = Outbox(writes, LIMIT)
    await outbox.send(TOO_MUCH)
    first = await anyio.to_thread.run_sync(os.read, reads, 1)  # the writer holds the line, and nothing else
    for token in range(40):
        await outbox.send_progress(REPORT, ("number", token))
    outbox.lift_bound()
    await outbox.send(b"end\n")
    written = bytearray(first)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outbox.finish)
        while not written.endswith(b"end\n"):
            written += await anyio.to_thread.run_sync(os.read, reads, 1 << 16)
    os.close(reads)
    assert written == TOO_MUCH + REPORT * (LIMIT // 2 // len(REPORT)) + b"end\n"


async def test_who_waits_for_room_hears_that_the_host_reads_no_more() -> None:
    reads, writes = os.pipe()
    outbox = Outbox(writes, LIMIT)
    await outbox.send(TOO_MUCH)
    await anyio.to_thread.run_sync(os.read, reads, 1)

    async def leave() -> None:
        await anyio.wait_all_tasks_blocked()
        os.close(reads)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            with pytest.raises(anyio.BrokenResourceError):
                await outbox.send(b"an answer\n")


async def test_who_waits_for_room_has_it_when_the_session_ends() -> None:
    reads, writes = os.pipe()
    outbox = Outbox(writes, LIMIT)
    await outbox.send(TOO_MUCH)
    await anyio.to_thread.run_sync(os.read, reads, 1)
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outbox.send, b"an answer\n")
            await anyio.wait_all_tasks_blocked()
            outbox.lift_bound()
    os.close(reads)
    await outbox.wait_unread()


async def test_who_comes_to_watch_late_watches_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number may be another file's by then, which would never be closed while it is watched."""
    may, watched = threading.Event(), list[int]()

    def late(fd: int) -> bool:
        may.wait(PATIENCE)
        watched.append(os.fstat(fd).st_ino)
        return False

    monkeypatch.setattr(threads, "wait_until_gone", late)
    reads, writes = os.pipe()
    given = os.fstat(writes).st_ino
    outbox = Outbox(writes, LIMIT)
    await outbox.finish()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, writes)
    may.set()
    await became(lambda: bool(watched))
    assert watched == [given]
    for fd in (reads, writes, null):
        os.close(fd)

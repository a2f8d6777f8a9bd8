"""What waits for a host that does not read: answers are kept, progress has a bound of its own."""

import os

import anyio
import anyio.to_thread

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

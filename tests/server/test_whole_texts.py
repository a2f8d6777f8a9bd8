"""The whole text of a generation, as a resource: whoever reads many at once holds up nobody else."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread

from runapi_mcp.request import Run
from runapi_mcp.server.resources import read


class Watched(str):
    """A text that notes how many threads look through it at once."""

    __slots__ = ()
    most = now = 0
    lock = threading.Lock()
    go_on = threading.Event()

    def rfind(self, *given: Any) -> int:
        with Watched.lock:
            Watched.now += 1
            Watched.most = max(Watched.most, Watched.now)
        Watched.go_on.wait(30)
        with Watched.lock:
            Watched.now -= 1
        return super().rfind(*given)


async def test_no_more_than_two_whole_texts_are_made_at_once() -> None:
    async def deliver() -> None:
        """Note nothing."""

    async def find(_handle: str) -> object:
        answer = SimpleNamespace(text=Watched("word " * 60_000))
        view = SimpleNamespace(job=SimpleNamespace(tool="ask_gemini"), answer=answer, status="complete")
        return SimpleNamespace(view=lambda: view, deliver=deliver)

    run = cast("Run", SimpleNamespace(find=find))
    read_ones: list[str] = []

    async def read_one() -> None:
        [content] = (await read("generation://g_1", run, [])).contents
        read_ones.append(cast("Any", content).text)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(read_one)
            await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(Watched.go_on.set)
    assert Watched.most <= 2
    assert read_ones == ["word " * 60_000] * 20

"""Many streams at once: each lets text pile up a little; few are read as they come."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import anyio
import httpx
import pytest
from streams import KEY

from runapi_mcp.settings import MIB
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream import client
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.stream import Body, Limits, Readers
from upstream.asking import ask, upstream_at

LINE = b"data: some text\n\n"
PACE = 0.05
LOOP = 0.012


@dataclass
class Peer(httpx.AsyncByteStream):
    """Sends pieces at times of its own, whoever reads; the clock goes on while somebody waits."""

    sends: Sequence[tuple[float, bytes]]
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0.0
        for at, piece in self.sends:
            if at > received:
                # The socket is asked for all that has come, which takes a busy loop a moment.
                received = self.now = max(self.now + LOOP, at)
            yield piece

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def paced(count: int, pace: float = PACE) -> list[tuple[float, bytes]]:
    return [(1.0 + pace * number, LINE) for number in range(count)]


async def read(
    monkeypatch: pytest.MonkeyPatch, peer: Peer, streams: int, *, finished: bool = False
) -> list[float]:
    """Have one of so many streams read; return how late each of its events was."""
    monkeypatch.setattr("runapi_mcp.upstream.stream.anyio.sleep", peer.sleep)
    readers = Readers()
    readers.add(streams)
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=peer)
    limits = Limits(event_bytes=MIB, stream_bytes=64 * MIB, silence=60.0)
    body = Body(response, limits, Trace(), lambda: peer.now, readers, KEY)
    assert await body.kind() == "events"
    if finished:
        body.silence.end_within(2.0)
    came = [peer.now async for lot in body.events() for _ in lot]
    sent = [at for at, piece in peer.sends for _ in range(piece.count(b"\n\n"))]
    return [then - at for then, at in zip(came, sent, strict=True)]


@pytest.mark.parametrize("streams", [1, 20, 50])
async def test_few_streams_are_read_as_they_come(monkeypatch: pytest.MonkeyPatch, streams: int) -> None:
    peer = Peer(paced(40))
    assert max(await read(monkeypatch, peer, streams)) == 0
    assert peer.pauses == []


@pytest.mark.parametrize(("streams", "most"), [(60, 0.12), (100, 0.2), (1_000, 0.2)])
async def test_of_many_each_is_read_later_by_a_pause_that_is_never_long(
    monkeypatch: pytest.MonkeyPatch, streams: int, most: float
) -> None:
    peer = Peer(paced(80))
    late = await read(monkeypatch, peer, streams)
    assert late[0] == 0
    assert max(late) <= most + LOOP + 1e-9
    assert set(peer.pauses) == {most}


async def test_what_has_piled_up_in_a_pause_is_read_without_another(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(paced(80))
    await read(monkeypatch, peer, 1_000)
    # Each pause and the wait after it bring five pieces or six.
    assert 80 / 6 <= len(peer.pauses) <= 80 / 5 + 1


async def test_a_stream_that_comes_as_fast_as_it_goes_is_read_without_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = Peer([(0.05 * number, LINE * 2_000) for number in range(1, 50)])
    await read(monkeypatch, peer, 1_000)
    assert peer.pauses == []


async def test_nothing_is_let_pile_up_once_silence_means_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(paced(40))
    assert max(await read(monkeypatch, peer, 1_000, finished=True)) == 0


async def test_a_pause_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer([*paced(3), (60.9, LINE)])
    assert len(await read(monkeypatch, peer, 1_000)) == 4


async def test_whoever_is_cancelled_in_a_pause_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = anyio.Event()

    class Sleeper(Peer):
        async def sleep(self, seconds: float) -> None:
            paused.set()
            await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, monkeypatch, Sleeper(paced(40)), 1_000)
            await paused.wait()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("scenario", ["default", "cut-rst", "error-d", "ok-html"])
async def test_streams_are_counted_for_as_long_as_they_are_read(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, scenario: str
) -> None:
    counts: list[int] = []

    class Counting(Readers):
        def add(self, more: int) -> None:
            counts.append(more)
            super().add(more)

    monkeypatch.setattr(client, "Readers", Counting)
    sim.play(scenario)
    async with upstream_at(sim.base_url) as upstream:
        await ask(upstream)
    assert counts == ([] if scenario == "error-d" else [1, -1])

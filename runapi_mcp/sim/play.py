"""A response as steps to take on the socket, and the taking of them."""

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runapi_mcp.sim.protocol import connection
from runapi_mcp.sim.record import SeenCall


@dataclass(frozen=True)
class Say:
    """Write these bytes at once."""

    octets: bytes
    chunk: bool = True
    """Whether they end an event that counts as a chunk of the answer."""


@dataclass(frozen=True)
class Pause:
    """Say nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class HangUp:
    """Drop the connection without ending the response: quietly, or with a TCP reset."""

    reset: bool = False


Step = Say | Pause | HangUp


@dataclass(frozen=True)
class Play:
    """A whole response."""

    steps: Iterable[Step]
    status: int = 200
    content_type: str | None = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    before: float = 0.0
    """Seconds of silence before the status line."""


_SETTLE = 0.03
"""Seconds for the client to read what was sent before a reset may throw it away."""


class PlayedResponse(Response):
    """Takes the steps of a play, noting in the call's record what was sent and how it ended."""

    def __init__(self, play: Play, call: SeenCall) -> None:
        super().__init__(status_code=play.status, headers=dict(play.headers))
        del self.headers["content-length"]
        if play.content_type is not None:
            self.headers["content-type"] = play.content_type
        self._play = play
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play until the steps or the client's patience end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, receive, tasks.cancel_scope)
            await self._perform(scope, send)
            tasks.cancel_scope.cancel()

    async def _watch(self, receive: Receive, playing: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._call.mark_closed("client left")
        playing.cancel()

    async def _perform(self, scope: Scope, send: Send) -> None:
        await anyio.sleep(self._play.before)
        begun = False
        for step in self._play.steps:
            match step:
                case Pause(seconds):
                    if not begun:
                        begun = await self._begin(send)
                    await anyio.sleep(seconds)
                case Say(octets, chunk):
                    if not begun:
                        begun = await self._begin(send)
                    await send({"type": "http.response.body", "body": octets, "more_body": True})
                    self._call.mark_written()
                    self._call.chunks_sent += chunk
                case HangUp(reset):
                    await self._hang_up(scope, reset=reset)
                    return
        if not begun:
            await self._begin(send)
        self._call.mark_closed("complete")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> bool:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        return True

    async def _hang_up(self, scope: Scope, *, reset: bool) -> None:
        transport = connection(scope)
        await anyio.sleep(_SETTLE)
        self._call.mark_closed("cut")
        if reset:
            raw: socket.socket = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        # The watcher ends the play once the server has noticed.
        await anyio.sleep_forever()

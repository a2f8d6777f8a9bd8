"""How the server goes: no new calls, time for the live ones, partial answers for the rest, then the end."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.generations.registry import Generations
from runapi_mcp.signalling import Signal

_ANSWER_SECONDS: Final = 2.0
"""What a call gets to turn its partial answer into a response."""
_FLUSH_SECONDS: Final = 0.3
"""What responses get to go out, before streams without an end are ended."""
_LAST_WORDS_SECONDS: Final = 0.1
"""What streams get then: an answer over SSE is on its way through queues that do not say when it is out."""


class Shutdown:
    """What is going on in the server, and whether it is on its way out."""

    def __init__(self) -> None:
        self.begun = False
        self.calls = 0
        self._posts = 0
        self._passed_on = 0
        self._until = 0.0
        self._changed = Signal()
        self._patience = anyio.CancelScope()
        self._open = 0
        self._ended = anyio.Event()

    @property
    def retry_after(self) -> int:
        """Seconds after which a refused caller should try again."""
        return max(1, math.ceil(self._until - anyio.current_time()))

    @property
    def load(self) -> int:
        """How many calls run here or are being read."""
        return max(self.calls, self._posts - self._passed_on)

    async def leave(self, drain: float, generations: Generations) -> None:
        """Refuse new calls, wait up to `drain` seconds for what is under way, and then end everything.

        That are live calls, and what was promised by a handle where it can still be fetched afterwards.
        """
        generations.settled.append(lambda _job, _receipt: self._changed.send())
        self.begun = True
        self._until = self._patience.deadline = anyio.current_time() + drain
        with self._patience:
            await self._changed.until(lambda: not self._busy and not generations.promised)
        generations.interrupt()
        with anyio.move_on_after(_ANSWER_SECONDS):
            await self._changed.until(lambda: not self._busy)
        with anyio.move_on_after(_FLUSH_SECONDS):
            await self._changed.until(lambda: not self._posts)
        if self._open:
            await anyio.sleep(_LAST_WORDS_SECONDS)
        self._ended.set()

    def hurry(self) -> None:
        """End the time that live calls were given."""
        self._patience.cancel()

    async def count(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Count a tool call for as long as it lasts; a middleware of the MCP server."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        self.calls += 1
        try:
            return await call_next(ctx)
        finally:
            self.calls -= 1
            self._changed.send()

    @property
    def _busy(self) -> int:
        return self.calls + self._passed_on

    @contextmanager
    def passing_on(self, scope: Scope) -> Iterator[None]:
        """Note that another worker answers a request, which is a call or may be one, until the block ends."""
        self._passed_on += scope["method"] == "POST"
        try:
            yield
        finally:
            self._passed_on -= scope["method"] == "POST"
            self._changed.send()

    async def answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `app` answer one HTTP request; to it, the end of the server is its client's leaving."""
        self._open += 1
        self._posts += scope["method"] == "POST"
        try:
            await answer_until(self._ended, app, scope, receive, send)
        finally:
            self._open -= 1
            self._posts -= scope["method"] == "POST"
            self._changed.send()


async def answer_until(
    ended: anyio.Event, app: ASGIApp, scope: Scope, receive: Receive, send: Send, status: int = 503
) -> None:
    """Let `app` answer one HTTP request; once `ended` is set its client has left, as far as it can tell.

    `status` is that of a response which had not begun by then.
    """

    async def receive_or_end() -> Message:
        messages: list[Message] = []

        async def hear() -> None:
            messages.append(await receive())
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear)
            await ended.wait()
            tasks.cancel_scope.cancel()
        return messages[0] if messages else {"type": "http.disconnect"}

    response = _Ending(send)
    await app(scope, receive_or_end, response.send)
    if ended.is_set():
        await response.finish(status)


class _Ending:
    """A response that can be ended by somebody else than its author."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False
        self._whole = False

    async def send(self, message: Message) -> None:
        self._begun = True
        self._whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def finish(self, status: int) -> None:
        if not self._begun:
            await self._send({"type": "http.response.start", "status": status, "headers": []})
        if not self._whole:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

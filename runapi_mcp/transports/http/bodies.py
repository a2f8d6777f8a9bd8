"""The bodies of requests, read within their size, their time and one budget, and those of large responses."""

import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Final

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from runapi_mcp.errors import MemoryFull
from runapi_mcp.generations.admission import MemoryBudget, Reservation
from runapi_mcp.transports.http.connections import RETRY_SECONDS, place_of
from runapi_mcp.transports.http.front import refuse
from runapi_mcp.transports.http.options import HttpOptions

_DISCARD_SECONDS: Final = 120.0
"""What a body may take that is read."""
_DISCARD_SILENCE: Final = 3.0
"""A client that sends many bodies at once on a busy machine pauses for longer than a second."""
_STEP_BYTES: Final = 64 * 1024
_SMALL: Final = 8 * 1024
"""Bytes of a body that is read whatever room there is: who is to fetch or stop what fills its share has to
be able to say so. As many as there are connections are bounded by that."""
_LARGE: Final = 256 * 1024
"""Bytes of a response from which on it counts to its caller's share until it was read."""
_CLOSE: Final = {"Connection": "close"}
"""The rest of a body that was refused is not read, so its connection cannot be used again."""
_AGAIN: Final = _CLOSE | {"Retry-After": str(RETRY_SECONDS)}


def principal_of(scope: Scope) -> str:
    """Return whose share a request counts to: its caller's, or its address's where nobody says who calls."""
    user = scope.get("user")
    if isinstance(user, AuthenticatedUser):
        return user.access_token.client_id
    client = scope.get("client")
    return f"address:{place_of(client[0])}" if client else "address:"


def says_json(scope: Scope) -> bool:
    """Whether a request says that its body is JSON, in capitals or not, whatever else it says of it."""
    kinds = [value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"]
    return any(re.split("[;,]", kind)[0].strip().lower() == "application/json" for kind in kinds)


class Unreadable(Exception):
    """A body is not read to its end; `response` says why, and is `None` if the client left."""

    def __init__(self, response: Response | None) -> None:
        super().__init__()
        self.response = response


class Body:
    """A body that is being read, or is read and still in use."""

    def __init__(self, reservation: Reservation) -> None:
        self.reservation = reservation
        self.scope = anyio.CancelScope()
        self.turned_away = False

    def turn_away(self) -> None:
        """Let its bytes go, for others."""
        self.turned_away = True
        self.reservation.release()
        self.scope.cancel()


class Bodies:
    """All bodies of one server.

    Args:
        options: The limits.
        budget: Bytes that callers may hold, these among them.
    """

    def __init__(self, options: HttpOptions, budget: MemoryBudget) -> None:
        self._options = options
        self._budget = budget
        self._coming: dict[Body, None] = {}
        self._sending: set[Reservation] = set()

    @contextmanager
    def hold(self, scope: Scope) -> Iterator[Body]:
        """Give a body that counts to its sender's share until the block ends."""
        with self._budget.reserve(principal_of(scope), 0) as reservation:
            body = Body(reservation)
            try:
                yield body
            finally:
                self._coming.pop(body, None)

    @contextmanager
    def sending(self, scope: Scope, send: Send) -> Iterator[Send]:
        """Give what sends a response; what is large of it counts until its client has taken it in.

        Where a share is full, a caller has one such response at a time, for its share may be full of just
        what it fetches; the next one is refused with 503.
        """
        with self._budget.reserve(principal_of(scope), 0) as reservation:
            self._sending.add(reservation)
            try:
                yield _Response(reservation, self._sending, scope, send).send
            finally:
                self._sending.discard(reservation)

    async def read(self, body: Body, scope: Scope, receive: Receive) -> bytearray:
        """Read a request's body whole.

        Raises:
            Unreadable: It is no JSON or compressed (415), too large (413) or too slow (408), or there is no
                room (503).
        """
        if unsupported := _refuse_kind(scope):
            await _discard(scope, receive)
            raise Unreadable(unsupported)
        limit = self._options.max_body
        if _read_length(scope) > limit:
            await self._refuse_size(scope, receive)
        read, more = bytearray(), True
        try:
            with body.scope, anyio.fail_after(self._options.body_seconds):
                while True:
                    self._wait_for_more(body)
                    with anyio.fail_after(self._options.body_silence):
                        message = await receive()
                    if message["type"] != "http.request":
                        raise Unreadable(None)
                    read += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(read) > limit:
                        await self._refuse_size(scope, receive)
                    self._make_room(body, len(read))
                    if not more:
                        self._coming.pop(body, None)
                        return read
        except TimeoutError:
            limits = (
                f"{self._options.body_silence:g} s, or took more than {self._options.body_seconds:g} s in all"
            )
            text = f"The request's body paused for {limits}. Send it again without a pause."
            raise Unreadable(refuse(408, "too_slow", text, _CLOSE)) from None
        except MemoryFull as full:
            body.reservation.release()
            read.clear()
            if more:
                await _discard(scope, receive)
            raise Unreadable(refuse(503, "busy", str(full), _AGAIN)) from None
        # Only for others to have room is a body's scope cancelled.
        read.clear()
        await _discard(scope, receive)
        text = (
            f"More is being sent at once than this server reads ({self._options.max_bodies} bodies, and what "
            "is left of RUNAPI_MCP_MEMORY_BYTES), and this request paused the longest. Send it again."
        )
        raise Unreadable(refuse(503, "busy", text, _AGAIN))

    async def _refuse_size(self, scope: Scope, receive: Receive) -> None:
        await _discard(scope, receive)
        text = (
            f"The request is larger than {self._options.max_body:,} bytes, the most that is read of anybody. "
            "Send less at once: a file by its path or URL, what was said before by its handle."
        )
        raise Unreadable(refuse(413, "too_large", text, _CLOSE))

    def _make_room(self, body: Body, size: int) -> None:
        """Count bytes to their sender's share, at the cost of those that the same one left unfinished."""
        if size <= _SMALL:
            return None
        size += -size % _STEP_BYTES
        if size <= body.reservation.size:
            return None
        while True:
            try:
                return body.reservation.resize(size)
            except MemoryFull:
                owner = body.reservation.owner
                slower = (b for b in self._coming if b.reservation.owner == owner and b is not body)
                slowest = next(slower, None)
                if slowest is None:
                    raise
                self._turn_away(slowest)

    def _wait_for_more(self, body: Body) -> None:
        """Put a body behind those that have been silent for longer; the first of too many goes."""
        self._coming.pop(body, None)
        self._coming[body] = None
        if len(self._coming) > self._options.max_bodies:
            self._turn_away(self._slowest_of_most())

    def _slowest_of_most(self) -> Body:
        held: dict[str, list[Body]] = {}
        for body in self._coming:
            held.setdefault(body.reservation.owner, []).append(body)
        return max(held.values(), key=len)[0]

    def _turn_away(self, body: Body) -> None:
        self._coming.pop(body, None)
        body.turn_away()


class _Response:
    """A response that is handed on in pieces, no faster than its client reads."""

    def __init__(self, reservation: Reservation, all_: Set[Reservation], scope: Scope, send: Send) -> None:
        self._reservation = reservation
        self._all = all_
        self._scope = scope
        self._send = send
        self._begun = self._refused = False

    async def send(self, message: Message) -> None:
        if self._refused:
            return None
        body = message.get("body", b"")
        size = max(len(body), _read_length(message)) if not self._begun or body else 0
        try:
            if size > max(_LARGE, self._reservation.size):
                self._hold(size)
        except MemoryFull as full:
            self._refused = True
            return await self._end(full)
        self._begun = True
        if len(body) <= _LARGE:
            return await self._send(message)
        for at in range(0, len(body), _STEP_BYTES):
            # Each piece but the first waits until the one before was taken in.
            await self._send(
                {"type": message["type"], "body": body[at : at + _STEP_BYTES], "more_body": True}
            )
        more = message.get("more_body", False)
        await self._send({"type": message["type"], "body": b"", "more_body": more})
        if more:
            self._reservation.resize(0)
        return None

    def _hold(self, size: int) -> None:
        own = self._reservation
        try:
            own.resize(size)
        except MemoryFull:
            others = any(each.size and each.owner == own.owner for each in self._all if each is not own)
            if others or size > own.share:
                raise
            own.settle(size, spare=False)

    async def _end(self, full: MemoryFull) -> None:
        if self._begun:
            return await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        return await refuse(503, "busy", str(full), _AGAIN)(self._scope, _nothing, self._send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _refuse_kind(scope: Scope) -> Response | None:
    """Return what a body is answered that is no plain JSON, by what its head says."""
    if not says_json(scope):
        # A page of a stranger may send any other without asking first (CORS).
        text = "Send the message as JSON, with Content-Type: application/json."
        return refuse(415, "unsupported_type", text, _CLOSE)
    encodings = [value for name, value in scope["headers"] if name == b"content-encoding"]
    if any(value.strip().lower() not in {b"", b"identity"} for value in encodings):
        text = "Send the request without a Content-Encoding: what is compressed here is not unpacked."
        return refuse(415, "unsupported_encoding", text, _CLOSE | {"Accept-Encoding": "identity"})
    return None


async def _discard(scope: Scope, receive: Receive) -> None:
    """Read on while more comes: a client that is still sending when the connection closes never sees why."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # it asks before it sends
    more = True
    with anyio.move_on_after(_DISCARD_SECONDS) as enough:
        while more and not enough.cancel_called:
            more = False  # unless it comes in time
            with anyio.move_on_after(_DISCARD_SILENCE):
                more = (await receive()).get("more_body", False)


def _read_length(head: Scope | Message) -> int:
    # h11 has checked that it is a number; a chunked body has none.
    return next((int(value) for name, value in head.get("headers", ()) if name == b"content-length"), 0)

"""The older HTTP+SSE transport: one long GET for everything the server says, and POSTs to it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from runapi_mcp.transports.http.bodies import Bodies, principal_of
from runapi_mcp.transports.http.connections import RETRY_SECONDS
from runapi_mcp.transports.http.exchange import CANCELLED, read_post, refuse_beginning
from runapi_mcp.transports.http.front import MESSAGES_PATH, SSE_PATH, prefix_of, refuse
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.http.worker import Worker
from runapi_mcp.transports.messages import OpenCalls


def sse_routes(
    server: Server[Any],
    options: HttpOptions,
    bodies: Bodies,
    shutdown: Shutdown,
    middleware: Sequence[Middleware],
    worker: Worker | None,
) -> list[BaseRoute]:
    """Return the routes of the transport, ``/sse`` and ``/messages``, each behind `middleware`."""
    endpoint = f"{MESSAGES_PATH}/{worker.number}/" if worker else f"{MESSAGES_PATH}/"
    # Host and Origin are judged in front of every route.
    transport = SseServerTransport(endpoint, max_request_body_size=options.max_body)
    stream = _Stream(server, transport, bodies, shutdown, options.max_sessions)
    messages = _Messages(transport, bodies, shutdown)
    return [
        Route(SSE_PATH, stream, methods=["GET"], middleware=middleware),
        Route(MESSAGES_PATH, messages, methods=["POST"], middleware=middleware),
    ]


class _Stream:
    """One client: a session for as long as its GET is open. Closing it cancels its calls."""

    def __init__(
        self,
        server: Server[Any],
        transport: SseServerTransport,
        bodies: Bodies,
        shutdown: Shutdown,
        most: int,
    ) -> None:
        self._server = server
        self._transport = transport
        self._bodies = bodies
        self._shutdown = shutdown
        self._most = most
        self._held: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            text = "This path is for GET."
            return await refuse(405, "method_not_allowed", text, {"Allow": "GET"})(scope, receive, send)
        if self._shutdown.begun:
            return await refuse_beginning(self._shutdown)(scope, receive, send)
        with self._place(principal_of(scope)) as has_place:
            if has_place:
                return await self._serve(scope, receive, send)
        text = (
            f"{self._most:,} clients are connected, as many as this server takes, or as many of yours as "
            f"leave others room. Close one of yours, or try again in {RETRY_SECONDS} s."
        )
        return await refuse(503, "busy", text, {"Retry-After": str(RETRY_SECONDS)})(scope, receive, send)

    @contextmanager
    def _place(self, owner: str) -> Iterator[bool]:
        """Hold a place for a caller, who may have as many as would still be free for others."""
        if self._held[owner] >= self._most - self._held.total():
            yield False
            return
        self._held[owner] += 1
        try:
            yield True
        finally:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The SDK puts this in front of the path that it tells the client to post to.
        scope = {**scope, "root_path": prefix_of(scope)}
        with self._bodies.sending(scope, send) as counted:
            await self._exchange(scope, receive, counted)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = self._server
        async with self._transport.connect_sse(scope, receive, send) as (from_client, to_client):
            calls = OpenCalls()
            requests, replies = _Requests(from_client, to_client, calls), _Replies(to_client, calls)
            await server.run(requests, replies, server.create_initialization_options())


class _Messages:
    """What clients say to their streams."""

    def __init__(self, transport: SseServerTransport, bodies: Bodies, shutdown: Shutdown) -> None:
        self._transport = transport
        self._bodies = bodies
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with read_post(self._bodies, self._shutdown, scope, receive, send) as post:
            if post is not None:
                await self._transport.handle_post_message(scope, post.replayed(receive), send)


Arrival: TypeAlias = SessionMessage | Exception


class _FromClient(Protocol):
    async def __anext__(self) -> Arrival: ...
    async def aclose(self) -> None: ...


class _ToClient(Protocol):
    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...


class _Requests:
    """The read stream the server sees: cancellations of what is not open do not get there."""

    def __init__(self, from_client: _FromClient, to_client: _ToClient, calls: OpenCalls) -> None:
        self._from_client = from_client
        self._to_client = to_client
        self._calls = calls

    @property
    def last_context(self) -> Context | None:
        """The context of the request that brought the last message."""
        context: Context | None = getattr(self._from_client, "last_context", None)
        return context

    async def receive(self) -> Arrival:
        """Return the next message for the server."""
        return await self.__anext__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Arrival:
        while True:
            item = await self._from_client.__anext__()
            match item.message if isinstance(item, SessionMessage) else item:
                case JSONRPCRequest() as request:
                    refused = self._calls.admit(request)
                    if refused is not None:
                        await self._to_client.send(SessionMessage(refused))
                        continue
                case JSONRPCNotification(method=method, params=params) if method == CANCELLED:
                    if not self._calls.close((params or {}).get("requestId")):
                        continue  # the SDK would take "7" for 7, and stop the wrong one
            return item

    async def aclose(self) -> None:
        """Close the stream."""
        await self._from_client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Replies:
    """The write stream the server sees."""

    def __init__(self, to_client: _ToClient, calls: OpenCalls) -> None:
        self._to_client = to_client
        self._calls = calls

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message to the client."""
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._calls.close(item.message.id)
        await self._to_client.send(item)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._to_client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

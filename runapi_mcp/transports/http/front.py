"""What is judged in front of every route: the path, the Host, the web page, and how a refusal reads.

An SDK that is answered 401 looks for OAuth, at half a dozen paths. A 404 or 405 that is no JSON ends
there as "not valid JSON", and what the server has to say is never shown: so every one of them is JSON
in OAuth's form, and says what to send.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.http.connections import Connections
from runapi_mcp.transports.http.options import HostName, HttpOptions, read_origin, read_prefix
from runapi_mcp.transports.http.shutdown import Shutdown

MCP_PATH: Final = "/mcp"
SSE_PATH: Final = "/sse"
MESSAGES_PATH: Final = "/messages"
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked by address, and that tell nothing about anyone."""

_OUR_PATHS: Final = PROBES | {MCP_PATH, SSE_PATH, MESSAGES_PATH}
_PREFIX: Final = "runapi_mcp.prefix"
_SLASHES: Final = re.compile(r"/{2,}")
_SHOWN_CHARS: Final = 100
_SAID_BETTER: Final = {
    "Not Found": f"There is nothing at this path. MCP is at {MCP_PATH}, for older clients at {SSE_PATH}",
    "Method Not Allowed": "This path takes no such method",
    "": "This path takes no such method",  # the SDK, to a GET that names MCP 2026-07-28
}
"""What Starlette and the SDK say, in words that help."""
_METHODS: Final = "GET, POST, DELETE, OPTIONS"
_EXPOSED: Final = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After"
_PREFLIGHT_SECONDS: Final = 600


def prefix_of(scope: Scope) -> str:
    """Return what a proxy took away from the front of a request's path."""
    prefix: str = scope.get(_PREFIX, "")
    return prefix


def refuse(status: int, error: str, description: str, headers: dict[str, str] | None = None) -> Response:
    """Return a refusal as OAuth clients and people read it."""
    return JSONResponse({"error": error, "error_description": description}, status, headers)


class Front:
    """Passes on the requests that name this server and come from no foreign page.

    Args:
        app: The routes.
        options: Names and pages that are allowed.
        connections: Told which connections are in use.
        shutdown: Ends what is being answered when the server goes.
        credentials: The sentence that says what to send to be let in; "" where nothing is needed.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: HttpOptions,
        connections: Connections,
        shutdown: Shutdown,
        credentials: str,
    ) -> None:
        self._app = app
        self._options = options
        self._names = options.names
        self._connections = connections
        self._shutdown = shutdown
        self._credentials = credentials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it, before its body is read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        with self._connections.in_use(scope.get("client")):
            prefix = self._prefix(scope)
            scope = {**scope, "path": _plain_path(scope["path"], prefix), _PREFIX: prefix}
            if scope["path"] not in PROBES:
                origin = _header(scope, b"origin")
                host = _header(scope, b"host") or ""
                refusal = _refuse_lengths(scope) or self._refuse_host(host) or self._refuse_page(scope)
                if refusal is not None:
                    return await refusal(scope, receive, send)
                if origin:
                    if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
                        return await _allow_page(scope, origin)(scope, receive, send)
                    send = _readable_by(origin, send)
            readable = _Readable(send, self._credentials)
            return await self._shutdown.answer(self._app, scope, receive, readable.send)

    def _prefix(self, scope: Scope) -> str:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-prefix"]
        client = scope.get("client")
        if given and client and self._options.trusts(client[0]):
            try:
                # One line for each proxy that took something away, the outermost first.
                return "".join(read_prefix(part) for line in given for part in line.split(","))
            except ValueError:
                pass
        return self._options.path_prefix

    def _refuse_host(self, host: str) -> Response | None:
        try:
            named = HostName.parse(host)
        except ValueError:
            return refuse(421, "misdirected_request", "The Host header of this request names no host.")
        if any(name.allows(named) for name in self._names):
            return None
        shown = str(named)[:_SHOWN_CHARS]
        return refuse(
            421,
            "misdirected_request",
            f"This server does not answer to the name {shown}. If that is one of its names, whoever runs it "
            f"can start it with --allowed-host {shown[: len(named.name)]}.",
        )

    def _refuse_page(self, scope: Scope) -> Response | None:
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        own = _header(scope, b"host") or ""  # it was found to be one of ours
        origin = next(
            (
                each
                for each in origins
                if each and not _is_page_of(each, own) and not self._options.allows_page(each)
            ),
            None,
        )
        if origin is None:
            return None
        shown = "".join(char for char in origin if char.isascii() and char.isprintable())[:_SHOWN_CHARS]
        return refuse(
            403,
            "forbidden_origin",
            f"The web page {json.dumps(shown)} may not call this server. Whoever runs it can allow it with "
            "--allowed-origin.",
        )


def _refuse_lengths(scope: Scope) -> Response | None:
    """Refuse a body with two lengths, and its connection.

    h11 goes by the chunks and reads on behind them, where a proxy may have gone by the other length: what
    one caller sends could then be read as the next one's request (RFC 9112 §6.1).
    """
    names = {name for name, _ in scope["headers"]}
    if not {b"content-length", b"transfer-encoding"} <= names:
        return None
    text = "A request has Content-Length or Transfer-Encoding, and not both."
    return refuse(400, "bad_request", text, {"Connection": "close"})


def _is_page_of(origin: str, host: str) -> bool:
    """Whether a page is this server's own: its origin has the name and port that the request names."""
    try:
        scheme, _, named = read_origin(origin).partition("://")
        return scheme in {"http", "https"} and named == read_origin(f"{scheme}://{host}").partition("://")[2]
    except ValueError:
        return False


def _plain_path(path: str, prefix: str) -> str:
    """Return a path without the prefix, doubled slashes, and one at its end."""
    path = _SLASHES.sub("/", path)
    path = path.rstrip("/") or "/"
    if prefix and path == prefix:
        return "/"
    if prefix and path not in _OUR_PATHS and path.startswith(f"{prefix}/"):
        path = path.removeprefix(prefix)
    return path


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


def _allow_page(scope: Scope, origin: str) -> Response:
    """Answer a browser that asks whether a page may call (CORS preflight)."""
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _header(scope, b"access-control-request-headers") or "*",
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network",
    }
    # Chrome asks so before a public page may call an address of a private network.
    if _header(scope, b"access-control-request-private-network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return Response(headers=headers)


def _readable_by(origin: str, send: Send) -> Send:
    """Let the page read the response (CORS)."""
    shown = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED.encode()),
        (b"vary", b"Origin"),
    ]

    async def send_readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            # sse-starlette and the SDK know nothing of pages, so nothing of this is there yet.
            message = {**message, "headers": [*message["headers"], *shown]}
        await send(message)

    return send_readable


class _Readable:
    """A response whose 404 or 405, if it is no JSON, becomes one that says what to do."""

    def __init__(self, send: Send, credentials: str) -> None:
        self._send = send
        self._credentials = credentials
        self._replaced: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] in {404, 405} and not _is_json(message["headers"]):
                self._replaced = message
                return
        elif self._replaced is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._refuse(self._replaced)
            return
        await self._send(message)

    async def _refuse(self, start: Message) -> None:
        said = self._body.decode("utf-8", "replace").strip().rstrip(".")
        said = _SAID_BETTER.get(said, said)
        error = "not_found" if start["status"] == 404 else "method_not_allowed"
        response = refuse(start["status"], error, f"{said}. {self._credentials}".strip())
        kept = [pair for pair in start["headers"] if pair[0] not in {b"content-length", b"content-type"}]
        headers = [*kept, *response.raw_headers]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": response.body, "more_body": False})


def _is_json(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"application/json") for name, value in headers)

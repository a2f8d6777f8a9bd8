"""uvicorn on a socket of ours, with the limits of connections and the ending left to us."""

import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import uvicorn
from anyio.abc import TaskStatus
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from runapi_mcp import __version__
from runapi_mcp.errors import SettingsError
from runapi_mcp.key import OwnKey
from runapi_mcp.printable import one_line
from runapi_mcp.server.app import App, build_server, open_app
from runapi_mcp.settings import Settings
from runapi_mcp.transports.http.auth import (
    Auth,
    CallersKeys,
    FailedLogins,
    JwtAuth,
    credentials_advice,
    open_auth,
)
from runapi_mcp.transports.http.bodies import Bodies
from runapi_mcp.transports.http.connections import Connections
from runapi_mcp.transports.http.exchange import McpEndpoint
from runapi_mcp.transports.http.front import MCP_PATH, Front
from runapi_mcp.transports.http.joining import page_routes
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.probes import Readiness, metrics_of, probe_routes
from runapi_mcp.transports.http.sessions import IDLE_SECONDS
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.http.sse import sse_routes
from runapi_mcp.transports.http.tokens import TokenFile, TokenList
from runapi_mcp.transports.http.worker import HURRY, Siblings, Worker
from runapi_mcp.transports.process_exit import ignore_signals, signals_received
from runapi_mcp.upstream.prices import FROM_RUNAPI, check_price_file
from runapi_mcp.watched import Watched

KEEP_ALIVE_SECONDS: Final = 30
"""How long a connection may stay unused between two requests."""


_BACKLOG: Final = 1024
_ACCEPTED_AT_ONCE: Final = 16
"""Connections that are taken before others have a turn; asyncio takes as many as may wait to be."""
_OTHER_FILES: Final = 512
"""File descriptors that are no client's: upstream connections, attached files, the interpreter's own."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that answers.

    Attributes:
        base_url: `http://HOST:PORT`, without a slash at the end.
        shutdown: What goes on in it, and its way out.
    """

    base_url: str
    shutdown: Shutdown


async def serve_http(
    settings: Settings,
    options: HttpOptions,
    auth: Auth | None,
    *,
    announce: Callable[[str], None],
    own_key: OwnKey | None = None,
    worker: Worker | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; a second one ends the time that live calls are given.

    Args:
        settings: What the process shares.
        options: Where to listen and whom to answer.
        auth: Who may call; everyone who can reach it, without.
        announce: Told a line once the socket listens: where, what is on, and what is missing.
        own_key: Finds the key, if a keyring has it.
        worker: Which of several processes this is; it alone, without.

    Raises:
        SettingsError: The address cannot be had, or the file of prices not be used.
    """
    shared = shared_settings(settings, auth)
    check_price_file(settings)
    options = replace(options, max_connections=room_for(options.max_connections))
    with ExitStack() as stack:
        # Bound before anything runs in a task group, which would wrap a refusal in an ExceptionGroup.
        listener = worker.listener if worker else stack.enter_context(closing(_listener(options)))
        signals = stack.enter_context(signals_received())
        hurries = stack.enter_context(signals_received(HURRY)) if worker else signals
        async with open_app(shared, own_key=own_key) as app, anyio.create_task_group() as tasks:
            await tasks.start(_read_again_on_hangup, _files(app, auth))
            async with listening(app, options, auth, listener=listener, worker=worker) as server:
                if worker is None or worker.announces:
                    missing = await Readiness(app, auth, 0.0).missing()
                    announce(write_start_line(server.base_url, shared, options, auth, missing))
                await anext(signals)
                tasks.start_soon(_hurry_at_the_next, hurries, server.shutdown)
            tasks.cancel_scope.cancel()
    ignore_signals()


def serve_workers(
    settings: Settings, options: HttpOptions, auth: Auth | None, serve: Callable[[Settings, Worker], int]
) -> int:
    """Have several processes serve until SIGINT or SIGTERM, and return the exit code.

    What they share is in the store that is set; where none is, in a folder that is there for as long as
    they are: whoever asks for workers expects a handle to be found by each.

    Args:
        settings: What can be set.
        options: Where to listen, whom to answer, and how many processes.
        auth: Who may call.
        serve: Serves as one of them, by the settings that all share, and returns its exit code.

    Raises:
        SettingsError: The address cannot be had, or there is nowhere to share anything.
    """
    store = settings.store.get_secret_value() if settings.store else ""
    if store == "memory":
        raise SettingsError(
            f"{options.workers} workers need a store, and RUNAPI_MCP_STORE is memory, which none can share.",
            advice="Leave it out, and they share a folder while they run; or name a folder or a Redis.",
        )
    with ExitStack() as stack:
        listener = stack.enter_context(closing(_listener(options)))
        parent, folder = os.getpid(), None
        if not store:
            folder = _temporary_folder(options)
            settings = replace(settings, store=SecretStr(stack.enter_context(folder)))

        def serve_and_tidy(worker: Worker) -> int:
            try:
                return serve(settings, worker)
            finally:
                if folder and os.getppid() != parent:  # which would have done it
                    folder.cleanup()

        rereads = isinstance(auth, TokenFile) or settings.prices not in {"", FROM_RUNAPI}
        if sys.platform != "win32":
            from runapi_mcp.transports.http.supervisor import supervise

            return supervise(listener, options.workers, serve_and_tidy, rereads=rereads)
    raise SettingsError("--workers is not for Windows.", advice="Leave it out: one process serves.")


def _temporary_folder(options: HttpOptions) -> "TemporaryDirectory[str]":
    try:
        return TemporaryDirectory(prefix="runapi-mcp-", ignore_cleanup_errors=True)
    except OSError as error:
        raise SettingsError(
            f"{options.workers} workers need a store, and no folder can be made for it ({error.strerror}).",
            advice="Name a folder or a Redis with --store.",
        ) from None


def room_for(connections: int) -> int:
    """Return how many connections there are file descriptors for, raising the process's own limit for it."""
    if sys.platform == "win32":  # its handles are bounded by memory alone
        return connections
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A quarter more may be on their way out.
    wanted = connections * 5 // 4 + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return (
        connections
        if soft == resource.RLIM_INFINITY
        else max(1, min(connections, (soft - _OTHER_FILES) * 4 // 5))
    )


def shared_settings(settings: Settings, auth: Auth | None) -> Settings:
    """Return the settings of a server that is reached over the network.

    Its callers do not get to read this machine's files just because the server runs in some folder, or
    because they say that some folder is theirs: what cannot be told from a program on another machine
    has no say in what this one's user may read. Where each brings a key, there is no key of the
    server's that could be used instead.
    """
    settings = replace(settings, working_dir_files=False)
    return (
        replace(settings, key=None, key_problem="", keyring=False)
        if isinstance(auth, CallersKeys)
        else settings
    )


@asynccontextmanager
async def listening(
    app: App,
    options: HttpOptions,
    auth: Auth | None = None,
    *,
    server: Server[Any] | None = None,
    listener: socket.socket | None = None,
    worker: Worker | None = None,
) -> AsyncIterator[Listening]:
    """Serve `app` for as long as the block lasts, and then for as long as its live calls may.

    Args:
        app: What the process shares.
        options: Where to listen and whom to answer.
        auth: Who may call; everyone who can reach it, without.
        server: An MCP server over `app`, instead of the product's.
        listener: A socket that listens already; closed at the end.
        worker: Which of several processes this is.

    Raises:
        SettingsError: The address cannot be had.
    """
    shutdown = Shutdown()
    connections = Connections(options.max_connections, options.head_seconds, options.trusts)
    listener = listener or _listener(options)
    async with (
        web_app(
            app,
            server or build_server(app),
            options,
            auth,
            connections=connections,
            shutdown=shutdown,
            worker=worker,
        ) as asgi,
        anyio.create_task_group() as tasks,
    ):
        uvicorn_server = _Uvicorn(_config(asgi, connections))
        tasks.start_soon(uvicorn_server.until_told, listener)
        if worker:
            load = lambda: (shutdown.load + connections.fresh, len(connections))  # noqa: E731
            tasks.start_soon(worker.note_load, load)
        try:
            yield Listening(_url(listener, options.host), shutdown)
        finally:
            with anyio.CancelScope(shield=True):
                await shutdown.leave(options.drain, app.generations)
            connections.close_lingering()
            uvicorn_server.should_exit = True
            tasks.cancel_scope.cancel()


def _files(app: App, auth: Auth | None) -> list[Watched[Any]]:
    """Return the files that are read again when they change."""
    prices = [app.upstream.prices.file] if app.upstream.prices.file else []
    return [*prices, *([auth.file] if isinstance(auth, TokenFile) else [])]


async def _read_again_on_hangup(
    files: Sequence[Watched[Any]], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Have files read again at each SIGHUP; where there are none, or no such signal, leave it as it is."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or not files:
        task_status.started()
        return
    on_terminal = os.isatty(2)
    with anyio.open_signal_receiver(hangup) as hangups:
        task_status.started()
        async for _ in hangups:
            if on_terminal and not os.isatty(2):  # its terminal was closed, which is to end it
                signal.raise_signal(signal.SIGTERM)
            for file in files:
                file.read_now()


async def _hurry_at_the_next(signals: AsyncIterator[object], shutdown: Shutdown) -> None:
    await anext(signals)
    shutdown.hurry()


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and have more wait to be taken than are taken at once, which asyncio has one number for."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)

    async def until_told(self, listener: socket.socket) -> None:
        """Serve until `should_exit`, whatever is cancelled around it: it closes its sockets itself."""
        with anyio.CancelScope(shield=True):
            await self.serve([listener])


def _config(asgi: ASGIApp, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        asgi,
        # What uvicorn's http="h11" stands for. Its default would be another parser where httptools is
        # installed, with other limits of heads. It calls what it is given here as it would call the class.
        http=connections.protocol(H11Protocol),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is anybody's to write, and shares go by address
        backlog=_ACCEPTED_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )


def _listener(options: HttpOptions) -> socket.socket:
    """Return a listening socket.

    Raises:
        SettingsError: The address cannot be had.
    """
    host, port = options.host, options.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":  # where a port that is reused may be another's that is in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror or error})"
        raise SettingsError(
            f"{host}:{port} {why}.", advice="Choose another with --host and --port."
        ) from None
    return listener


def _url(listener: socket.socket, host: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def write_start_line(
    base_url: str, settings: Settings, options: HttpOptions, auth: Auth | None, missing: Sequence[str]
) -> str:
    """Return the line that says where a server is, who may call, what is on, and what is missing."""
    said = [
        f"runapi-mcp {__version__} listens at {base_url}/mcp (older clients: {base_url}/sse)",
        f"who may call: {_callers(auth)}",
        f"generations: {place_of_store(settings)}",
        f"metrics: {'/metrics' if find_spec('prometheus_client') else 'off (extra runapi-mcp[metrics])'}",
        f"log: {settings.log}",
    ]
    if options.workers > 1:
        said.insert(1, f"workers: {options.workers}")
    if missing:
        said.append(f"MISSING: {'; '.join(missing)}")
    return " · ".join(said)


def place_of_store(settings: Settings) -> str:
    """Return where generations are kept, without the user and password that an address may hold."""
    where = settings.store.get_secret_value() if settings.store else "memory"
    if "://" not in where:
        return "of this process" if where == "memory" else f"in {one_line(where, 200)}"
    url = urlsplit(where)
    return f"shared at {url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _callers(auth: Auth | None) -> str:
    match auth:
        case None:
            return "everyone on this machine"
        case CallersKeys():
            return "whoever brings a RunAPI key"
        case JwtAuth(issuer=issuer):
            return f"tokens of {issuer}"
        case TokenFile() | TokenList():
            people, tokens = len(auth.names), len(auth.entries)
            whose = f"{people} {'person' if people == 1 else 'people'}"
            return whose if tokens == people else f"{whose} by {tokens} tokens"


# ---------------------------------------------------------------- the app


@asynccontextmanager
async def web_app(
    app: App,
    server: Server[Any],
    options: HttpOptions,
    auth: Auth | None,
    *,
    connections: Connections,
    shutdown: Shutdown,
    worker: Worker | None = None,
) -> AsyncIterator[ASGIApp]:
    """Give the ASGI app over `server`, which serves `app`: /mcp, /sse for older clients, probes, a page.

    A request passes :class:`Front` (path, Host, page), on the MCP routes the bearer of a token
    (:mod:`auth`), and is answered by :class:`McpEndpoint` or the routes of :mod:`sse`; where there are
    several workers, by that of its session (:class:`Siblings`). Its sessions last as long as the block.
    """
    server.middleware.append(shutdown.count)
    readiness, failed = Readiness(app, auth, options.ready_grace), FailedLogins()
    metrics = metrics_of(shutdown, app.generations, failed)
    if metrics is not None:
        server.middleware.append(metrics.count)
    # Never json_response: it drops progress, and a closed connection would not cancel.
    sessions = StreamableHTTPSessionManager(
        server,
        stateless=options.stateless,
        session_idle_timeout=IDLE_SECONDS,
        max_request_body_size=options.max_body,
        max_sessions=None,  # they are counted by whose they are
    )
    bodies = Bodies(options, app.generations.memory)
    endpoint = McpEndpoint(sessions.asgi_app, options, bodies, shutdown)
    if isinstance(auth, TokenFile):
        auth.on_revoked.append(endpoint.end_sessions)
    async with sessions.run(), open_auth(auth, failed) as way, AsyncExitStack() as stack:
        routes = [
            Route(MCP_PATH, endpoint, methods=["GET", "POST", "DELETE"], middleware=way.middleware),
            *sse_routes(server, options, bodies, shutdown, way.middleware, worker),
            *probe_routes(shutdown, readiness, metrics, worker),
            *page_routes(auth),
            *way.routes,
        ]
        routed: ASGIApp = Starlette(routes=routes)
        if worker:
            siblings = Siblings(routed, worker, shutdown)
            routed = await stack.enter_async_context(siblings.open())
        yield Front(routed, options, connections, shutdown, credentials_advice(auth))

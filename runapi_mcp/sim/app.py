"""The routes of the simulated RunAPI (docs/wire.md §1.1) and the control routes beside them."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.sim import chat, native, requests_chat, requests_native, roster
from runapi_mcp.sim.asked import Asked, Dialect, JsonObject, Refused
from runapi_mcp.sim.auth import auth_form, offered_key, shown
from runapi_mcp.sim.play import Play, PlayedResponse
from runapi_mcp.sim.record import Journal, SeenCall
from runapi_mcp.sim.scenarios import SCENARIOS
from runapi_mcp.sim.scene import JSON, Scene, body, compact
from runapi_mcp.sim.stage import Stage

MAX_BODY = 128 * 1024 * 1024
"""Bytes a request body may have."""

_STREAM = ":streamGenerateContent"
_SYNC = ":generateContent"

Endpoint = Callable[[Request], Awaitable[Response]]
Reader = Callable[[bytes], Asked]


def build_app(stage: Stage) -> Starlette:
    """The simulated RunAPI as an ASGI application around a stage."""
    routes = _Routes(stage)
    chat_routes = [
        Route(path, routes.chat, methods=["POST"])
        for path in ("/v1beta/openai/chat/completions", "/v1/chat/completions")
    ]
    list_routes = [Route(path, routes.openai_list) for path in ("/v1beta/openai/models", "/v1/models")]
    return Starlette(
        routes=[
            *chat_routes,
            *list_routes,
            Route("/api/v1/price_schedules", routes.prices),
            Route("/v1beta/models", routes.native_list),
            Route("/v1beta/models/{call}", routes.native, methods=["POST"]),
            Route("/sim/scenarios", routes.scenarios),
            Route("/sim/play", routes.play, methods=["POST"]),
            Route("/sim/calls", routes.calls),
            Route("/{anything:path}", routes.nowhere, methods=["GET", "POST", "PUT", "DELETE"]),
        ],
        middleware=[Middleware(_Marked)],
        exception_handlers={Refused: _unread},
    )


class _Routes:
    """One method a route."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def chat(self, request: Request) -> Response:
        return await self._generate(request, "chat", requests_chat.read)

    async def native(self, request: Request) -> Response:
        called: str = request.path_params["call"]
        model = called.removesuffix(_STREAM).removesuffix(_SYNC)
        framed = request.query_params.get("alt") == "sse"

        def read(octets: bytes) -> Asked:
            if called.endswith(_SYNC):
                raise Refused(400, f"{model[:80]} only supports streamGenerateContent.")
            if not called.endswith(_STREAM):
                raise Refused(404, "Not found.")
            return requests_native.read(octets, model, framed=framed)

        return await self._generate(request, "native", read)

    async def openai_list(self, request: Request) -> Response:
        path = request.url.path
        return await self._list(request, "chat", lambda: roster.openai_list(self._stage.roster.listed(path)))

    async def native_list(self, request: Request) -> Response:
        query = request.query_params
        size = query.get("pageSize") or query.get("page_size") or ""
        token = query.get("pageToken") or query.get("page_token") or ""

        def rows() -> JsonObject:
            return roster.native_list(self._stage.roster.listed(roster.NATIVE_LIST), size, token)

        return await self._list(request, "native", rows)

    async def prices(self, request: Request) -> Response:
        del request
        return JSONResponse({"data": roster.price_list()})

    async def scenarios(self, request: Request) -> Response:
        del request
        rows = [
            {"name": each.name, "summary": each.summary, "dialects": each.dialects, "params": each.params}
            for each in SCENARIOS.values()
        ]
        return JSONResponse({"scenarios": rows})

    async def play(self, request: Request) -> Response:
        try:
            asked = json.loads(await _body(request, 1_000_000))
            self._stage.play(_names(asked))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"queued": len(_names(asked))})

    async def calls(self, request: Request) -> Response:
        del request
        return JSONResponse({"calls": [_row(call) for call in self._stage.calls.snapshot()]})

    async def nowhere(self, request: Request) -> Response:
        journal = self._stage.calls if request.method == "POST" else self._stage.lists
        call, _ = await self._saw(request, journal)
        return PlayedResponse(_refusal("chat", Refused(404, f"No route {request.url.path[:200]}.")), call)

    async def _generate(self, request: Request, dialect: Dialect, read: Reader) -> Response:
        call, octets = await self._saw(request, self._stage.calls)
        try:
            self._stage.roster.check_path(request.url.path)
            self._let_in(request)
            asked = read(octets)
            roster.admit(asked, bridge=self._stage.bridge)
            self._stage.roster.admit(asked)
            served = self._stage.roster.swapped.get(asked.model, asked.model)
            play = self._played(replace(asked, model=served), call)
        except Refused as refused:
            play = _refusal(dialect, refused)
        return PlayedResponse(play, call)

    def _played(self, asked: Asked, call: SeenCall) -> Play:
        scenario, cue = self._stage.choose(asked)
        call.scenario = scenario.name
        times = self._stage.count(scenario, asked)
        try:
            return scenario.play(Scene(asked, cue, self._stage.pace, self._stage.stall_seconds, times))
        except ValueError as error:
            raise Refused(400, f"Simulator: a parameter of {scenario.name} is wrong: {error}") from None

    async def _list(self, request: Request, dialect: Dialect, rows: Callable[[], JsonObject]) -> Response:
        call, _ = await self._saw(request, self._stage.lists)
        try:
            self._stage.roster.check_list(request.url.path)
            self._let_in(request)
            play = body(200, JSON, compact(rows()))
        except Refused as refused:
            play = _refusal(dialect, refused)
        return PlayedResponse(play, call)

    async def _saw(self, request: Request, journal: Journal) -> tuple[SeenCall, bytes]:
        """Read the body, then enter the request into a journal."""
        octets = await _body(request, MAX_BODY)
        call = SeenCall(
            method=request.method,
            path=request.url.path,
            query=re.sub(r"\bkey=[^&]*", "key=<key>", request.url.query),
            auth=auth_form(request.headers),
            headers=shown(request.headers),
            body=_parsed(octets),
            body_bytes=len(octets),
        )
        journal.add(call)
        return call, octets

    def _let_in(self, request: Request) -> None:
        key = offered_key(request.headers)
        if not self._stage.admits(key):
            what = "Missing API key." if not key else "Incorrect API key provided."
            raise Refused(401, f"Simulated: {what}", code="invalid_api_key")


def _names(asked: object) -> tuple[str, ...]:
    match asked:
        case {"names": [*names]} if all(isinstance(name, str) for name in names):
            return tuple(names)
        case _:
            raise ValueError('the body has to be {"names": ["…"]}')


async def _body(request: Request, limit: int) -> bytes:
    octets = bytearray()
    try:
        async for piece in request.stream():
            octets += piece
            if len(octets) > limit:
                raise Refused(413, "Simulated: the request body is too large.")
    except ClientDisconnect:
        raise Refused(499, "Simulated: the client left while sending.") from None
    return bytes(octets)


def _parsed(octets: bytes) -> object:
    try:
        return json.loads(octets) if octets else None
    except (ValueError, RecursionError):
        return None


def _refusal(dialect: Dialect, refused: Refused) -> Play:
    voice = chat if dialect == "chat" else native
    code = refused.code or native.STATUS_WORDS.get(refused.status, "INVALID_ARGUMENT")
    error = voice.error(refused.status, refused.message, code)
    if refused.wrapped:
        return body(refused.status, JSON, compact([native.error(refused.status, refused.message, code)]))
    return body(refused.status, JSON, compact(error))


async def _unread(request: Request, refused: Exception) -> Response:
    """The answer to a body that was not read to its end."""
    del request
    assert isinstance(refused, Refused)
    return JSONResponse(chat.error(refused.status, refused.message, "unreadable"), refused.status)


def _row(call: SeenCall) -> JsonObject:
    return {
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "auth": call.auth,
        "scenario": call.scenario,
        "received_at": call.received_at,
        "first_byte_at": call.first_byte_at,
        "closed_at": call.closed_at,
        "ended": call.ended,
        "chunks_sent": call.chunks_sent,
    }


class _Marked:
    """Says on every response that it is simulated, and identifies it (docs/wire.md §1.3)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        number = next(self._numbers)
        given = Headers(scope=scope).get("x-client-request-id")

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-simulated"] = "true"
                headers["x-request-id"] = f"simulated-request-{number}"
                if scope["method"] == "POST" and not scope["path"].startswith("/sim/"):
                    headers["X-RunAPI-Task-Id"] = f"simulated-task-{number}"
                if given is not None and len(given) <= 512 and given.isprintable() and given.isascii():
                    headers["X-Client-Request-Id"] = given
            await send(message)

        await self._app(scope, receive, marked)

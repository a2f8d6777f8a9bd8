"""The MCP server over our tools: what the process shares, a handler for each kind of request, what is listed.

The SDK's high-level server drops unknown arguments without a word and writes its own schemas, so the
lowlevel one it is.
"""

import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp_types.methods import CLIENT_REQUESTS, serialize_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from runapi_mcp import __version__, logs
from runapi_mcp.beside import beside
from runapi_mcp.errors import ConsentNeeded, HandleError, RunapiError, SettingsError
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import shared_store
from runapi_mcp.host_limits import Sessions
from runapi_mcp.key import OwnKey
from runapi_mcp.printable import one_line
from runapi_mcp.request import Run
from runapi_mcp.server.boundary import (
    WHOLE_REQUEST,
    CallRecord,
    Context,
    bounded,
    caller_of,
    declares_tasks,
    error_reply,
    guard,
    log_calls,
    render_reply,
    session_of,
)
from runapi_mcp.server.prompts import complete_argument, list_prompts, write_prompt
from runapi_mcp.server.resources import list_resources, list_templates, read
from runapi_mcp.server.tasks import GenerationTasks, TaskSource, Wire, serve_tasks
from runapi_mcp.settings import PAGE_CHARS, Settings
from runapi_mcp.tools import TOOLS, Args, Reply, Tool, teach
from runapi_mcp.tools.coercion import NOT_GIVEN, read_object
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.translate import Today, utc_now
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.json_text import is_larger
from runapi_mcp.wire.types import Frame, JsonObject, JsonValue


@dataclass(frozen=True)
class App:
    """What the process shares: settings, the connection to RunAPI, its generations, the way to its key."""

    settings: Settings
    upstream: Upstream
    generations: Generations
    own_key: OwnKey | None = None
    sessions: Sessions = field(default_factory=Sessions)

    def run(self, ctx: Context, answered: types.InputResponses | None = None) -> Run:
        """Return a request's way to generations; `answered` is what its host has asked its person.

        Raises:
            SettingsError: The environment holds what cannot be used; nothing is asked until it is corrected.
        """
        if self.settings.problem:
            raise SettingsError(
                self.settings.problem, advice="Correct it in the host's config, then restart it."
            )

        async def report(seconds: float, line: str) -> None:
            await ctx.session.report_progress(seconds, None, line)

        caller = caller_of(ctx)
        return Run(
            self.settings,
            self.upstream,
            self.generations,
            caller,
            report,
            learned=self.sessions.of(session_of(ctx), caller.host),
            roots=partial(host_roots, ctx),
            consent=partial(ask_person, ctx, answered),
            own_key=self.own_key,
        )


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.monotonic,
    today: Today = utc_now,
    own_key: OwnKey | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[App]:
    """Open what the process shares, for as long as the block lasts.

    Args:
        settings: What can be set.
        clock: Seconds that only go forward.
        today: The wall clock: models have dates.
        own_key: Finds a key in a keyring.
        env: The environment of a process that is one user's own; see :func:`shared_store`.

    Raises:
        SettingsError: The server is to share its generations, and what that needs is not installed.
    """
    shared = shared_store(settings, clock, env)
    upstream = Upstream(settings, clock=clock, today=today, pacing=shared.pacing if shared else None)
    generations = Generations(upstream, settings, store=shared, clock=clock)
    try:
        async with generations.open():
            yield App(settings, upstream, generations, own_key)
    finally:
        await upstream.aclose()


# ---------------------------------------------------------------- requests

_AFTER_PREFIX: Final = frozenset("_.:/-")
LOGO = files("runapi_mcp") / "assets" / "logo.svg"


class Handlers:
    """One method for each kind of request; what they raise is the boundary's to tell."""

    def __init__(self, app: App, tools: Mapping[str, Tool[Any]], tasks: TaskSource) -> None:
        self._app = app
        self._tools = tools
        self._tasks = tasks

    @cached_property
    def _listed(self) -> list[types.Tool]:
        # Made when a host asks: the first call does not wait for the schemas of all tools.
        return list_tools(self._tools.values(), always_load=self._app.settings.always_load)

    async def list_tools(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Return the tools; there are too few for pages."""
        return types.ListToolsResult(tools=self._listed)

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return what a tool takes, as it is listed; without it the SDK lists all for each call over HTTP."""
        return next((tool.input_schema for tool in self._listed if tool.name == name), None)

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult | Wire:
        """Return a tool's result; or, where the client knows tasks and it is not done, a task.

        Where its person is to be asked first, it is told so, and calls again.

        Raises:
            MCPError: There is no such tool.
        """
        tool = self._tools.get(params.name) or self._prefixed(params.name)
        if tool is None:
            # An error of the protocol's own; the SDK's high-level server makes a result of it.
            message = f"Unknown tool: {params.name[:60]!r}. Tools: {', '.join(self._tools)}."
            raise MCPError(code=types.INVALID_PARAMS, message=message)
        arguments = params.arguments or {}
        with log_calls(tool.name, ctx, arguments) as entry:
            try:
                with bounded(tool.name):
                    return await self._call(tool, arguments, ctx, params.input_responses, entry)
            except RunapiError as error:
                if isinstance(error, ConsentNeeded) and error.question:
                    entry.outcome = {"outcome": "asked"}
                    return ask_first(error.question)
                reply = error_reply(error)
                entry.replied(reply)
                return render_reply(reply)

    def _prefixed(self, name: str) -> Tool[Any] | None:
        """Return the tool that a name ends in, behind a prefix.

        Gateways and hosts show one to their models, and some send it along (docker/mcp-gateway#278).
        """
        there = (tool for own, tool in self._tools.items() if name.endswith(own))
        return next((tool for tool in there if name.removesuffix(tool.name)[-1:] in _AFTER_PREFIX), None)

    async def _call(
        self,
        tool: Tool[Any],
        arguments: JsonObject,
        ctx: Context,
        answered: types.InputResponses | None,
        entry: CallRecord,
    ) -> types.CallToolResult | Wire:
        # First of all: of a server set up wrongly nothing else need be told.
        run = self._app.run(ctx, answered)
        args, run.remark = await _read(tool, arguments)
        await run.begin(tool.opening)
        reply = await tool.perform(args, run)
        if run.remark not in reply.notes:
            reply = reply.say(run.remark)
        await run.note_delivery(to_the_end=not reply.more)
        entry.replied(reply)
        if reply.running and reply.handle and declares_tasks(ctx):
            with suppress(HandleError):  # where no task can be had, the handle will do
                return (await self._tasks.state(reply.handle, ctx)).write_created()
        return render_reply(reply)

    async def list_resources(
        self, ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Return the resources that exist for the caller."""
        return types.ListResourcesResult(resources=list_resources(sees_all=caller_of(ctx).sees_all))

    async def list_templates(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Return the resources that exist once a handle was given out."""
        return types.ListResourceTemplatesResult(resource_templates=list_templates())

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Return what a resource holds; see :func:`read`."""
        return await read(str(params.uri), self._app.run(ctx), self._app.upstream.listed)

    async def list_prompts(
        self, _ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Return the prompts."""
        return types.ListPromptsResult(prompts=list_prompts())

    async def get_prompt(self, _ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """Return a prompt with its arguments put in; see :func:`write_prompt`."""
        return write_prompt(params.name, params.arguments or {})

    async def complete(self, _ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Return what an argument of a prompt may become; see :func:`complete_argument`."""
        live = self._app.upstream.listed
        return types.CompleteResult(completion=complete_argument(params.ref, params.argument, live))


_NEEDED_LATER: Final = (
    *("sqlite3", "runapi_mcp.citations.annotate", "runapi_mcp.extraction.rounds"),
    *("runapi_mcp.files.folders", "runapi_mcp.files.git", "runapi_mcp.tools.search_schema"),
    *("runapi_mcp.tools.research", "runapi_mcp.extraction.verdict", "runapi_mcp.extraction.model_json"),
    *("runapi_mcp.extraction.folding", "runapi_mcp.wire.schema.read", "runapi_mcp.wire.schema.subschemas"),
)
"""What some calls import, and none at the start."""


def warm_up() -> None:
    """Import and build, in whatever thread, what a first call would wait for: 40 ms of CPU, 4 MiB.

    What validates a model is built when it is first used (see `boot`): the arguments of each tool, what
    RunAPI sends, and the protocol's own call and result, those of the older revisions and of the newest.
    What is imported now is there when the files no longer are: uv cleans its cache under servers that run
    (basicmachines-co/basic-memory#1579).
    """
    for name in _NEEDED_LATER:
        with suppress(ImportError):  # whoever needs it will say so
            import_module(name)
    for tool in TOOLS.values():
        tool.args.model_rebuild()
    for dialect in dialects("").values():
        dialect.decoder().decode(Frame("{}"))
    result = render_reply(Reply("")).model_dump(mode="json", by_alias=True, exclude_none=True)
    for revision in (LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION):
        CLIENT_REQUESTS["tools/call", revision].model_rebuild()
        serialize_server_result("tools/call", revision, result)


_MOST_HERE: Final = 16_384
"""Characters of arguments that are read on the event loop; it takes a millisecond."""


async def _read(tool: Tool[Any], arguments: JsonObject) -> tuple[Args, str]:
    """Return a tool's arguments, and a sentence about what was ignored; large ones are read in a thread.

    Raises:
        InputError: They are not what it takes.
    """

    def read_or_teach() -> tuple[Args, str]:
        try:
            args: tuple[Args, str] = tool.args.read(arguments)
        except ValidationError as error:
            raise teach(error, tool.args) from None
        return args

    if is_larger(arguments, _MOST_HERE):
        return await beside(read_or_teach)
    return read_or_teach()


async def read_object_arguments(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Have a call's arguments be an object where a client wrote [] or "", or JSON text (middleware).

    The SDK refuses these before any tool of ours could tell what is wrong.
    """
    if ctx.method == "tools/call" and ctx.params and isinstance(ctx.params.get("arguments"), str | list):
        meant = read_object(ctx.params["arguments"])
        given = {} if meant is NOT_GIVEN else meant
        return await call_next(replace(ctx, params={**ctx.params, "arguments": given}))
    return await call_next(ctx)


async def read_params(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Take what is meant beyond doubt outside of a tool's arguments, and name what is wrong (middleware).

    Null for a progressToken is none; a prompt's arguments are texts, and models write numbers. The SDK
    refuses both, as it does all that is wrong with a request, in words that name nothing.
    """
    try:
        return await call_next(replace(ctx, params=_as_meant(ctx.method, ctx.params)))
    except ValidationError as error:
        raise MCPError(types.INVALID_PARAMS, f"{_INVALID}: {_name_wrong(error)}") from None
    except MCPError as error:
        if (error.error.message, error.error.data) != (_INVALID, ""):
            raise
        reason = f"{ctx.method} came before initialize: send that first, or a request of MCP 2026-07-28."
        raise MCPError(types.INVALID_PARAMS, reason) from None


_INVALID: Final = "Invalid request parameters"
"""What the SDK says of each."""
_MOST_NAMED: Final = 5
_MODEL: Final = re.compile(r"dictionary or instance of \w+")
_BRANCHES: Final = frozenset({"str", "int", "float", "bool"})


def _as_meant(method: str, params: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    meta, arguments = (params or {}).get("_meta"), (params or {}).get("arguments")
    if params and isinstance(meta, dict) and meta.get("progressToken", 0) is None:
        params = {**params, "_meta": {name: meta[name] for name in meta if name != "progressToken"}}
    if params and method == "prompts/get" and isinstance(arguments, dict):
        given = {name: value for name, value in arguments.items() if value is not None}
        params = {**params, "arguments": {name: _as_text(value) for name, value in given.items()}}
    return params


def _as_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _name_wrong(error: ValidationError) -> str:
    """Return which parameters are wrong and how; no value is in it."""
    wrong: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        # Of what may be one thing or another, pydantic names each.
        parts = map(str, filter(lambda part: part not in _BRANCHES, problem["loc"]))
        place = one_line(".".join(part for part in parts if not part[:1].isupper()), 80)
        what = "required" if problem["type"] == "missing" else problem["msg"][:1].lower() + problem["msg"][1:]
        what = _MODEL.sub("object", what)
        wrong[place] = f"{wrong[place]}, or {what}" if place in wrong else what
    return "; ".join(f"{place}: {what}" for place, what in [*wrong.items()][:_MOST_NAMED])


async def restore_long_texts(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Give a request that came over the network its long texts (middleware).

    They do not go through the SDK's transports, which parse each message on the event loop, in one go.
    """
    scope = getattr(ctx.request, "scope", {})
    if WHOLE_REQUEST in scope:
        return await call_next(replace(ctx, params=scope.pop(WHOLE_REQUEST).params))
    return await call_next(ctx)


def make_icon() -> types.Icon:
    """Return our logo as a data URI: hosts show it without fetching anything."""
    encoded = base64.b64encode(LOGO.read_bytes()).decode("ascii")
    return types.Icon(src=f"data:image/svg+xml;base64,{encoded}", mime_type="image/svg+xml", sizes=["any"])


async def drop_icons(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Keep the icon out of every result but the introduction (middleware).

    From 2026-07-28 on the SDK stamps each result with who made it; the icon there would weigh more
    than many answers.
    """
    result = await call_next(ctx)
    if ctx.method != "server/discover" and isinstance(result, dict):
        meta = result.get("_meta")
        stamp = meta.get(types.SERVER_INFO_META_KEY) if isinstance(meta, Mapping) else None
        if isinstance(stamp, dict):
            stamp.pop("icons", None)
    return result


def write_instructions(tools: Iterable[Tool[Any]]) -> str:
    """Return what a host tells its model of this server.

    By default it is all that Claude Code gives a model beside the tools' names, until it looks one up.
    """
    uses = " ".join(f"{tool.name}: {tool.use}" for tool in tools if tool.use)
    return (
        f"Gemini models through RunAPI. {uses}\nEach question stands alone: send all context, or files by "
        "their paths. Several may be asked at once. Calls may take minutes: a result that says it is still "
        "running holds a handle; call get_result with it to wait for the rest, and do not ask again."
    )


_STATIC: Final[tuple[CacheableMethod, ...]] = (
    "tools/list",
    "resources/templates/list",
    "prompts/list",
    "server/discover",
)
"""What never changes while the process lives, and is the same for all."""
_HINTS: Final[dict[CacheableMethod, CacheHint]] = {
    **dict.fromkeys(_STATIC, CacheHint(ttl_ms=3_600_000, scope="public")),
    "resources/list": CacheHint(ttl_ms=3_600_000, scope="private"),
}


def build_server(
    app: App, *, tools: Mapping[str, Tool[Any]] = TOOLS, tasks: TaskSource | None = None
) -> Server[Any]:
    """Return the MCP server over `app`; `tools` and `tasks` default to the product's own."""
    tasks = tasks or GenerationTasks(app.run, app.generations, tools)
    handlers = Handlers(app, tools, tasks)
    server: Server[Any] = Server(
        "runapi-mcp",
        version=__version__,
        title="Gemini through RunAPI",
        instructions=write_instructions(tools.values()),
        website_url="https://runapi.ai",
        icons=[make_icon()],
        cache_hints=_HINTS,
        get_tool_input_schema=handlers.input_schema,
        on_list_tools=guard(handlers.list_tools),
        on_list_resources=guard(handlers.list_resources),
        on_list_resource_templates=guard(handlers.list_templates),
        on_read_resource=guard(handlers.read_resource),
        on_list_prompts=guard(handlers.list_prompts),
        on_get_prompt=guard(handlers.get_prompt),
        on_completion=guard(handlers.complete),
    )
    server.middleware += [drop_icons, restore_long_texts, read_object_arguments, read_params]
    # Not on_call_tool: a call may become a task, which is not a CallToolResult.
    server.add_request_handler("tools/call", types.CallToolRequestParams, guard(handlers.call_tool))
    serve_tasks(server, tasks)
    return server


# ---------------------------------------------------------------- what is listed

_MOST_SHOWN: Final = 2 * PAGE_CHARS
"""Characters of a page in both halves of a result, escapes included."""
# pydantic titles every field: a fifth of a schema's bytes at least, which each conversation pays for.
_NOISE = frozenset({"title", "default"})


def list_tools(tools: Iterable[Tool[Any]] = TOOLS.values(), *, always_load: bool = False) -> list[types.Tool]:
    """Return tools as MCP describes them, in their order; see :func:`_for_claude_code` for `always_load`."""
    return [_list_tool(tool, always_load=always_load) for tool in tools]


def _for_claude_code(tool: Tool[Any], *, always_load: bool) -> dict[str, Any]:
    """Return what Claude Code reads of a tool.

    By default it gives a model the names alone, and finds the rest by a search that looks at hints.
    What is always loaded need not be found; then a page of ours is also not too long to be shown.
    """
    if always_load:
        return {"anthropic/alwaysLoad": True, "anthropic/maxResultSizeChars": _MOST_SHOWN}
    return {"anthropic/searchHint": tool.hint} if tool.hint else {}


def _list_tool(tool: Tool[Any], *, always_load: bool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=input_schema(tool.args),
        output_schema=tool.output,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.read_only, idempotent_hint=tool.idempotent, open_world_hint=True
        ),
        _meta=_for_claude_code(tool, always_load=always_load) or None,
    )


def input_schema(args: type[Args]) -> JsonObject:
    """Return the JSON Schema of a tool's arguments, without what says nothing to a model."""
    schema: JsonObject = args.model_json_schema(by_alias=True)
    schema.pop("description", None)
    schema["additionalProperties"] = False  # of a tool that ignores what a host adds, too
    slim = _slim(schema)
    assert isinstance(slim, dict), "the schema of a model is an object"
    return slim


def _slim(value: JsonValue, *, names: bool = False) -> JsonValue:
    """Drop titles and defaults, and the null of what may be left out anyway; `names` marks a map of names."""
    match value:
        case list():
            return [_slim(item) for item in value]
        case dict() if names:
            return {name: _slim(item) for name, item in value.items()}
        case dict():
            return {
                key: _slim(item, names=key == "properties")
                for key, item in _without_null(value).items()
                if key not in _NOISE
            }
        case _:
            return value


def _without_null(schema: JsonObject) -> JsonObject:
    match schema.get("anyOf"):
        case [dict(one), {"type": "null"}]:
            return one | {key: value for key, value in schema.items() if key != "anyOf"}
        case _:
            return schema


# ---------------------------------------------------------------- what a request may ask of its host

CONSENT: Final = "consent"
"""The key of the one thing that a host is ever to ask its person."""
_YES_OR_NO: Final[types.ElicitRequestedSchema] = {"type": "object", "properties": {}}
_SECONDS: Final = 2.0
_MOST: Final = 50


async def host_roots(ctx: Context) -> tuple[str, ...]:
    """Return the host's roots as paths.

    None if it declares none. None either if its answer is an error, is not what the protocol asks for,
    or does not come within two seconds; that is the host's failing and goes to the log, for the caller
    of a tool cannot mend it.
    """
    capabilities = ctx.session.client_capabilities
    # Since 2026-07-28 a server has no requests of its own; roots went with them.
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or not capabilities or capabilities.roots is None:
        return ()
    try:
        with anyio.fail_after(_SECONDS):
            listed = await ctx.session.send_request(types.ListRootsRequest(), types.ListRootsResult)
            uris = [str(root.uri) for root in listed.roots[:_MOST]]
            return await anyio.to_thread.run_sync(_folders, uris, abandon_on_cancel=True)
    except (MCPError, ValidationError, TimeoutError) as error:
        logs.info("roots unknown", error=type(error).__name__)
        return ()


async def ask_person(ctx: Context, answered: types.InputResponses | None, question: str) -> bool | None:
    """Return whether the person at the host allows something; whoever cannot be asked is taken to.

    In the era of 2026-07-28 the host asks, on being told what (`None`), and calls again with what was
    `answered`. What a host declares and then fails to do is no consent.
    """
    capabilities = ctx.session.client_capabilities
    asks = capabilities.elicitation if capabilities else None
    if asks is None or (asks.url is not None and asks.form is None):
        return True
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        answer = (answered or {}).get(CONSENT)
        return isinstance(answer, types.ElicitResult) and answer.action == "accept" if answer else None
    try:
        said = await ctx.session.elicit_form(question, _YES_OR_NO, ctx.request_id)
    except NoBackChannelError:
        return True  # 2025-era clients of a stateless server cannot be asked
    except (MCPError, ValidationError) as error:
        logs.info("consent unknown", error=type(error).__name__)
        return False
    return said.action == "accept"


def ask_first(question: str) -> types.InputRequiredResult:
    """Return the result by which a host is to ask its person, and then to call again."""
    asked = types.ElicitRequestFormParams(message=question, requested_schema=_YES_OR_NO)
    return types.InputRequiredResult(input_requests={CONSENT: types.ElicitRequest(params=asked)})


def _folders(uris: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that roots name; looks at the disk, which may take its time."""
    return tuple(folder for uri in uris if (folder := _folder(uri)))


def _folder(uri: str) -> str:
    """Return the folder that a root names; nothing for another machine's, or for a whole file system."""
    try:
        url = urlsplit(uri)
        path = Path(unquote(url.path))
        if url.scheme != "file" or url.netloc not in ("", "localhost") or not path.is_absolute():
            return ""
        folder = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return ""  # no path of this machine's
    return "" if folder == Path(folder.anchor) else str(folder)

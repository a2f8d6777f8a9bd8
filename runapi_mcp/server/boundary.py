"""THE error boundary: what a handler raises becomes something of ours, and what a host can read.

Replies become MCP results here, complete in whichever half the host reads; every call leaves one line
in the log, however it ends.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import SecretStr
from starlette.requests import Request

from runapi_mcp import logs
from runapi_mcp.errors import Bug, InputError, RunapiError, StoreDown
from runapi_mcp.printable import remove_unseen
from runapi_mcp.request import Caller
from runapi_mcp.telemetry import note_call
from runapi_mcp.tools import Reply
from runapi_mcp.wire.json_text import without_surrogates
from runapi_mcp.wire.types import JsonObject

Context: TypeAlias = ServerRequestContext[Any, Any]
"""What a handler is given beside its parameters."""

KEY_CLAIM: Final = "runapi_mcp.key"
"""Under this name a verified credential carries its holder's own RunAPI key, if it is one."""
SEES_ALL: Final = "usage:team"
"""The scope of a credential whose holder may see what everybody used."""
WHOLE_REQUEST: Final = "runapi_mcp.request"
"""Under this name a scope has the JSON-RPC request that the SDK was given without its long texts."""
LOCAL: Final = "local"
"""The principal of a server that lets everyone in who can reach it: whoever uses this machine."""


TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension by which a call may become a task (SEP-2663)."""


def declares_tasks(ctx: Context) -> bool:
    """Whether this very request declares the extension, in the era that has it."""
    capabilities = ctx.session.client_capabilities
    extensions = (capabilities.extensions if capabilities else None) or {}
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and TASKS in extensions


def owner_of(request: object) -> str:
    """Return the principal that a request's generations are bound to."""
    credential = _credential(request)
    return credential.client_id if credential else LOCAL


def session_of(ctx: Context) -> str | None:
    """Return a name for the session of a request, for as long as it lasts; `None` where there is none."""
    if isinstance(ctx.request, Request):
        return ctx.request.headers.get("mcp-session-id")
    return LOCAL  # stdio: one process, one session


def caller_of(ctx: Context) -> Caller:
    """Return the caller of a request."""
    params = ctx.session.client_params
    credential = _credential(ctx.request)
    return Caller(
        host=params.client_info.name if params else None,
        wants_progress=ctx.meta is not None and "progress_token" in ctx.meta,
        declares_tasks=declares_tasks(ctx),
        owner=owner_of(ctx.request),
        key=_key(credential),
        sees_all=credential is not None and SEES_ALL in credential.scopes,
    )


def _credential(request: object) -> AccessToken | None:
    """Return what a request over the network was let in with; on stdio there is no request."""
    user = request.scope.get("user") if isinstance(request, Request) else None
    return user.access_token if isinstance(user, AuthenticatedUser) else None


def _key(credential: AccessToken | None) -> SecretStr | None:
    key = (credential.claims or {}).get(KEY_CLAIM) if credential else None
    return key if isinstance(key, SecretStr) else None


class CallRecord:
    """What becomes of one call."""

    def __init__(self) -> None:
        self.outcome: dict[str, object] = {"outcome": "cancelled"}

    def replied(self, reply: Reply) -> None:
        """Note the reply."""
        receipt = reply.receipt
        self.outcome = {
            "outcome": "error" if reply.is_error else "ok",
            "error": reply.code or None,
            "status": receipt.status if receipt else None,
            "model": receipt.model if receipt else None,
            **(logs.tokens(asdict(receipt.tokens)) if receipt and receipt.tokens else {}),
            "cost": receipt.cost if receipt else None,
            "currency": receipt.currency if receipt else None,
            "generation": logs.shorten(reply.handle) if reply.handle else None,
        }


@contextmanager
def log_calls(tool: str, ctx: Context, arguments: Mapping[str, object]) -> Iterator[CallRecord]:
    """Log the beginning of a call for those who debug, and its end for everybody; its span says the same."""
    request_id, principal = ctx.request_id, logs.principal(owner_of(ctx.request))
    entry, began = CallRecord(), anyio.current_time()
    with logs.about(principal=principal, tool=tool):
        logs.debug("call begun", request=request_id)
        logs.content("arguments", request=request_id, arguments=arguments)
        try:
            yield entry
        finally:
            seconds = round(anyio.current_time() - began, 3)
            logs.info("call", request=request_id, seconds=seconds, **entry.outcome)
            note_call(principal, entry.outcome)


ERROR: Final = "ai.runapi/error"
"""Under this key a result's `_meta`, or an error's `data`, holds the stable code of an error of ours."""

P = TypeVar("P")
R = TypeVar("R")
Handler: TypeAlias = Callable[[Context, P], Awaitable[R]]

logger = logging.getLogger(__name__)


_RESTART: Final = (
    "Its files were removed or replaced while it ran, by an upgrade or when uv's cache was cleaned; restart "
    "this MCP server in the host."
)


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Let out errors of ours, and what a handler refuses in the protocol's own words.

    Args:
        what: What is being done: a tool, or a method.

    Raises:
        RunapiError: It was raised inside.
        MCPError: The same.
        Bug: Anything else was. It tells nothing of what; the log does.
    """
    try:
        yield
    except (RunapiError, MCPError):
        raise
    except ImportError:
        logger.exception("%s failed", what)
        raise Bug(f"{what} failed: a part of runapi-mcp is no longer there.", advice=_RESTART) from None
    except Exception:
        logger.exception("%s failed", what)
        raise Bug(f"{what} failed because of a bug in runapi-mcp.") from None


def guard(handler: Handler[P, R]) -> Handler[P, R]:
    """Return a handler whose every error is one of JSON-RPC's, in words of ours."""

    async def answer(ctx: Context, params: P) -> R:
        try:
            with logs.about(principal=logs.principal(owner_of(ctx.request))), bounded(ctx.method):
                return await handler(ctx, params)
        except RunapiError as error:
            raise MCPError.from_error_data(error_data(error)) from None

    return answer


def error_data(error: RunapiError) -> types.ErrorData:
    """Return an error of ours as JSON-RPC's: invalid parameters, or else the server's failing."""
    # A store that is down is reported of a handle, and is not the handle's fault.
    asked = isinstance(error, InputError) and not isinstance(error, StoreDown)
    code = types.INVALID_PARAMS if asked else types.INTERNAL_ERROR
    return types.ErrorData(code=code, message=remove_unseen(str(error)), data={ERROR: error.code})


def error_reply(error: RunapiError) -> Reply:
    """Return an error of ours as a reply that a model can read and act on."""
    return Reply(str(error), is_error=True, code=error.code)


RECEIPT: Final = "ai.runapi/receipt"
"""The `_meta` key of a result's receipt, for programs; models do not see it."""


def render_reply(reply: Reply) -> types.CallToolResult:
    """Return a tool's reply as MCP: nothing unseen of a stranger's, and this server's own words last."""
    return types.CallToolResult(
        content=[types.TextContent(text=remove_unseen(block)) for block in reply.blocks],
        structured_content=None if reply.structured is None else _make_printable(reply.structured),
        is_error=reply.is_error,
        _meta=_meta(reply) or None,
    )


_VALUES: Final = frozenset({"data", "valid_part", "exact_numbers", "calls"})
"""Members of structured results that are values for programs, and not shown: they stay as they are."""


def _make_printable(facts: JsonObject) -> JsonObject:
    """Return facts with nothing unseen in their texts, and in values nothing that UTF-8 may not hold."""
    return {
        remove_unseen(name): _map_texts(value, without_surrogates if name in _VALUES else remove_unseen)
        for name, value in facts.items()
    }


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401  # JSON
    match value:
        case str():
            return change(value)
        case list() | tuple():
            return [_map_texts(item, change) for item in value]
        case dict():
            return {change(name): _map_texts(item, change) for name, item in value.items()}
        case _:
            return value


def _meta(reply: Reply) -> dict[str, Any]:
    meta: dict[str, Any] = {**reply.meta}
    if reply.receipt is not None:
        meta[RECEIPT] = _map_texts(asdict(reply.receipt), remove_unseen) | {"handle": reply.handle}
    if reply.code:
        meta[ERROR] = reply.code
    return meta

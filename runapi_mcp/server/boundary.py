"""THE error boundary: what a handler raises becomes something of ours, and that what a host can read.

A tool answers with a result that says it (:func:`error_reply`); everything else answers with a
JSON-RPC error (:func:`guarded`). Nothing may get past: the SDK would answer an exception it does not
know with its own words, and a `ValidationError`, whosever it is, as the fault of the request.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, TypeVar

import mcp_types as types
from mcp.shared.exceptions import MCPError

from runapi_mcp.errors import Bug, InputError, RunapiError, StoreDown
from runapi_mcp.server.caller import Context
from runapi_mcp.tools import Reply
from runapi_mcp.wire.documents import without_surrogates

ERROR: Final = "ai.runapi/error"
"""Under this key a result's `_meta`, or an error's `data`, holds the stable code of an error of ours."""

P = TypeVar("P")
R = TypeVar("R")
Handler: TypeAlias = Callable[[Context, P], Awaitable[R]]

logger = logging.getLogger(__name__)


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
    except Exception:
        logger.exception("%s failed", what)
        raise Bug(f"{what} failed because of a bug in runapi-mcp.") from None


def guarded(handler: Handler[P, R]) -> Handler[P, R]:
    """Return a handler whose every error is one of JSON-RPC's, in words of ours."""

    async def answer(ctx: Context, params: P) -> R:
        try:
            with bounded(ctx.method):
                return await handler(ctx, params)
        except RunapiError as error:
            raise MCPError.from_error_data(error_data(error)) from None

    return answer


def error_data(error: RunapiError) -> types.ErrorData:
    """Return an error of ours as JSON-RPC's: invalid parameters, or else the server's failing."""
    # A store that is down is reported of a handle, and is not the handle's fault.
    asked = isinstance(error, InputError) and not isinstance(error, StoreDown)
    code = types.INVALID_PARAMS if asked else types.INTERNAL_ERROR
    return types.ErrorData(code=code, message=without_surrogates(str(error)), data={ERROR: error.code})


def error_reply(error: RunapiError) -> Reply:
    """Return an error of ours as a reply that a model can read and act on."""
    return Reply(str(error), is_error=True, code=error.code)

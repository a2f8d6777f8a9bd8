"""Resources: the table of models, the whole text of a generation, and what was spent."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Final

import mcp_types as types
from mcp.shared.exceptions import MCPError

from runapi_mcp.beside import beside
from runapi_mcp.errors import HandleError, StoreDown
from runapi_mcp.generations.spending import Row, utc_today
from runapi_mcp.logs import principal
from runapi_mcp.models import ALIASES, MODELS, Model
from runapi_mcp.printable import escape_unseen, remove_unseen
from runapi_mcp.request import Run
from runapi_mcp.tools.result import GENERATION
from runapi_mcp.wire.json_text import without_surrogates
from runapi_mcp.wire.types import JsonObject, JsonValue

CATALOGUE: Final = "models://catalogue"
USAGE: Final = "usage://me"
_USAGE_BEFORE: Final = "usage://session"
"""Its name in the version before this one, which still finds it."""
TEAM: Final = "usage://team"
SIZE: Final = "ai.runapi/size"
"""The `_meta` key of a generation's size: its UTF-8 bytes."""
STATUS: Final = "ai.runapi/status"
"""The `_meta` key of how a generation stands; the text of one that runs is not whole yet."""
_JSON: Final = "application/json"
_MOST_URI: Final = 1_000
"""Characters of an unknown URI that are given back."""
_MOST_HERE: Final = 262_144
"""Characters of a text that is made ready on the event loop; it takes a few milliseconds."""


def list_resources(*, sees_all: bool = False) -> list[types.Resource]:
    """Return the resources that exist for every caller, or also for one who sees what everybody used."""
    listed = [
        types.Resource(
            uri=CATALOGUE,
            name="catalogue",
            title="Gemini models",
            description="What each known model can do, on which endpoint. list_models adds which exist now.",
            mime_type=_JSON,
        ),
        types.Resource(
            uri=USAGE,
            name="usage",
            title="What I used",
            description="Calls, tokens and cost of the caller alone, by day (UTC) and model, for a month.",
            mime_type=_JSON,
        ),
    ]
    if sees_all:
        team = types.Resource(
            uri=TEAM,
            name="team-usage",
            title="What everybody used",
            description="Calls, tokens and cost by day (UTC), caller and model, for a month.",
            mime_type=_JSON,
        )
        listed.append(team)
    return listed


def list_templates() -> list[types.ResourceTemplate]:
    """Return the resources that exist once a call has given their handle."""
    return [
        types.ResourceTemplate(
            uri_template=GENERATION + "{handle}",
            name="generation",
            title="Whole text of a generation",
            description="The text of a generation by its handle, however long.",
            mime_type="text/plain",
        )
    ]


async def read(uri: str, run: Run, live: Sequence[str]) -> types.ReadResourceResult:
    """Return what a resource holds for the caller of `run`.

    Args:
        uri: Which one.
        run: Who asks.
        live: The model ids of the last live list, as far as one was fetched.

    Raises:
        MCPError: There is none that the caller may see.
        StoreDown: It cannot be looked up now.
    """
    if uri == CATALOGUE:
        return _result(_document(uri, _catalogue(run, live)))
    if uri in (USAGE, _USAGE_BEFORE):
        used = _usage(run, await run.used(), await run.left_today())
        if uri == _USAGE_BEFORE:
            used["renamed"] = f"This resource is called {USAGE} now."
        return _result(_document(uri, used))
    if uri == TEAM and (rows := await run.used_by_all()) is not None:
        return _result(_document(uri, {"days": [row.as_json() for row in rows]}))
    if uri.startswith(GENERATION):
        return _result(await _text(uri, run))
    known = ", ".join((CATALOGUE, USAGE, GENERATION + "{handle}"))
    raise _none(uri, f"Unknown resource: {uri[:60]!r}. Resources: {known}.")


async def _text(uri: str, run: Run) -> types.TextResourceContents:
    """Return the whole text of the caller's generation behind a URI, as far as it has come.

    Raises:
        MCPError: There is none.
        StoreDown: It cannot be looked up now.
    """
    try:
        generation = await run.find(uri.removeprefix(GENERATION))
    except StoreDown:
        raise
    except HandleError as error:
        raise _none(uri, str(error)) from None
    view = generation.view()
    # JSON is shown with the value that it has; what is not seen in it is spelled out.
    shown = escape_unseen if view.job.tool == "extract_json" else remove_unseen
    answer = view.answer.text
    large = len(answer) > _MOST_HERE
    text, size = await beside(_make, answer, shown) if large else _make(answer, shown)
    if view.status != "running":
        await generation.deliver()
    meta = {SIZE: size, STATUS: view.status}
    return types.TextResourceContents(uri=uri, mime_type="text/plain", text=text, _meta=meta)


def _make(answer: str, shown: Callable[[str], str]) -> tuple[str, int]:
    """Return an answer as it is shown, and its bytes."""
    text = without_surrogates(shown(answer))
    return text, len(text.encode())


def _none(uri: str, message: str) -> MCPError:
    """Return the error for a resource that is none, which names it as the MCP spec asks (SEP-2164)."""
    return MCPError(
        code=types.INVALID_PARAMS, message=message, data={"uri": without_surrogates(uri[:_MOST_URI])}
    )


def _result(contents: types.TextResourceContents) -> types.ReadResourceResult:
    return types.ReadResourceResult(contents=[contents], ttl_ms=0, cache_scope="private")


def _document(uri: str, document: JsonObject) -> types.TextResourceContents:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return types.TextResourceContents(uri=uri, mime_type=_JSON, text=text)


def _catalogue(run: Run, live: Sequence[str]) -> JsonObject:
    return {
        "default": run.settings.model,
        "search_default": run.settings.search_model,
        "models": [_row(model) for model in MODELS],
        "aliases": dict[str, JsonValue](ALIASES),
        "live": list[JsonValue](live) or None,
    }


def _row(model: Model) -> JsonObject:
    """Return a model's row as JSON: each set of endpoints a sorted list, the day it ends as it is written."""
    row: JsonObject = {}
    for name, value in asdict(model).items():
        if isinstance(value, date):
            row[name] = value.isoformat()
        else:
            row[name] = sorted(value) if isinstance(value, frozenset) else value
    return row


def _usage(run: Run, used: Sequence[Row], left: str) -> JsonObject:
    today = utc_today().isoformat()
    return {
        "caller": principal(run.owner),
        "limits": left or None,
        "today": [row.as_json() for row in used if row.day == today],
        "earlier": [row.as_json() for row in used if row.day != today],
    }

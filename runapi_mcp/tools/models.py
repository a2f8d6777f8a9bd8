"""list_models: what RunAPI serves now, joined with what each model can do, so that one can be chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date
from typing import Final

from pydantic import ConfigDict

from runapi_mcp.errors import SettingsError, UpstreamError
from runapi_mcp.models import (
    ALIASES,
    ANSWERING,
    AUTO,
    MODELS,
    SEARCHING,
    WISHES,
    Ability,
    Model,
    candidates,
    find,
    has_ended,
)
from runapi_mcp.request import Run
from runapi_mcp.tools.coercion import Args
from runapi_mcp.tools.tool import Reply, Tool
from runapi_mcp.upstream.model_list import LiveModel, Standing
from runapi_mcp.wire.types import JsonObject, JsonValue

_MOST_OTHERS: Final = 20


class ModelsArgs(Args):
    """Arguments of list_models: there are none, and what a host adds does no harm."""

    model_config = ConfigDict(extra="ignore")


async def _models(_args: ModelsArgs, run: Run) -> Reply:
    try:
        live = await run.models()
    except (UpstreamError, SettingsError) as error:
        note = f"This is the built-in table, not RunAPI's live list: {error}"
        rows = [_row(model.id, model) for model in MODELS]
        return replace(_reply(rows, Standing(), run, note=note), error=error)
    rows = [_row(model.id, find(model.id), title=model.title) for model in _order(live.models)]
    return _reply(rows, await run.standing(), run, others=live.others)


def _order(live: Sequence[LiveModel]) -> list[LiveModel]:
    """Return the live models in the table's order, those it does not know last, by name."""
    known = {model.id: position for position, model in enumerate(MODELS)}
    return sorted(live, key=lambda model: (known.get(model.id, len(known)), model.id))


def _row(model_id: str, model: Model | None, *, title: str = "") -> JsonObject:
    row: JsonObject = {"id": model_id}
    if title:
        row["title"] = title
    if model_id in ALIASES:
        row["stands_for"] = ALIASES[model_id]
    if model is None:
        return row | {"known": False}
    row |= {
        "known": True,
        "good_for": model.good_for,
        "input_tokens": model.input_tokens,
        "output_tokens": model.output_tokens,
        "dialects": list[JsonValue](sorted(model.dialects)),
        "search": bool(model.search),
        "structured_output": bool(model.structured),
        "function_calling": bool(model.functions),
        "reasoning_effort": list[JsonValue](model.efforts),
        "files": bool(model.files),
        "evidence": model.evidence,
    }
    if model.ends:
        row |= {"ends": model.ends.isoformat(), "successor": model.successor}
    return row | ({"note": model.note} if model.note else {})


def _reply(
    rows: list[JsonObject], standing: Standing, run: Run, *, note: str = "", others: Sequence[str] = ()
) -> Reply:
    today = run.now().astimezone(UTC).date()
    for row in rows:
        if has_ended(str(row["id"]), today):
            row["ended"] = True
    structured: JsonObject = {
        "source": "static" if note else "live",
        "models": list[JsonValue](rows),
        "default": _first(run.settings.model, ANSWERING, (), standing, today),
        "search_default": _first(run.settings.search_model, SEARCHING, ("search",), standing, today),
    }
    structured |= {wish: _first(wish, ANSWERING, (), standing, today) for wish in WISHES}
    if missing := _find_unlisted((structured["default"], structured["search_default"]), standing):
        structured["unlisted"] = list[JsonValue](missing)
    if others:
        structured["others"] = list[JsonValue](others)
    if note:
        structured["note"] = note
    lines = [_line(row) for row in rows] or ["RunAPI lists no Gemini model for this key."]
    body = "\n".join([which_for_what(structured, "search_web"), *lines, *passed_through(structured)])
    return Reply(body, structured, said=(note,) if note else ())


def _first(
    name: str, defaults: Sequence[str], needs: tuple[Ability, ...], standing: Standing, today: date
) -> str:
    """Return the model that a call would be answered by for `name`, as far as that is known."""
    possible = candidates(name, defaults, needs, None)
    there = [model for model in possible if not standing.refuses(model, needs)]
    if name in (AUTO, *WISHES):
        there = [model for model in there if standing.offers(model, name, today)]
    return next(iter(there), possible[0])


def _find_unlisted(defaults: Sequence[JsonValue], standing: Standing) -> list[str]:
    listing = standing.listing
    return [str(m) for m in dict.fromkeys(defaults) if listing is not None and not listing.has(str(m))]


def which_for_what(structured: JsonObject, search: str) -> str:
    """Return which model is used for what, and how much they read, in a line.

    Args:
        structured: The structured result.
        search: What a search is called where it is read.
    """
    wishes = "; ".join(f"{wish}: {structured[wish]}" for wish in WISHES)
    missing = structured.get("unlisted")
    told = f" (not in this list: {', '.join(map(str, missing))})" if isinstance(missing, list) else ""
    return f"Default: {structured['default']}; for {search}: {structured['search_default']}{told}; {wishes}."


def describe(row: JsonObject) -> tuple[str, str]:
    """Return what the model of a row is for and can do, and what else is to be said of it, in sentences."""
    stands = f"Stands for {row['stands_for']}." if "stands_for" in row else ""
    if not row["known"]:
        return "abilities not known; it is called on the chat dialect as you ask", stands
    able = ["text", "images", *(word for name, word in _ABILITIES.items() if row[name])]
    efforts = row["reasoning_effort"]
    if isinstance(efforts, list) and efforts:
        able.append(f"effort {'/'.join(map(str, efforts))}")
    said = (
        f"{_short(row['input_tokens'])} tokens in, {_short(row['output_tokens'])} out.",
        f"{'Ended' if 'ended' in row else 'Ends'} {row['ends']}; successor {row['successor']}."
        if "ends" in row
        else "",
        stands,
        str(row.get("note", "")),
    )
    return f"{row['good_for']}: {', '.join(able)}", " ".join(part for part in said if part)


def _short(tokens: JsonValue) -> str:
    """Return a number of tokens as people say it."""
    count = tokens if isinstance(tokens, int) else 0
    return f"{count / 2**20:.2g}M" if count >= 2**20 else f"{count / 2**10:.0f}k"


def passed_through(structured: JsonObject) -> Iterator[str]:
    """Yield the one line on models of other vendors, if the key serves any."""
    others = structured.get("others")
    if isinstance(others, list) and others:
        more = f" and {len(others) - _MOST_OTHERS} more" if len(others) > _MOST_OTHERS else ""
        yield f"Passed through, abilities not known: {', '.join(map(str, others[:_MOST_OTHERS]))}{more}."


_ABILITIES: Final = {
    "search": "search",
    "structured_output": "JSON",
    "function_calling": "functions",
    "files": "files",
}
"""How an ability is called where there is little room."""


def _line(row: JsonObject) -> str:
    able, remarks = describe(row)
    return f"- {row['id']}: {able}.{f' {remarks}' if remarks else ''}"


_OUTPUT: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "source": {"type": "string"},
        "models": {"type": "array"},
    },
    "required": ["source", "models"],
}

MODELS_TOOL = Tool(
    name="list_models",
    title="List models",
    description=(
        "List the Gemini models that RunAPI serves now and what each can do: search, structured output, "
        "files, effort. Free."
    ),
    args=ModelsArgs,
    perform=_models,
    output=_OUTPUT,
    idempotent=True,
    use="which models there are and what each can do; only needed to name one.",
    hint="which Gemini models",
)

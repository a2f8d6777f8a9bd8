"""list_models: what RunAPI serves now, joined with what each model can do."""

from dataclasses import replace
from typing import Final

from pydantic import ConfigDict

from runapi_mcp.errors import SettingsError, UpstreamError
from runapi_mcp.models import ALIASES, MODELS, WISHES, Model, find, pick
from runapi_mcp.request import Run
from runapi_mcp.tools.coercion import Args
from runapi_mcp.tools.tool import Reply, Tool
from runapi_mcp.upstream.model_list import LiveModel
from runapi_mcp.wire.types import JsonObject, JsonValue


class ModelsArgs(Args):
    """Arguments of list_models: there are none, and what a host adds does no harm."""

    model_config = ConfigDict(extra="ignore")


async def _models(_args: ModelsArgs, run: Run) -> Reply:
    try:
        live = await run.models()
    except (UpstreamError, SettingsError) as error:
        note = f"This is the built-in table, not RunAPI's live list: {error}"
        reply = _reply([_row(model.id, model, live=False) for model in MODELS], "static", note, run)
        return replace(reply, error=error)
    rows = [_row(model.id, find(model.id), live=True, title=model.title) for model in _ordered(live)]
    return _reply(rows, "live", "", run)


def _ordered(live: list[LiveModel]) -> list[LiveModel]:
    """Return the live models in the table's order, those it does not know last, by name."""
    known = {model.id: position for position, model in enumerate(MODELS)}
    return sorted(live, key=lambda model: (known.get(model.id, len(known)), model.id))


def _row(model_id: str, model: Model | None, *, live: bool, title: str = "") -> JsonObject:
    row: JsonObject = {"id": model_id}
    if title:
        row["title"] = title
    if model_id in ALIASES:
        row["stands_for"] = ALIASES[model_id]
    if model is None:
        return row | {"known": False}
    abilities: JsonObject = {
        "known": True,
        "dialects": list[JsonValue](sorted(model.dialects)),
        "search": bool(model.search),
        "structured_output": bool(model.structured),
        "function_calling": bool(model.functions),
        "reasoning_effort": list[JsonValue](model.efforts),
        "files": bool(model.files),
        "input_tokens": model.input_tokens,
        "evidence": model.evidence,
    }
    return row | abilities | ({"note": model.note} if model.note else {})


def _reply(rows: list[JsonObject], source: str, note: str, run: Run) -> Reply:
    defaults: JsonObject = {"default": run.settings.model, "search_default": run.settings.search_model}
    defaults |= {wish: pick(wish, ()) for wish in WISHES}
    structured: JsonObject = {"source": source, "models": list[JsonValue](rows), **defaults}
    if note:
        structured["note"] = note
    lines = [_line(row) for row in rows] or ["RunAPI lists no Gemini model for this key."]
    head = which_for_what(structured, "search_web")
    return Reply("\n".join([head, *lines]), structured, said=(note,) if note else ())


def which_for_what(structured: JsonObject, search: str) -> str:
    """Return which model is used for what, and how much they read, in a line.

    Args:
        structured: The structured result.
        search: What a search is called where it is read.
    """
    models = structured["models"]
    rows = [row for row in models if isinstance(row, dict)] if isinstance(models, list) else []
    sizes = sorted({size for row in rows if isinstance(size := row.get("input_tokens"), int)})
    context = " to ".join(f"{size / 2**20:.2g}M" for size in dict.fromkeys([*sizes[:1], *sizes[-1:]]))
    wishes = "; ".join(f"{wish}: {structured[wish]}" for wish in WISHES)
    default = f"Default: {structured['default']}; for {search}: {structured['search_default']}; {wishes}."
    return f"{default} Context: {context} tokens." if context else default


def describe(row: JsonObject) -> tuple[str, str]:
    """Return what the model of a row can do, and what is to be said of it beside that, in sentences."""
    stands = f"Stands for {row['stands_for']}." if "stands_for" in row else ""
    if not row["known"]:
        return "abilities not known; it is called on the chat dialect as you ask", stands
    able = ["text", "images", *(word for name, word in _ABILITIES.items() if row[name])]
    efforts = row["reasoning_effort"]
    if isinstance(efforts, list) and efforts:
        able.append(f"effort {'/'.join(map(str, efforts))}")
    return ", ".join(able), " ".join(part for part in (stands, str(row.get("note", ""))) if part)


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

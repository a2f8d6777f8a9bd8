"""list_models: what RunAPI serves now, joined with what each model can do."""

from dataclasses import replace
from typing import Final

from pydantic import ConfigDict

from runapi_mcp.errors import SettingsError, UpstreamError
from runapi_mcp.models import ALIASES, MODELS, Model, find
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
        "evidence": model.evidence,
    }
    return row | abilities | ({"note": model.note} if model.note else {})


def _reply(rows: list[JsonObject], source: str, note: str, run: Run) -> Reply:
    defaults: JsonObject = {"default": run.settings.model, "search_default": run.settings.search_model}
    structured: JsonObject = {"source": source, "models": list[JsonValue](rows), **defaults}
    if note:
        structured["note"] = note
    lines = [_line(row) for row in rows] or ["RunAPI lists no Gemini model for this key."]
    head = f"Default: {run.settings.model}; for search_web: {run.settings.search_model}."
    return Reply("\n".join([head, *lines]), structured, said=(note,) if note else ())


def _line(row: JsonObject) -> str:
    if not row["known"]:
        stands = f" (stands for {row['stands_for']})" if "stands_for" in row else ""
        return f"- {row['id']}{stands}: abilities not known; it is called on the chat dialect as you ask"
    names = ("search", "structured_output", "function_calling", "files")
    able = [name.replace("_", " ") for name in names if row[name]]
    efforts = row["reasoning_effort"]
    if isinstance(efforts, list) and efforts:
        able.append("effort " + "/".join(map(str, efforts)))
    note = f" {row['note']}" if "note" in row else ""
    return f"- {row['id']}: text, images, {', '.join(able)}.{note}"


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

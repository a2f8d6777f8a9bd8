"""In which words a schema is sent, and in which narrower ones it may be asked again.

Google's own routes take JSON Schema. What stands between may turn it into Google's older Schema, a protocol
buffer of OpenAPI's words, and refuses the whole request for a word that we wrote: "Proto field is not
repeating" of a list of types (QuantumNous/new-api#1037, zed-industries/zed#49292), "Unknown name" of a
reference (simonw/llm-gemini#49). Nothing was billed then, and the caller can change nothing about it.
"""

import json
import re
from dataclasses import replace
from typing import Final, Literal

from runapi_mcp.wire.types import Call, DialectName, JsonObject, JsonValue, Spelling

_HEAD: Final = 4_000
_PLACE: Final = re.compile(r"response_?(?:json_?)?schema|response_format|\bjson_?schema\b|\bschemas?\b", re.I)
"""What a schema is called where a refusal says where it is wrong."""
_WORD: Final = re.compile(r"\$?[A-Za-z][A-Za-z_]*[A-Za-z]")
_PLAIN: Final = frozenset({"type", "format", "description", "enum", "items", "required", "properties"})
"""Keywords that are words of English too, or are meant by whoever names a field of the request."""
_UNKNOWN: Final = re.compile(r"unknown name|cannot find field|unknown field|not supported|unsupported", re.I)
_LIST_OF_TYPES: Final = re.compile(r"not repeating|cannot start list", re.I)
_OWN: Final = re.compile(
    r"\b(?:keys?|names?)\b[^.]{0,60}\b(?:match|must|should|contain|start|exceed|long|characters)", re.I
)
"""What is said of names that the caller chose."""


def spell(call: Call, dialect: DialectName, spelling: Spelling) -> Call:
    """Return a call with its schemas in other words: in the older Schema's, or as text in the system prompt.

    What the older Schema cannot say, an object of any members or a loop, is spelled as text at once.
    Functions are in its words on chat anyway.
    """
    if spelling == "wide":
        return call
    if spelling == "narrow":
        # Seldom needed, and what knows JSON Schema takes long to import.
        from runapi_mcp.wire.schema.narrow import Unsayable, narrow, narrow_answer

        try:
            schema = None if call.schema is None else narrow_answer(call.schema)
            functions = call.functions
            if dialect == "native":
                functions = tuple(replace(f, parameters=narrow(f.parameters)) for f in functions)
            return replace(call, schema=schema, functions=functions, spelling="narrow")
        except Unsayable:
            pass
    if call.schema is None:
        return call
    told = "Answer with JSON alone, which conforms to this JSON Schema:\n"
    told += json.dumps(call.schema, ensure_ascii=False, separators=(",", ":"))
    system = f"{call.system}\n\n{told}" if call.system else told
    return replace(call, schema={}, system=system, spelling="words")


def find_narrower(
    sent: Call, dialect: DialectName, refused: str
) -> tuple[Literal["narrow", "words"], bool] | None:
    """Return the spelling in which a refused call may be asked once more; `None` if that cannot help.

    It can where the refusal names a word of ours; what the caller wrote is the caller's to change. The
    second value is whether that is so of every schema, and not of this one, which is too large.

    Args:
        sent: The call as it was sent.
        dialect: How it was sent.
        refused: What the refusal says.
    """
    refused = refused[:_HEAD]
    schemas = [sent.schema] if sent.schema is not None else [f.parameters for f in sent.functions]
    ours = {word for schema in schemas for word in _keywords(schema)}
    named = {word for word in ours if word.replace("$", "").lower() in _words(refused)}
    placed = bool(_PLACE.search(refused))
    if not (named - _PLAIN or placed) or (_OWN.search(refused) and not _UNKNOWN.search(refused)):
        return None
    lasting = bool(named) or bool(_LIST_OF_TYPES.search(refused))
    if sent.spelling == "wide" and (sent.schema is not None or dialect == "native"):
        narrower = spell(sent, dialect, "narrow")
        unknown = named if _UNKNOWN.search(refused) and not _LIST_OF_TYPES.search(refused) else set()
        changed = narrower.schema != sent.schema or narrower.functions != sent.functions
        helps = not unknown or not unknown <= _keywords(narrower.schema)
        if lasting and changed and helps and narrower.spelling == "narrow":
            return "narrow", lasting
    if sent.schema is None or sent.spelling == "words":
        return None
    return "words", lasting


def _words(text: str) -> set[str]:
    """Return the words of a text, in small letters and without the lines between their parts."""
    return {word.replace("_", "").lstrip("$").lower() for word in _WORD.findall(text)}


def _keywords(schema: JsonValue) -> set[str]:
    """Return the keywords of a schema that we wrote."""
    found: set[str] = set()
    todo: list[JsonValue] = [schema]
    while todo:
        part = todo.pop()
        if not isinstance(part, dict):
            continue
        found |= part.keys()
        for key in ("properties", "$defs"):
            todo += _members(part, key)
        for key in ("anyOf", "prefixItems"):
            options = part.get(key)
            todo += options if isinstance(options, list) else []
        todo += [part.get("items"), part.get("additionalProperties")]
    return found


def _members(part: JsonObject, key: str) -> list[JsonValue]:
    held = part.get(key)
    return [*held.values()] if isinstance(held, dict) else []

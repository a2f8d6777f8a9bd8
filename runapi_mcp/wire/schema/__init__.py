"""A caller's JSON Schema → what the wire takes, and which of its rules only we check.

The keywords that Gemini's structured output takes are those of the wire notes §5.5. Everything
else is rewritten where it has an equivalent, told to the model in the description where it can be
said in a few words, and otherwise left out; the answer is judged by the original schema either way.

`references` follows what refers to what, `writing` walks the schema, `values` and `words` write
what a subschema says of a value itself, `merging` makes one of two.
"""

from dataclasses import dataclass
from typing import Final

from runapi_mcp.wire.schema.references import References
from runapi_mcp.wire.schema.write import Writer
from runapi_mcp.wire.types import DialectName, JsonObject

TAKEN: Final[dict[DialectName, frozenset[str]]] = dict.fromkeys(
    ("chat", "native"),
    frozenset(
        {
            *("$defs", "$ref", "type", "format", "description", "enum", "items", "prefixItems", "minItems"),
            *("maxItems", "minimum", "maximum", "anyOf", "properties", "additionalProperties", "required"),
        }
    ),
)
"""The keywords that a rewritten schema holds, by dialect; nothing shows that RunAPI's differ."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A schema for the wire, and the rules left out of it, as JSON Pointers into the original.

    It depends on the schema and the dialect alone, and making it takes as long as the schema is
    large: keep it with what it was made for.
    """

    schema: JsonObject
    checked_here: tuple[str, ...]


def rewritten(schema: JsonObject, dialect: DialectName = "chat") -> Rewritten:
    """Return `schema` in the form that `dialect` takes.

    Raises:
        Unfollowable: A reference leads out of the schema or nowhere, or it is no schema.
        RecursionError: It is nested too deeply.
    """
    references = References(schema)
    writer = Writer(references, TAKEN[dialect])
    body = writer.whole(references.root)
    if writer.definitions:
        body["$defs"] = writer.definitions
    return Rewritten(body, tuple(writer.left_out))

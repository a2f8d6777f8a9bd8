"""A caller's JSON Schema → what the wire takes, and which of its rules only we check.

`read` takes what generators and agents write for what it means, and tells everything that is wrong with it;
`references` follows what refers to what, and `rule` is a subschema as it is looked at; `write` writes it in
the words that Google takes, `say` says the rest in the description, and `loops` opens what it refuses.
"""

from dataclasses import dataclass
from typing import Final

from runapi_mcp.wire.schema.keywords import count_values
from runapi_mcp.wire.schema.read import Faulty
from runapi_mcp.wire.schema.references import References
from runapi_mcp.wire.schema.rule import Unsatisfiable
from runapi_mcp.wire.schema.write import Intricate, Writer
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


def rewritten(schema: JsonObject, _dialect: DialectName = "chat") -> Rewritten:
    """Return `schema` in the form that the wire takes, which is the same in both dialects.

    Raises:
        Unfollowable: A reference leads out of the schema or nowhere, or it is no schema.
        Faulty: No value conforms to it, it is nested too deeply, or it grows too large written out.
    """
    try:
        writer = Writer(References(schema), count_values(schema))
        made = writer.write()
    except Unsatisfiable as error:
        raise Faulty(f"nothing can conform to it: {error}.") from None
    except Intricate:
        raise Faulty(
            "it grows too large when its references are written out.",
            advice="Refer to fewer subschemas in allOf and beside descriptions, or extract in parts.",
        ) from None
    except RecursionError:
        raise Faulty("nested too deeply.", advice="Name what repeats in $defs, and refer to it.") from None
    return Rewritten(made, tuple(writer.left_out))

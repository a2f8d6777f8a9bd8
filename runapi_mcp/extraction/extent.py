"""How large a schema is, in what it takes to check, rewrite and follow it."""

from dataclasses import dataclass
from typing import Final

from runapi_mcp.extraction.effort import is_quick_to_read
from runapi_mcp.wire.types import JsonObject, JsonValue

MOST_DEPTH: Final = 300


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of a schema.

    Attributes:
        objects: Objects in it; nearly all of them are subschemas.
        values: Members and items in it.
        references: References in it.
        characters: Characters of its texts.
        quick: Whether its regular expressions are compiled in no time.
    """

    objects: int
    values: int
    references: int
    characters: int
    quick: bool

    def is_at_most(self, objects: int, values: int, references: int, characters: int) -> bool:
        """Whether it is no larger than that in any of its dimensions."""
        return (
            self.quick
            and self.objects <= objects
            and self.values <= values
            and self.references <= references
            and self.characters <= characters
        )


def extent_of(schema: JsonObject) -> Extent:
    """Return the size of a schema.

    Raises:
        RecursionError: It is nested deeper than 300 levels of JSON.
    """
    objects = values = references = characters = 0
    expressions: list[str] = []
    todo: list[tuple[JsonValue, int]] = [(schema, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > MOST_DEPTH:
            raise RecursionError
        match value:
            case dict():
                objects += 1
                values += len(value)
                characters += sum(map(len, value))
                references += sum(1 for key in value if key.startswith("$") and key.endswith("ef"))
                expressions += _expressions(value)
                todo += [(member, depth + 1) for member in value.values()]
            case list():
                values += len(value)
                todo += [(item, depth + 1) for item in value]
            case str():
                characters += len(value)
    quick = sum(map(len, expressions)) <= _MOST_EXPRESSION and all(map(is_quick_to_read, expressions))
    return Extent(objects, values, references, characters, quick)


_MOST_EXPRESSION: Final = 4_000
"""Characters of all regular expressions; one takes about five microseconds to compile."""


def _expressions(value: JsonObject) -> list[str]:
    """Return the texts of an object that may be taken for regular expressions."""
    patterns = value.get("patternProperties")
    named = [*patterns] if isinstance(patterns, dict) else []
    return [*named, pattern] if isinstance(pattern := value.get("pattern"), str) else named

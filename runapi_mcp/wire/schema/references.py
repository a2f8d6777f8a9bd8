"""The references of one JSON Schema: looked up in the schema itself, never fetched.

Identifiers and anchors within the schema count (`$id`, `$anchor`), and so do the metaschemas of the
drafts, which everybody has. The schema is gone through once; after that a reference is found in the time
that it takes to read it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urldefrag, urljoin

from runapi_mcp.wire.schema.keywords import REFERRING, subschemas
from runapi_mcp.wire.types import JsonObject, JsonValue

if TYPE_CHECKING:
    from referencing.jsonschema import SchemaRegistry

_MOST_DEPTH: Final = 100


def metaschemas() -> "SchemaRegistry":
    """Return what references may lead to outside the schema: the metaschemas, and nothing that is fetched."""
    # Few schemas refer to one, and to have them takes longer than to write the schema.
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it has no py.typed

    known: SchemaRegistry = REGISTRY
    return known


class Unfollowable(ValueError):
    """What cannot be followed as a schema: it is none, or one of its references is dangling."""


class Dangling(Unfollowable):
    """A reference that leads out of the schema, or nowhere; the message is the reference."""


@dataclass(frozen=True, slots=True)
class Place:
    """A subschema, and the URI that its references are relative to."""

    schema: JsonValue
    base: str = ""

    @property
    def key(self) -> int:
        """What tells this subschema from every other of the same document."""
        return id(self.schema)


class References:
    """The references of one schema.

    Args:
        schema: The schema.
        checked: Whether all of them are known to lead somewhere, or are to be looked at by the caller.

    Raises:
        Dangling: One of them leads out of the schema or nowhere, or an identifier is none.
        Unfollowable: It is no schema.
        RecursionError: The schema is nested deeper than 100 levels.
    """

    def __init__(self, schema: JsonObject, *, checked: bool = False) -> None:
        if not isinstance(schema, dict):
            raise Unfollowable
        self._named: dict[str, Place] = {}
        self._found: dict[tuple[str, str], Place] = {}
        self.root = self._index(schema, "")
        for _, _, reference in () if checked else self.dangling():
            raise Dangling(reference)

    def target(self, place: Place, reference: str) -> Place:
        """Return the subschema that a reference at `place` leads to.

        Raises:
            Dangling: There is none.
        """
        wanted = (place.base, reference)
        if wanted not in self._found:
            self._found[wanted] = self._look_up(place.base, reference)
        return self._found[wanted]

    def inside(self, place: Place, schema: JsonValue) -> Place:
        """Return a subschema of the one at `place`."""
        return Place(schema, _base(schema, place.base))

    def dangling(self) -> Iterator[tuple[JsonObject, str, str]]:
        """Yield the subschemas whose references lead nowhere, each with its JSON Pointer and the reference.

        What only references lead to has the pointer that they do.
        """
        todo, seen = [(self.root, "")], set[int]()
        while todo:
            place, at = todo.pop()
            if not isinstance(place.schema, dict) or place.key in seen:
                continue
            seen.add(place.key)
            for reference in referring(place.schema):
                try:
                    todo.append((self.target(place, reference), urldefrag(reference)[1]))
                except Dangling:
                    yield place.schema, at, reference
            below = [(self.inside(place, part), at + pointer) for pointer, part in subschemas(place.schema)]
            todo += reversed(below)

    # ------------------------------------------------------------ looking up

    def _index(self, schema: JsonObject, base: str) -> Place:
        """Keep what identifiers and anchors name in `schema`; return it as the place that it is."""
        root = Place(schema, _base(schema, base))
        self._named.setdefault(root.base, root)
        todo = [(root, 0)]
        while todo:
            place, depth = todo.pop()
            if depth > _MOST_DEPTH:
                raise RecursionError
            if not isinstance(place.schema, dict):
                continue
            if "$id" in place.schema:
                self._named.setdefault(place.base, place)
                # Until draft-07 an anchor is an identifier that is nothing but a fragment.
                if isinstance(identifier := place.schema["$id"], str) and identifier.startswith("#"):
                    self._named.setdefault(place.base + identifier, place)
            for key in ("$anchor", "$dynamicAnchor"):
                if isinstance(anchor := place.schema.get(key), str):
                    self._named.setdefault(f"{place.base}#{anchor}", place)
            todo += [(self.inside(place, part), depth + 1) for _, part in subschemas(place.schema)]
        return root

    def _look_up(self, base: str, reference: str) -> Place:
        try:
            uri, fragment = urldefrag(
                urljoin(base, reference) if not reference.startswith("#") else base + reference
            )
        except ValueError:
            raise Dangling(reference) from None
        if uri not in self._named:
            self._open(uri, reference)
        if fragment and not fragment.startswith("/"):
            if (named := self._named.get(f"{uri}#{fragment}")) is None:
                raise Dangling(reference)
            return named
        place = self._named[uri]
        for part in unquote(fragment).split("/")[1:]:
            place = self._step(place, part.replace("~1", "/").replace("~0", "~"), reference)
        if not isinstance(place.schema, dict | bool):
            raise Dangling(reference)
        return place

    def _open(self, uri: str, reference: str) -> None:
        """Open a metaschema."""
        known = metaschemas()
        if uri not in known:
            raise Dangling(reference)
        self._index(cast("JsonObject", known.contents(uri)), uri)

    def _step(self, place: Place, part: str, reference: str) -> Place:
        match place.schema:
            case dict(members) if part in members:
                return self.inside(place, members[part])
            case list(items) if part.isdecimal() and int(part) < len(items):
                return self.inside(place, items[int(part)])
        raise Dangling(reference)


def _base(schema: JsonValue, base: str) -> str:
    identifier = schema.get("$id") if isinstance(schema, dict) else None
    if not isinstance(identifier, str) or identifier.startswith("#"):
        return base
    try:
        return urldefrag(urljoin(base, identifier))[0]
    except ValueError:
        raise Dangling(identifier) from None


def referring(schema: JsonValue) -> list[str]:
    """Return the references that a subschema itself makes."""
    if not isinstance(schema, dict):
        return []
    return [value for key in REFERRING if isinstance(value := schema.get(key), str)]

"""The references of one JSON Schema: looked up in the schema itself, never fetched.

Identifiers and anchors within the schema count (`$id`, `$anchor`), and so do the metaschemas of the
drafts, which everybody has.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it has no py.typed
from referencing._core import Resolver
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, SchemaRegistry, specification_with

from runapi_mcp.wire.types import JsonObject, JsonValue

_KNOWN: Final[SchemaRegistry] = REGISTRY
_REFERRING: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_MOST_DEPTH: Final = 100
_Resolver: TypeAlias = "Resolver[bool | Mapping[str, Any]]"


def metaschemas() -> SchemaRegistry:
    """Return what references may lead to outside the schema: the metaschemas, and nothing that is fetched."""
    return _KNOWN


class Unfollowable(ValueError):
    """What cannot be followed as a schema: it is none, or one of its references is dangling."""


class Dangling(Unfollowable):
    """A reference that leads out of the schema, or nowhere; the message is the reference."""


@dataclass(frozen=True, slots=True)
class Place:
    """A subschema, and what its references are relative to."""

    schema: JsonValue
    resolver: _Resolver

    @property
    def key(self) -> int:
        """What tells this subschema from every other of the same document."""
        return id(self.schema)


class References:
    """The references of one schema.

    Raises:
        Dangling: One of them leads out of the schema or nowhere.
        Unfollowable: It is no schema.
        RecursionError: The schema is nested deeper than 100 levels.
    """

    def __init__(self, schema: JsonObject) -> None:
        declared = schema.get("$schema")
        self._specification = specification_with(str(declared), DRAFT202012) if declared else DRAFT202012
        with _followed():
            root = self._specification.create_resource(schema)
            self.root = Place(schema, _KNOWN.resolver_with_root(root))
        self._reached: dict[int, frozenset[int]] = {}
        # All places before any reference: to look one up is to read the whole schema.
        for place in [*self._places(self.root, 0)]:
            for reference in referring(place.schema):
                self.target(place, reference)

    def target(self, place: Place, reference: str) -> Place:
        """Return the subschema that a reference at `place` leads to.

        Raises:
            Dangling: There is none.
        """
        with _followed(reference):
            found = place.resolver.lookup(reference)
        return Place(cast("JsonValue", found.contents), found.resolver)

    def inside(self, place: Place, schema: JsonValue) -> Place:
        """Return a subschema of the one at `place`."""
        if isinstance(schema, dict) and isinstance(identifier := schema.get("$id"), str):
            with _followed(identifier):
                inner = place.resolver.in_subresource(self._specification.create_resource(schema))
            return Place(schema, inner)
        return Place(schema, place.resolver)

    def reached(self, place: Place) -> frozenset[int]:
        """Return the keys of all subschemas that references at and below `place` lead to."""
        if place.key not in self._reached:
            found: dict[int, Place] = {}
            todo = [place]
            while todo:
                for target in self._targets(todo.pop()):
                    if target.key not in found:
                        found[target.key] = target
                        todo.append(target)
            self._reached[place.key] = frozenset(found)
        return self._reached[place.key]

    def _targets(self, place: Place) -> Iterator[Place]:
        for below in self._places(place, 0):
            for reference in referring(below.schema):
                yield self.target(below, reference)

    def _places(self, place: Place, depth: int) -> Iterator[Place]:
        """Yield `place` and every subschema in it, as its draft knows them."""
        if depth > _MOST_DEPTH:
            raise RecursionError
        yield place
        if isinstance(place.schema, dict):
            with _followed():
                below = [*self._specification.create_resource(place.schema).subresources()]
            for part in below:
                yield from self._places(self.inside(place, part.contents), depth + 1)


@contextmanager
def _followed(reference: str | None = None) -> Iterator[None]:
    """Tell what the library stumbles over: it looks up what is there, and takes all of it for schemas."""
    try:
        yield
    except (Unresolvable, ValueError, AttributeError, TypeError):
        raise Dangling(reference) if reference else Unfollowable from None


def referring(schema: JsonValue) -> list[str]:
    """Return the references that a subschema itself makes."""
    if not isinstance(schema, dict):
        return []
    return [value for key in _REFERRING if isinstance(value := schema.get(key), str)]

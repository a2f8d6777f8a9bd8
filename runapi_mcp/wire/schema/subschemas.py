"""The subschemas of one JSON Schema: the keywords that hold them, and the references that lead to them.

Keywords are those of all drafts together; one that is not named here is an annotation, and anybody's.
References are looked up in the schema itself, never fetched. Identifiers and anchors within it count (`$id`,
`$anchor`), and so do the metaschemas of the drafts, which everybody has. The schema is gone through once;
after that a reference is found in the time that it takes to read it. Of a written schema, the loops of its
references are opened as Google takes them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urldefrag, urljoin

from runapi_mcp.wire.json_text import escape_key
from runapi_mcp.wire.types import JsonObject, JsonValue

if TYPE_CHECKING:
    from referencing.jsonschema import SchemaRegistry

TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")

ONE: Final = frozenset(
    {
        *("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
        *("contains", "propertyNames", "not", "if", "then", "else", "contentSchema"),
    }
)
"""Keywords that hold a subschema."""
LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords that hold a list of them; so may `items`, until draft 2019-09."""
NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold them by name; so may `dependencies`, beside lists of names."""
REFERRING: Final = ("$ref", "$dynamicRef", "$recursiveRef")
COUNTS: Final = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minContains", "maxContains"),
)
BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
ASKING: Final = frozenset(
    {
        *ONE - {"contentSchema"},
        *LISTED,
        *REFERRING,
        *COUNTS,
        *BOUNDS,
        *("type", "enum", "const", "multipleOf", "pattern", "format", "uniqueItems", "required"),
        *("properties", "patternProperties", "dependentSchemas", "dependentRequired", "dependencies"),
    }
)
"""Keywords that ask something of a value."""
DESCRIBING: Final = frozenset(
    {
        *("title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"),
        *("$comment", "$schema", "$id", "$anchor", "$defs", "definitions", "$vocabulary", "$dynamicAnchor"),
        *("discriminator", "propertyOrdering", "nullable", "contentEncoding", "contentMediaType"),
    }
)
"""Keywords that say something else."""


def subschemas(schema: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Yield the subschemas that stand directly in `schema`, each with its JSON Pointer from there."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if isinstance(value, list) and (key in LISTED or key == "items"):
            yield from ((f"/{key}/{at}", part) for at, part in enumerate(value))
        elif isinstance(value, dict) and (key in NAMED or key == "dependencies"):
            named = value.items()
            yield from (
                (f"/{escape_key(key)}/{escape_key(name)}", part) for name, part in named if is_schema(part)
            )
        elif key in ONE:
            yield f"/{key}", value
        elif key == "components" and isinstance(value, dict) and isinstance(value.get("schemas"), dict):
            # OpenAPI's place for what its references lead to.
            held = as_object(value["schemas"])
            yield from ((f"/components/schemas/{escape_key(name)}", part) for name, part in held.items())


def is_schema(part: JsonValue) -> bool:
    """Whether `part` is a schema by its form."""
    return isinstance(part, dict | bool)


def as_object(value: JsonValue) -> JsonObject:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def count_values(schema: JsonValue) -> int:
    """Return how many members and items there are in `schema`."""
    found, todo = 0, [schema]
    while todo:
        part = todo.pop()
        below = [*part.values()] if isinstance(part, dict) else part if isinstance(part, list) else []
        found += len(below)
        todo += below
    return found


# ---------------------------------------------------------------- references

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
            for reference in list_references(place.schema):
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
    if not isinstance(identifier, str):
        return base
    try:
        return urldefrag(urljoin(base, identifier))[0]
    except ValueError:
        raise Dangling(identifier) from None


def list_references(schema: JsonValue) -> list[str]:
    """Return the references that a subschema itself makes."""
    if not isinstance(schema, dict):
        return []
    return [value for key in REFERRING if isinstance(value := schema.get(key), str)]


# ---------------------------------------------------------------- loops of a written schema

# Google's refusal states the rule: "ref loops are only supported if they include optional or nullable
# property values, or a potentially-zero-length array items". Null counts as an option of `anyOf` alone, not
# in a list of types; members that are named nowhere (`additionalProperties`) do not count as optional.

_PREFIX = "#/$defs/"


def open_loops(schema: JsonObject, origins: Mapping[int, tuple[JsonObject, str]]) -> list[str]:
    """Open the loops that Google does not take; return what was left out for it, as JSON Pointers.

    Args:
        schema: The written schema; changed in place.
        origins: Where objects of it stood in the original, by id.
    """
    definitions = as_object(schema.get("$defs"))
    edges = {name: [*_find_forced(part, strict=False)] for name, part in definitions.items()}
    opened: list[str] = []
    for loop in _loops(edges):
        for name in loop:
            _open(definitions[name], loop, origins, opened)
    return opened


def list_needed(schema: JsonObject, names: Collection[str], guessed: Collection[int] = ()) -> Iterator[str]:
    """Yield those of the definitions `names` that every value of `schema` has a value of."""
    definitions = as_object(schema.get("$defs"))
    todo, seen = [*_find_forced(schema, strict=True, guessed=guessed)], set[str]()
    while todo:
        name = todo.pop()
        if name in names:
            yield name
        if name not in seen:
            seen.add(name)
            todo += _find_forced(definitions.get(name), strict=True, guessed=guessed)


def find_endless(schema: JsonObject, guessed: Collection[int]) -> str | None:
    """Return a definition that every value of `schema` needs and that needs itself, if there is one."""
    definitions = as_object(schema.get("$defs"))
    edges = {n: [*_find_forced(part, strict=True, guessed=guessed)] for n, part in definitions.items()}
    looping = {name for loop in _loops(edges) for name in loop}
    return next(list_needed(schema, looping, guessed), None)


def _find_forced(schema: JsonValue, *, strict: bool, guessed: Collection[int] = ()) -> Iterator[str]:
    """Yield the definitions that `schema` cannot do without: in JSON Schema's view, if `strict`."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if not isinstance(part, dict) or id(part) in guessed:
            continue
        if isinstance(reference := part.get("$ref"), str):
            yield reference.removeprefix(_PREFIX)
        todo += [below for below, _, _ in _steps(part, strict=strict)]


def _steps(part: JsonObject, *, strict: bool) -> Iterator[tuple[JsonValue, str, str]]:
    """Yield what every value of a subschema has a value of, with the keyword, and name, that asks for it."""
    options = as_list(part.get("anyOf"))
    nullable = any(as_object(option).get("type") == "null" for option in options)
    if len(options) == 1 or not (strict or nullable):
        yield from ((option, "", "") for option in options)
    members = as_object(part.get("properties"))
    for name in map(str, as_list(part.get("required"))):
        if name in members:
            yield members[name], "required", name
    if not strict and "additionalProperties" in part:
        yield part["additionalProperties"], "additionalProperties", ""
    least = part.get("minItems", 0)
    if isinstance(least, int) and least > 0:
        first = as_list(part.get("prefixItems"))
        for below in [*first[:least], *([part.get("items")] if least > len(first) else [])]:
            yield below, "minItems", ""


def _open(
    part: JsonValue,
    loop: Collection[str],
    origins: Mapping[int, tuple[JsonObject, str]],
    opened: list[str],
) -> bool:
    """Open every way from `part` back into the loop, at the step nearest to its end.

    Return whether one is left, which has to be opened further out.
    """
    if not isinstance(part, dict):
        return False
    closed = str(part.get("$ref", "")).removeprefix(_PREFIX) in loop
    for below, key, name in [*_steps(part, strict=False)]:
        if not _open(below, loop, origins, opened):
            continue
        if not key:
            closed = True
            continue
        if key == "required":
            part[key] = [other for other in as_list(part.get(key)) if other != name]
        if key != "required" or not part[key]:
            part.pop(key, None)
        opened.append(f"{origins.get(id(part), (part, ''))[1]}/{key}")
    return closed


def _loops(edges: Mapping[str, Iterable[str]]) -> Iterator[set[str]]:
    """Yield the sets of nodes that lead to each other (Tarjan's algorithm, without recursion)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for start in edges:
        if start in order:
            continue
        walk: list[tuple[str, Iterator[str]]] = []
        _enter(start, edges, order, lowest, stack, on_stack, walk)
        while walk:
            node, targets = walk[-1]
            for target in targets:
                if target not in edges:
                    continue
                if target not in order:
                    _enter(target, edges, order, lowest, stack, on_stack, walk)
                    break
                if target in on_stack:
                    lowest[node] = min(lowest[node], order[target])
            else:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[node])
                if lowest[node] == order[node]:
                    found = {stack.pop()}
                    while node not in found:
                        found.add(stack.pop())
                    on_stack -= found
                    if len(found) > 1 or node in edges[node]:
                        yield found


def _enter(
    node: str,
    edges: Mapping[str, Iterable[str]],
    order: dict[str, int],
    lowest: dict[str, int],
    stack: list[str],
    on_stack: set[str],
    walk: list[tuple[str, Iterator[str]]],
) -> None:
    order[node] = lowest[node] = len(order)
    stack.append(node)
    on_stack.add(node)
    walk.append((node, iter(edges[node])))

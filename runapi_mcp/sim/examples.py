"""A JSON value that conforms to a JSON Schema, filled from a text where simple things match."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from runapi_mcp.sim.leaves import number, string
from runapi_mcp.sim.patterns import matching

Schema = Mapping[str, object]

_DEEP = 6
"""Below this many levels only what is required is made, so that recursion ends."""
_DEEPEST = 24


def example(schema: Schema, text: str = "") -> object:
    """A value for the schema; where the schema is beyond this generator, a value that is close."""
    return _Maker(schema, text).value(schema, "", 0)


def conforms(value: object, schema: Schema, root: Schema | None = None) -> bool:
    """Whether the value is valid; a schema that cannot be judged counts as obeyed."""
    definitions = {key: root[key] for key in ("$defs", "definitions") if root is not None and key in root}
    try:
        return bool(Draft202012Validator({**definitions, **schema}).is_valid(value))
    except (SchemaError, Unresolvable, TypeError, RecursionError):
        return True


def violation(schema: Schema) -> object:
    """A JSON value that the schema refuses (a plain string where it refuses nothing)."""
    candidates: Sequence[object] = ({"unexpected": "simulated violation"}, [], 0, None, "simulated violation")
    return next((value for value in candidates if not conforms(value, schema)), "simulated violation")


class _Maker:
    """Makes values for the parts of one schema."""

    def __init__(self, root: Schema, text: str) -> None:
        self._root = root
        self._text = text

    def value(self, schema: object, name: str, depth: int, index: int = 0) -> object:
        """A value for one part; `name` is the property it belongs to, `index` its place in an array."""
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return "simulated" if schema is True else None
        plain = self._flattened(schema, depth)
        if "const" in plain:
            return plain["const"]
        if isinstance(plain.get("enum"), Sequence):
            options = cast("Sequence[object]", plain["enum"])
            return self._mentioned(options) if options else None
        found = self._from_text(plain, name)
        return found if found is not None else self._by_type(plain, name, depth, index)

    def _by_type(self, schema: Schema, name: str, depth: int, index: int) -> object:
        match _type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "string":
                return string(schema, name, index)
            case "integer":
                return int(number(schema, index, whole=True))
            case "number":
                return number(schema, index, whole=False)
            case "boolean":
                return index % 2 == 0
            case _:
                return None

    def _object(self, schema: Schema, depth: int) -> dict[str, object]:
        properties = _mapping(schema.get("properties"))
        required = cast("Sequence[str]", schema.get("required", ()))
        names = [
            name
            for name in properties
            if name in required or (depth < _DEEP and not self._cyclic(properties[name]))
        ]
        made = {name: self.value(properties[name], name, depth + 1) for name in names}
        extra = schema.get("additionalProperties", True)
        for name in required:
            made.setdefault(name, self.value(extra, name, depth + 1))
        for spare in range(len(made), cast("int", schema.get("minProperties", 0))):
            made |= self._spare(schema, spare, depth)
        if not made and isinstance(extra, Mapping) and depth < _DEEP:
            made["key"] = self.value(extra, "", depth + 1)
        return made

    def _spare(self, schema: Schema, number: int, depth: int) -> dict[str, object]:
        """A member that no property names: one of a pattern's, if there is a pattern that can be matched."""
        for pattern, part in _mapping(schema.get("patternProperties")).items():
            if (key := matching(pattern)) is not None:
                return {f"{key}{number or ''}": self.value(part, "", depth + 1)}
        return {f"key{number}": self.value(schema.get("additionalProperties", True), "", depth + 1)}

    def _array(self, schema: Schema, name: str, depth: int) -> list[object]:
        prefix = cast("Sequence[object]", schema.get("prefixItems", ()))
        least = cast("int", schema.get("minItems", 0))
        wanted = max(
            least, len(prefix) if prefix else int(depth < _DEEP and not self._cyclic(schema.get("items")))
        )
        most = cast("int", schema.get("maxItems", wanted))
        items = schema.get("items", True)
        return [
            self.value(prefix[at] if at < len(prefix) else items, name, depth + 1, at)
            for at in range(min(wanted, most, 10_000))
        ]

    def _flattened(self, schema: Schema, depth: int) -> dict[str, object]:
        """The schema with `$ref`, `allOf` and one choice of `anyOf`/`oneOf` merged into it."""
        plain = dict(schema)
        hops = 0
        while isinstance(plain.get("$ref"), str) and hops < _DEEPEST:
            plain = _merged(self._target(str(plain.pop("$ref"))), plain)
            hops += 1
        for part in cast("Sequence[object]", plain.pop("allOf", ())):
            plain = _merged(plain, self._flattened(_mapping(part), depth + 1))
        for word in ("anyOf", "oneOf"):
            options = cast("Sequence[object]", plain.pop(word, ()))
            if options:
                plain = self._chosen(plain, options, word, depth)
        return plain

    def _chosen(
        self, base: dict[str, object], options: Sequence[object], word: str, depth: int
    ) -> dict[str, object]:
        merged = [
            _merged(base, self._flattened(_mapping(option), depth + 1))
            for option in options
            if depth < _DEEPEST
        ]
        if depth >= _DEEP:
            merged.sort(key=lambda option: _type(option) in ("object", "array"))
        else:
            merged.sort(key=lambda option: _type(option) == "null")
        for option in merged:
            made = self.value(option, "", depth + 1)
            fits = [conforms(made, _mapping(each), self._root) for each in options]
            if any(fits) and (word == "anyOf" or sum(fits) == 1):
                return option
        return merged[0] if merged else base

    def _target(self, ref: str) -> dict[str, object]:
        place: object = self._root
        for step in ref.removeprefix("#").strip("/").split("/"):
            if step:
                place = _mapping(place).get(step.replace("~1", "/").replace("~0", "~"), {})
        return dict(_mapping(place))

    def _cyclic(self, schema: object, seen: tuple[str, ...] = ()) -> bool:
        """Whether following the references of a schema comes back to one already followed."""
        match schema:
            case {"$ref": str(ref)}:
                return ref in seen or self._cyclic(self._target(ref), (*seen, ref))
            case Mapping():
                return (
                    any(self._cyclic(part, seen) for part in schema.values()) if len(seen) < _DEEP else True
                )
            case list():
                return any(self._cyclic(part, seen) for part in schema)
            case _:
                return False

    def _mentioned(self, options: Sequence[object]) -> object:
        named = (
            option for option in options if isinstance(option, str) and option and _says(self._text, option)
        )
        return next(named, options[0])

    def _from_text(self, schema: Schema, name: str) -> object:
        """What the text says of a property (`age: 41`, `age is 41`), if it fits the schema."""
        if not name or not self._text:
            return None
        word = r"[\W_]*".join(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)) or re.escape(name)
        candidate: object = None
        match _type(schema):
            case "string":
                found = re.search(rf"\b{word}\b\s*[:=]\s*([^\n,;.]+)", self._text, re.IGNORECASE)
                candidate = found[1].strip() if found else None
            case "integer" | "number" as kind:
                found = re.search(rf"\b{word}\b(?:\W|is|was)*?(-?\d+(?:\.\d+)?)", self._text, re.IGNORECASE)
                figure = float(found[1]) if found else None
                candidate = (
                    int(figure)
                    if figure is not None and (kind == "integer" or figure.is_integer())
                    else figure
                )
        return candidate if candidate is not None and conforms(candidate, schema, self._root) else None


def _type(schema: Schema) -> str:
    """The type to make: the first that is not null, or what the keywords suggest. Upper case is accepted."""
    stated = schema.get("type")
    if isinstance(stated, list):
        stated = next((name for name in stated if name != "null"), "null")
    if isinstance(stated, str):
        return stated.lower()
    for kind, words in _SUGGESTIONS.items():
        if words & schema.keys():
            return kind
    return "string"


_SUGGESTIONS = {
    "object": {"properties", "required", "additionalProperties", "minProperties"},
    "array": {"items", "prefixItems", "minItems"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}


def _merged(one: Schema, other: Schema) -> dict[str, object]:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**_mapping(one["properties"]), **_mapping(other["properties"])}
    if "required" in one and "required" in other:
        both = (*cast("Sequence[str]", one["required"]), *cast("Sequence[str]", other["required"]))
        merged["required"] = list(dict.fromkeys(both))
    return merged


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _says(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None

"""A caller's schema and a model's answer: is the one a schema, and does the other conform to it."""

import json
import re
from collections.abc import Iterable
from typing import Final, NoReturn

import jsonschema
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from runapi_mcp.errors import InputError, one_line
from runapi_mcp.wire.types import JsonObject, JsonValue

_FENCE: Final = re.compile(r"```(?:json|JSON)?\s*\n(.*?)```", re.DOTALL)
_MOST_VIOLATIONS: Final = 20
_MOST_DEPTH: Final = 200


class NotJson(ValueError):
    """An answer that is not JSON; the message says where."""


def read_schema(given: JsonObject | str) -> JsonObject:
    """Return the schema that an argument gives, as an object or as JSON text.

    Raises:
        InputError: It is not JSON, not an object, or not a valid JSON Schema.
    """
    schema = _schema_text(given) if isinstance(given, str) else given
    validator = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(map(str, error.path)) or "its top"
        raise InputError(
            f"schema: not a valid JSON Schema at {where}: {one_line(error.message, 200)}."
        ) from None
    except RecursionError:
        raise InputError("schema: nested too deeply.") from None
    _refuse_remote(schema, 0)
    return schema


def parse(text: str) -> JsonValue:
    """Return the JSON in an answer: all of it, or what stands in its code fence.

    Raises:
        NotJson: Neither is JSON, or it repeats a key or holds NaN.
    """
    try:
        return _loaded(text.strip())
    except NotJson as error:
        for block in _FENCE.findall(text):
            try:
                return _loaded(block.strip())
            except NotJson:
                continue
        raise error from None


def violations(value: JsonValue, schema: JsonObject) -> list[str]:
    """Return what is wrong with `value`, a line for each violation, by JSON Pointer.

    Raises:
        InputError: The schema refers to something that it does not hold.
    """
    validator = _validator(schema)
    try:
        errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    except Unresolvable as error:
        raise InputError(f"schema: a $ref leads nowhere: {one_line(str(error), 120)}.") from None
    except RecursionError:
        raise InputError("schema: it refers to itself without end.") from None
    told = [f"{pointer(error.absolute_path)}: {one_line(error.message, 200)}" for error in errors]
    return [
        *told[:_MOST_VIOLATIONS],
        *([f"… and {len(told) - _MOST_VIOLATIONS} more"] if len(told) > _MOST_VIOLATIONS else []),
    ]


def pointer(path: Iterable[str | int]) -> str:
    """Return a path as a JSON Pointer (RFC 6901); the root is "(root)"."""
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    return "/" + "/".join(parts) if parts else "(root)"


def _validator(schema: JsonObject) -> Validator:
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    # An empty registry: a $ref is looked up in the schema itself, never fetched.
    return kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)


def _schema_text(text: str) -> JsonObject:
    try:
        schema = _loaded(text)
    except NotJson as error:
        raise InputError(f"schema: not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise InputError("schema: must be a JSON object.")
    return schema


def _refuse_remote(value: JsonValue, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise InputError("schema: nested too deeply.")
    match value:
        case dict():
            reference = value.get("$ref")
            if isinstance(reference, str) and not reference.startswith("#"):
                raise InputError(
                    f"schema: $ref {one_line(reference, 80)!r} points outside the schema.",
                    advice="Only references within the schema (#/…) are followed.",
                )
            for item in value.values():
                _refuse_remote(item, depth + 1)
        case list():
            for item in value:
                _refuse_remote(item, depth + 1)


def _loaded(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    return value


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotJson(f"the key {twice[:60]!r} stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")

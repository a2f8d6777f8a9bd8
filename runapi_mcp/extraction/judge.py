"""A caller's schema and a model's answer: is the one a schema, and does the other conform to it."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import jsonschema
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable

from runapi_mcp.errors import InputError, one_line
from runapi_mcp.extraction.allowance import Allowance, within
from runapi_mcp.extraction.asked import asked_for
from runapi_mcp.extraction.exact import NotJson, loaded
from runapi_mcp.extraction.formats import format_checker
from runapi_mcp.extraction.rules import judging
from runapi_mcp.wire.json_text import escaped
from runapi_mcp.wire.schema.references import Dangling, References, metaschemas
from runapi_mcp.wire.types import JsonObject, JsonValue

MOST_VIOLATIONS: Final = 20
_MOST_ROUNDS: Final = 20
_DRAFTS: Final = "2020-12, 2019-09 or draft-07"


@dataclass(frozen=True)
class Judge:
    """Judges values by one schema, formats included.

    Attributes:
        schema: The schema.
        allowance: What all of it may take together; without one, it takes as long as it takes.

    Raises:
        TooDear: It takes more; raised by every method.
    """

    schema: JsonObject
    allowance: Allowance | None = None

    def violations(self, value: JsonValue) -> list[str]:
        """Return what is wrong with `value`: a line each, by JSON Pointer, at most 20 and a count.

        Raises:
            InputError: The schema refers to itself without end.
        """
        errors = sorted(self._errors(value), key=lambda error: list(map(str, error.absolute_path)))
        told = [_told(error) for error in errors[:MOST_VIOLATIONS]]
        more = len(errors) - len(told)
        return [*told, *([f"… and {more} more"] if more else [])]

    def conforms(self, value: JsonValue) -> bool:
        """Whether nothing is wrong with `value`."""
        return next(iter(self._errors(value)), None) is None

    def valid_part(self, value: JsonValue) -> JsonValue:
        """Return what is left of `value` without what violates the schema or is not asked for.

        Required members that are missing stay missing.
        """
        part = deepcopy(value)
        for _ in range(_MOST_ROUNDS):
            wrong = [place for error in self._errors(part) for place in _removable(error)]
            if not wrong:
                break
            if () in wrong:
                return None
            for place in sorted(set(wrong), key=_from_the_end):
                _remove(part, place)
        with within(self.allowance):
            return asked_for(part, self.schema)

    def _errors(self, value: JsonValue) -> list[ValidationError]:
        try:
            with within(self.allowance):
                return list(self._validator.iter_errors(value))
        except Unresolvable as error:
            raise InputError(f"schema: a $ref leads nowhere: {one_line(str(error), 120)}.") from None
        except RecursionError:
            raise InputError("schema: it refers to itself without end.") from None

    @cached_property
    def _validator(self) -> Validator:
        kind = judging(_kind(self.schema))
        return kind(self.schema, registry=metaschemas(), format_checker=format_checker())


def read_schema(given: JsonObject | str) -> JsonObject:
    """Return the schema that an argument gives, as an object or as JSON text, and checked.

    Raises:
        InputError: It is not JSON, not an object, or no schema that can be used; see :func:`check_schema`.
    """
    schema = schema_of(given)
    check_schema(schema)
    return schema


def schema_of(given: JsonObject | str) -> JsonObject:
    """Return what an argument gives, as an object or as JSON text.

    Raises:
        InputError: It is not JSON, or not an object.
    """
    if not isinstance(given, str):
        return given
    try:
        schema = loaded(given)
    except NotJson as error:
        raise InputError(f"schema: not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise InputError("schema: must be a JSON object.")
    return schema


def check_schema(schema: JsonObject) -> None:
    """See that it is a schema which answers can be judged by.

    Raises:
        InputError: It is no valid JSON Schema of a draft that is known, or refers to something that it
            does not hold.
    """
    try:
        _kind(schema).check_schema(schema)
        References(schema)
    except jsonschema.SchemaError as error:
        where = pointer(error.absolute_path)
        raise InputError(
            f"schema: not a valid JSON Schema at {where}: {one_line(error.message, 200)}."
        ) from None
    except Dangling as reference:
        raise InputError(
            f"schema: $ref {one_line(str(reference), 80)!r} points outside the schema, or nowhere.",
            advice="Only references within the schema (#/…) are followed; put what it points to in $defs.",
        ) from None
    except RecursionError:
        raise InputError("schema: nested too deeply.") from None


def pointer(path: Iterable[str | int]) -> str:
    """Return a path as a JSON Pointer (RFC 6901); the root is "(root)"."""
    return "".join(f"/{escaped(str(part))}" for part in path) or "(root)"


def _kind(schema: JsonObject) -> type[Validator]:
    declared = schema.get("$schema")
    if not isinstance(declared, str | None):
        raise InputError("schema: $schema must be a string.")
    # Draft 3 stands for the drafts that are not known: nobody's schema is still one.
    known = validator_for(schema, default=jsonschema.Draft3Validator)
    if declared and known is jsonschema.Draft3Validator:
        raise InputError(
            f"schema: $schema {one_line(str(declared), 80)!r} is no draft that is known here.",
            advice=f"Use {_DRAFTS}, or leave $schema out.",
        )
    return known if declared else jsonschema.Draft202012Validator


def _told(error: ValidationError) -> str:
    line = f"{pointer(error.absolute_path)}: {one_line(error.message, 200)}"
    closest = max(error.context or (), key=_depth_of, default=None)
    if closest is None:
        return line
    return f"{line}; closest: {pointer(closest.absolute_path)}: {one_line(closest.message, 200)}"


def _depth_of(error: ValidationError) -> tuple[bool, int]:
    """Return how near a branch came: one of the right type first, then one that fails far inside."""
    return error.validator not in ("type", "const", "enum") or bool(error.path), len(error.absolute_path)


def _removable(error: ValidationError) -> list[tuple[str | int, ...]]:
    """Return the places that must go for an error to go; none for a member that is missing."""
    place = tuple(error.absolute_path)
    if error.validator in ("required", "dependentRequired", "minItems", "minProperties", "contains"):
        return []
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        return [(*place, key) for key in error.instance if key not in known] or [place]
    return [place]


def _from_the_end(place: tuple[str | int, ...]) -> list[tuple[int, str]]:
    """Order places so that a later item goes before an earlier one, and a member before its parent."""
    return [(-part, "") if isinstance(part, int) else (0, part) for part in place] + [(1, "")]


def _remove(value: JsonValue, place: tuple[str | int, ...]) -> None:
    parent: Any = value
    try:
        for part in place[:-1]:
            parent = parent[part]
        del parent[place[-1]]
    except (KeyError, IndexError, TypeError):
        # Its parent went before it.
        return

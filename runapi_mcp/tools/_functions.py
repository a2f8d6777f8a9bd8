"""The functions that a model may ask for, as a caller describes them → as the wire takes them."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Final, TypeAlias

import pydantic
from pydantic import Field, WithJsonSchema, field_validator

from runapi_mcp.errors import InputError
from runapi_mcp.tools._args import at_most
from runapi_mcp.tools._tool import Given
from runapi_mcp.wire.types import DialectName, Function, JsonObject

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_MOST_FUNCTIONS: Final = 128
_NO_PARAMETERS: Final[JsonObject] = {"type": "object"}


class GivenFunction(Given):
    """A function that the model may ask for."""

    name: str
    description: str = ""
    parameters: dict[str, pydantic.JsonValue] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        # Google's rule for names (wire notes §6.1).
        if not _NAME.fullmatch(name):
            raise ValueError("must begin with a letter or _ and hold at most 128 letters, digits, _ . : -")
        return name


Functions: TypeAlias = Annotated[
    tuple[GivenFunction, ...],
    at_most(_MOST_FUNCTIONS, "functions"),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object"},
            "description": "Functions the model may ask you to run: {name, description, parameters}.",
        }
    ),
]


def declared(functions: Iterable[GivenFunction]) -> tuple[Function, ...]:
    """Return the functions of a call.

    Raises:
        InputError: Two have the same name.
    """
    made = tuple(Function(f.name, f.description, f.parameters or _NO_PARAMETERS) for f in functions)
    seen: dict[str, int] = {}
    for position, function in enumerate(made):
        first = seen.setdefault(function.name, position)
        if first != position:
            raise InputError(
                f"functions[{position}].name: functions[{first}] is named {function.name} too.", advice=""
            )
    return made


def on_wire(functions: Iterable[Function], dialect: DialectName) -> tuple[Function, ...]:
    """Return functions with their parameters as `dialect` takes them.

    Raises:
        InputError: The parameters of one are no JSON Schema of an object.
    """
    return tuple(
        replace(function, parameters=_written(function.parameters, dialect, position))
        for position, function in enumerate(functions)
    )


def _written(parameters: JsonObject, dialect: DialectName, position: int) -> JsonObject:
    # Not at the top: what knows JSON Schema takes a twentieth of the whole import, and most calls need none.
    from runapi_mcp.wire.schema import rewritten
    from runapi_mcp.wire.schema.references import Unfollowable

    where = f"functions[{position}].parameters"
    try:
        written = rewritten(parameters, dialect).schema
    except (Unfollowable, RecursionError):
        raise InputError(f"{where}: {_flaw(parameters)}", advice="") from None
    if not _may_be_object(written):
        raise InputError(
            f"{where}: must be the JSON Schema of an object.",
            advice='Write {"type": "object", "properties": {…}}, or leave it out if there are none.',
        )
    return written


def _flaw(parameters: JsonObject) -> str:
    """Return why a schema cannot be followed."""
    from runapi_mcp.extraction.judge import check_schema

    try:
        check_schema(parameters)
    except InputError as error:
        return str(error).removeprefix("schema: ")
    return "not a JSON Schema that can be followed."


def _may_be_object(written: JsonObject) -> bool:
    """Whether a schema in the wire's words allows objects; one that says nothing there is none at all."""
    kind = written.get("type")
    return "object" in kind if isinstance(kind, list) else kind == "object" or (not kind and bool(written))

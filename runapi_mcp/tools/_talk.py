"""A conversation and its functions, as a caller gives them → turns.

The last word is the caller's: a prompt, or what came of a function that the model asked for.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from runapi_mcp.errors import InputError
from runapi_mcp.wire.types import Called, Function, FunctionCall, JsonObject, Part, Returned, Text, Turn

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
MOST_MESSAGES: Final = 500
MOST_FUNCTIONS: Final = 128


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenCall(_Given):
    """A function call of an earlier answer, as that answer named it."""

    name: str
    arguments: dict[str, pydantic.JsonValue] | str = "{}"
    id: str = ""
    signature: str = ""


class Message(_Given):
    """One message of a conversation; `assistant` and `model` are the same."""

    role: Literal["user", "assistant", "model", "function"]
    content: str = ""
    name: str = ""
    id: str = ""
    function_calls: tuple[GivenCall, ...] = ()


class GivenFunction(_Given):
    """A function that the model may ask for."""

    name: str
    description: str = ""
    parameters: dict[str, pydantic.JsonValue] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        # Google's rule for names (wire notes §6.1).
        if not _NAME.fullmatch(name):
            raise ValueError("must begin with a letter or _ and hold letters, digits, _ . : -")
        return name


Messages = Annotated[
    tuple[Message, ...],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object"},
            "description": "Earlier turns: {role: user|assistant|function, content}.",
        }
    ),
]
Functions = Annotated[
    tuple[GivenFunction, ...],
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object"},
            "description": "Functions the model may ask you to run: {name, description, parameters}.",
        }
    ),
]


def conversation(messages: Sequence[Message], last: tuple[Part, ...]) -> tuple[Turn, ...]:
    """Return the turns of `messages`, and `last` as the user's newest words if there are any.

    Raises:
        InputError: They are out of order: no user first, two of one side in a row, a result of a
            function nobody asked for, or an assistant last.
    """
    turns = [*_turns(messages)]
    if last:
        turns.append(Turn("user", last))
    if not turns or turns[0].role != "user":
        raise InputError("messages: the first must be the user's.", advice="")
    for position, (before, after) in enumerate(pairwise(turns)):
        if before.role == after.role:
            who = "user" if after.role == "user" else "assistant"
            raise InputError(
                f"messages: two turns of the {who} in a row, from the {position + 1}. on.", advice=""
            )
        if _asked(before) != _answered(after):
            raise InputError(
                "messages: the functions that an assistant calls need their results in the next turn.",
                advice='Give {"role": "function", "name": …, "content": …} for each.',
            )
    if turns[-1].role != "user":
        raise InputError(
            "messages: the last word must be yours.", advice="Give prompt, or a function's result."
        )
    return tuple(turns)


def declared(functions: Iterable[GivenFunction]) -> tuple[Function, ...]:
    """Return the functions of a call.

    Raises:
        InputError: Two have the same name.
    """
    made = tuple(Function(f.name, f.description, f.parameters or {"type": "object"}) for f in functions)
    names = [function.name for function in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"functions: {twice} stands twice.", advice="")
    return made


def asked_for(calls: Iterable[FunctionCall]) -> list[JsonObject]:
    """Return the functions that an answer asks for, in the form in which `messages` takes them back."""
    return [{key: value for key, value in _fields(call).items() if value} for call in calls]


def _fields(call: FunctionCall) -> JsonObject:
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    return {"name": call.name, "arguments": arguments, "id": call.id, "signature": call.signature}


def _turns(messages: Sequence[Message]) -> Iterator[Turn]:
    """Yield the turns; the results of several functions are one."""
    results: list[Part] = []
    for position, message in enumerate(messages):
        if message.role == "function":
            if not message.name:
                raise InputError(f"messages[{position}]: a function's result needs its name.", advice="")
            results.append(Returned(message.id, message.name, message.content))
            continue
        if results:
            yield Turn("user", tuple(results))
            results = []
        parts = tuple(_parts(message))
        if not parts:
            raise InputError(f"messages[{position}]: content must not be empty.", advice="")
        yield Turn("user" if message.role == "user" else "model", parts)
    if results:
        yield Turn("user", tuple(results))


def _parts(message: Message) -> Iterator[Part]:
    if message.content.strip():
        yield Text(message.content)
    for call in message.function_calls if message.role != "user" else ():
        arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        yield Called(call.id, call.name, arguments, call.signature)


def _asked(turn: Turn) -> list[str]:
    return sorted(part.name for part in turn.parts if isinstance(part, Called))


def _answered(turn: Turn) -> list[str]:
    return sorted(part.name for part in turn.parts if isinstance(part, Returned))

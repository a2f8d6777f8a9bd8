"""A conversation, as a caller gives it → turns.

The last word is the caller's: a prompt, or what came of a function that the model asked for.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import WithJsonSchema, field_validator

from runapi_mcp.errors import InputError, one_line
from runapi_mcp.tools._args import ObjectOrText, at_most
from runapi_mcp.tools._tool import Given
from runapi_mcp.wire.types import FunctionCall, JsonObject, Part, Returned, Text, Turn

_MOST_MESSAGES: Final = 500
_Placed: TypeAlias = tuple[str, Turn]
"""A turn, and where in the arguments it begins."""


class GivenCall(Given):
    """A function call of an earlier answer, as that answer named it."""

    name: str
    arguments: ObjectOrText = "{}"
    id: str = ""
    signature: str = ""


class Message(Given):
    """One message of a conversation; `assistant` and `model` are the same."""

    role: Literal["user", "assistant", "model", "function"]
    content: str = ""
    name: str = ""
    id: str = ""
    function_calls: tuple[GivenCall, ...] = ()

    @field_validator("role", mode="before")
    @classmethod
    def _spoken(cls, role: object) -> object:
        if role in ("system", "developer"):
            raise ValueError("must be 'user', 'assistant' or 'function'; a system instruction goes in system")
        return role


Messages: TypeAlias = Annotated[
    tuple[Message, ...],
    at_most(_MOST_MESSAGES, "messages"),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object"},
            "description": "Earlier turns: {role: user|assistant|function, content}.",
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
        turns.append(("prompt", Turn("user", last)))
    if not turns or turns[0][1].role != "user" or _answered(turns[0][1]):
        raise InputError("messages[0]: must be the user's words.", advice="")
    for before, after in pairwise(turns):
        _check_order(before, after)
    if turns[-1][1].role != "user":
        raise InputError(
            "messages: the last word must be yours.", advice="Give prompt, or a function's result."
        )
    return tuple(turn for _, turn in turns)


def _check_order(before: _Placed, after: _Placed) -> None:
    """See that one turn may follow another."""
    (first, earlier), (second, later) = before, after
    if earlier.role == later.role:
        who, other = ("user", "assistant") if later.role == "user" else ("assistant", "user")
        raise InputError(
            f"{second}: a second turn of the {who} after {first}.",
            advice=f"Put both into one, or the {other}'s between them.",
        )
    asked, answered = _asked(earlier), _answered(later)
    if asked != answered:
        raise InputError(
            f"{second}: must hold {_results(asked)}, as {first} calls for, and holds {_results(answered)}.",
            advice='Give {"role": "function", "name": …, "content": …} for each.',
        )


def _results(names: Sequence[str]) -> str:
    return f"the results of {one_line(', '.join(names), 120)}" if names else "no function's result"


def asked_for(calls: Iterable[FunctionCall]) -> list[JsonObject]:
    """Return the functions that an answer asks for, in the form in which `messages` takes them back."""
    return [{key: value for key, value in _fields(call).items() if value} for call in calls]


def _fields(call: FunctionCall) -> JsonObject:
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    return {"name": call.name, "arguments": arguments, "id": call.id, "signature": call.signature}


def _turns(messages: Sequence[Message]) -> Iterator[_Placed]:
    """Yield the turns; the results of several functions are one."""
    results: list[Part] = []
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if message.role == "function":
            results.append(_returned(message, where))
            continue
        if results:
            yield f"messages[{position - len(results)}]", Turn("user", tuple(results))
            results = []
        yield where, _said(message, where)
    if results:
        yield f"messages[{len(messages) - len(results)}]", Turn("user", tuple(results))


def _returned(message: Message, where: str) -> Returned:
    if not message.name:
        raise InputError(f"{where}.name: required; a function's result needs its name.", advice="")
    return Returned(message.id, message.name, message.content)


def _said(message: Message, where: str) -> Turn:
    if message.role == "user" and message.function_calls:
        raise InputError(f"{where}.function_calls: only an assistant's turn has them.", advice="")
    parts = tuple(_parts(message))
    if not parts:
        raise InputError(f"{where}.content: must not be empty.", advice="")
    return Turn("user" if message.role == "user" else "model", parts)


def _parts(message: Message) -> Iterator[Part]:
    if message.content.strip():
        yield Text(message.content)
    for call in message.function_calls:
        arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        yield FunctionCall(call.id, call.name, arguments, call.signature)


def _asked(turn: Turn) -> list[str]:
    return sorted(part.name for part in turn.parts if isinstance(part, FunctionCall))


def _answered(turn: Turn) -> list[str]:
    return sorted(part.name for part in turn.parts if isinstance(part, Returned))

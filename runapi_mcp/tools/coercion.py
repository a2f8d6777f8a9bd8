"""Arguments as hosts and models send them, made into what was meant, before pydantic judges them.

What is meant beyond doubt is taken; a value that is not stays as it came, and is refused with what would
be right. The kinds come from public reports about MCP servers in real hosts; each rule names some.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from runapi_mcp.errors import one_line

NOT_GIVEN: Final = object()
"""What stands for an argument that says nothing."""
Reader: TypeAlias = Callable[[object], object]
"""Returns what a value was meant to be, or the value itself where that is not beyond doubt."""

_NULLS: Final = frozenset({"null", "undefined", "none", "nil", "nan", "n/a"})
"""Words that hosts write for a null, alone or alone in a list (anthropics/claude-code#95239)."""
_NEUTRAL: Final = _NULLS | {"any", "auto", "default", "unset", "unspecified"}
"""What models write where a strict mode makes them write something (openai/openai-agents-python#414)."""
_MARKS: Final = "\"'`“”‘’"


@dataclass(frozen=True)
class Meant:
    """Marks a type whose values are read in a way of their own."""

    read: Reader


class Given(BaseModel):
    """What a model wrote: what is meant is taken, and nothing unknown is let through.

    Attributes:
        spellings: Names that others have for a field and give it the same value by: theirs → ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    spellings: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, given: object) -> object:
        given = _from_json(given, dict)
        if not isinstance(given, Mapping):
            return given
        readers = _readers(cls)
        meant: dict[object, object] = {}
        for name, value in cls.respell(given).items():
            read = readers.get(name)
            try:
                value = read(value) if read else value
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if value is not NOT_GIVEN:
                meant[name] = value
        return meant

    @classmethod
    def respell(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what was given by the names that are ours."""
        return {cls.spellings.get(name, name): value for name, value in given.items()}


class Args(Given):
    """Arguments of a tool."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> tuple[Self, str]:
        """Return the arguments of a call, and a sentence about what was ignored; empty if nothing was.

        Raises:
            ValidationError: They are not what the tool takes.
        """
        known = {field.alias or name for name, field in cls.model_fields.items()}
        if len(given) > _MOST_NAMES:
            # Of so many most are unknown, which is told of the first few.
            shown = {*islice(given, _MOST_NAMES), *known}
            given = {name: value for name, value in given.items() if name in shown}
        added = [name for name in given if name not in known and _is_hosts(name)]
        own = _unwrapped({name: value for name, value in given.items() if name not in added}, known)
        said = ""
        if added and known:
            said = f"Ignored, as added by the host: {one_line(', '.join(added), 200)}."
        return cls.model_validate(own), said


_MOST_NAMES: Final = 200
"""Arguments of one call that are looked at; no tool here has a fifth of them."""
_HOST_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("sessionid", "action", "chatinput", "toolcallid", "tool"),
        "n8n hands each tool the item of its workflow: https://github.com/n8n-io/n8n/issues/21500",
    ),
    "randomstring": "Cursor, to a tool without arguments: https://github.com/mondaycom/mcp/pull/15",
    "taskprogress": "Cline's prompt has it in each call: https://github.com/cline/cline/pull/9951",
    "waitforprevious": "Gemini CLI's own parameter: https://github.com/MemPalace/mempalace/pull/322",
    "securityrisk": "OpenHands asks for it with each call: "
    "https://github.com/OpenHands/software-agent-sdk/pull/607",
    "i": "oh-my-pi's note of intent: https://github.com/can1357/oh-my-pi/pull/6242",
}
"""Names that hosts are known to add to a model's arguments, in small letters alone, and by what report."""
_WRAPPERS: Final = frozenset({"arguments", "args", "kwargs", "input", "params", "parameters", "tool_input"})
"""Names under which a bridge hands all arguments over as one (PrefectHQ/fastmcp#932)."""


def _is_hosts(name: str) -> bool:
    return name.startswith("_") or re.sub("[_-]", "", name).lower() in _HOST_NAMES


def _unwrapped(given: Mapping[str, Any], known: set[str]) -> Mapping[str, Any]:
    """Return the arguments that stand within a single one, if that is how they came."""
    if len(given) == 1 and known:
        (name, value), *_ = given.items()
        inner = _from_json(value, dict)
        if name in _WRAPPERS and name not in known and isinstance(inner, dict) and inner.keys() & known:
            return inner
    return given


@cache
def _readers(model: type[Given]) -> Mapping[object, Reader]:
    """Return how each field of a model is read, by the name it is given by."""
    return {
        field.alias or name: _marked(field.metadata) or _reader(field.annotation)
        for name, field in model.model_fields.items()
    }


def _marked(metadata: Iterable[object]) -> Reader | None:
    return next((part.read for part in metadata if isinstance(part, Meant)), None)


def _reader(annotation: Any) -> Reader:  # noqa: ANN401  # any type at all
    """Return how values of a type are read."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _marked(parts[1:]) or _reader(parts[0])
    if origin in (Union, UnionType):
        members = [part for part in parts if part is not NoneType]
        return _reader(members[0]) if len(members) == 1 else read_blank
    if origin is Literal:
        return one_of(*parts)
    if origin in (list, tuple):
        return list_of(_reader(parts[0]))
    if origin is dict:
        return read_object
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return read_object
    return {str: read_text, bool: read_scalar, int: read_scalar, float: read_scalar}.get(
        annotation, read_blank
    )


def read_blank(value: object) -> object:
    """Take nothing, "" and blanks for nothing (cursor/cursor#3614, langflow-ai/langflow#10258)."""
    blank = value is None or (isinstance(value, str) and not value.strip())
    return NOT_GIVEN if blank else value


def read_text(value: object) -> object:
    """Read free text: what a bridge made of a text that looked like JSON is text (openclaw/mcporter#63)."""
    if value is None or isinstance(value, str):
        return read_blank(value)
    with suppress(TypeError, ValueError, RecursionError):
        return json.dumps(value, ensure_ascii=False)
    return value


def read_scalar(value: object) -> object:
    """Read a number or a truth, which may come as text, or alone in a list."""
    value = _only(value)
    if isinstance(value, str):
        bare = bare_word(value)
        return NOT_GIVEN if not bare or bare.lower() in _NEUTRAL else bare
    return read_blank(value)


def unless(*neutral: float) -> Reader:
    """Return the reader of a number that is not given where it is one of these."""

    def read(value: object) -> object:
        value = read_scalar(value)
        with suppress(TypeError, ValueError):
            return NOT_GIVEN if float(value) in neutral else value  # type: ignore[arg-type]
        return value

    return read


def one_of(*words: object) -> Reader:
    """Return the reader of one of a few words, in whatever case and marks."""

    def read(value: object) -> object:
        value = _only(value)
        if not isinstance(value, str):
            return read_blank(value)
        bare = bare_word(value).lower()
        if bare in words:
            return bare
        # OpenAI has an effort "none", which Gemini has not: that is for the model to know. "None" is a null.
        null = bare in _NEUTRAL and not (value == "none" and "low" in words)
        return NOT_GIVEN if not bare or null else value

    return read


_MOST_ITEMS: Final = 2_000
"""More than any list here may have."""


def list_of(item: Reader, separators: str = "") -> Reader:
    """Return the reader of a list: it may come as JSON text, as one item alone, or as a text of several.

    Args:
        item: How items are read.
        separators: Characters that part the items of a plain text.
    """

    def read(value: object) -> object:
        parts = _items(value, separators)
        if len(parts) > _MOST_ITEMS:
            # Before each is looked at: a million commas would keep everybody waiting.
            raise ValueError(f"must have fewer than {_MOST_ITEMS:,} items")
        items = [item(one) for one in parts]
        given = [one for one in items if one is not NOT_GIVEN]
        return given or NOT_GIVEN

    return read


def _items(value: object, separators: str) -> Sequence[object]:
    """Return the items of what stands for a list."""
    value = _from_json(value, list)
    match value:
        case None:
            return ()
        case str() if not value.strip(" ") or value.strip().lower() in _NULLS:
            return ()
        case str():
            return (
                re.split(f"[{re.escape(separators)}]", value, maxsplit=_MOST_ITEMS) if separators else [value]
            )
        case [str(word)] if word.strip().lower() in _NULLS:
            return ()
        case list() | tuple():
            # Each item as {"item": …}: NousResearch/hermes-agent#99270.
            return [one["item"] if isinstance(one, dict) and one.keys() == {"item"} else one for one in value]
        case dict() if value.keys() == {"item"}:
            return _items(value["item"], separators)
        case dict() if value and list(value) == [str(place) for place in range(len(value))]:
            return list(value.values())  # a list as PHP writes one with keys
        case _:
            return (value,)  # a list of one as its item: anthropics/claude-code#71927


def read_word(value: object) -> object:
    """Read a name, a handle or a path: scalars as text, without the marks that a model copies with it."""
    value = read_text(value)
    if not isinstance(value, str):
        return value
    bare = bare_word(value)
    return bare if bare and bare.lower() not in _NULLS else NOT_GIVEN


def read_choice(value: object) -> object:
    """Read a word in whose place a neutral one may stand."""
    bare = read_word(value)
    return NOT_GIVEN if isinstance(bare, str) and bare.lower() in _NEUTRAL else bare


def read_object(value: object) -> object:
    """Read an object: it may come as JSON text; PHP writes an empty one as a list."""
    value = read_object_or_text(value)
    return _from_json(value, dict)


def read_object_or_text(value: object) -> object:
    """Read an object, or a text that holds one and is read later, to the digit."""
    if isinstance(value, str) and value.strip().lower() in _NULLS:
        return NOT_GIVEN
    return {} if value == [] else read_blank(value)


def bare_word(text: str) -> str:
    """Return a text without blanks and quotation marks or back-ticks around it."""
    bare = text.strip()
    for _ in range(3):
        if len(bare) > 1 and bare[0] in _MARKS and bare[-1] in _MARKS:
            bare = bare[1:-1].strip()
    return bare


def _only(value: object) -> object:
    """Return the item of a list of one, and nothing for an empty one."""
    if isinstance(value, list | tuple) and len(value) < 2:
        return value[0] if value else None
    return value


def _from_json(value: object, kind: type, quoted: int = 2) -> object:
    """Return what JSON text holds, where that is a `kind`; it may be fenced, or text within JSON text."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[:-3].partition("\n")[2].strip()
    inner: object = None
    if text.startswith(("[" if kind is list else "{", '"')):
        with suppress(ValueError, RecursionError):
            inner = json.loads(text, parse_constant=_refuse)
    if isinstance(inner, str) and quoted:
        inner = _from_json(inner, kind, quoted - 1)
    return inner if isinstance(inner, kind) else value


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")

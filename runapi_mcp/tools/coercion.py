"""Arguments as hosts and models send them, made into what was meant, before pydantic judges them.

What is meant beyond doubt is taken; a value that is not stays as it came, and is refused with what would
be right. The kinds come from public reports about MCP servers in real hosts; each rule names some.
"""

import ast
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from secrets import token_hex
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

from runapi_mcp.printable import one_line
from runapi_mcp.wire.json_text import PIECE, cut_long_texts, has_more_signs, put_back

PROMPT_CHARS: Final = 4_000_000
"""Characters of one text argument: about Gemini's input limit of a million tokens."""
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

    # Built at a tool's first call, which does not wait for the arguments of the others.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    spellings: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_meant(cls, given: object) -> object:
        given = _from_json(given, dict)
        if not isinstance(given, Mapping):
            return given
        readers = _readers(cls)
        meant: dict[object, object] = {}
        for name, value in _respell(_few(cls.respell(given), readers.keys()), readers.keys()).items():
            read = readers.get(name)
            try:
                _refuse_long(value)
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


def _refuse_long(value: object) -> None:
    """Refuse a text that is longer than any may be, before it is read: 60 MB of blanks take long to look at.

    Raises:
        ValueError: It is, and is neither JSON nor a file's content.
    """
    if isinstance(value, str) and len(value) > PROMPT_CHARS:
        begin = value[:_LONGEST_NAME].lstrip().lower()
        if not begin.startswith(("data:", "[", "{", '"', "```")):
            raise ValueError(f"must have at most {PROMPT_CHARS:,} characters")


def is_data(text: str) -> bool:
    """Whether a text is a data: URL, as far as its beginning shows: it may be as long as a file."""
    return text[:_LONGEST_NAME].lstrip().lower().startswith("data:")


class Args(Given):
    """Arguments of a tool."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> tuple[Self, str]:
        """Return the arguments of a call, and a sentence about what was ignored; empty if nothing was.

        Raises:
            ValidationError: They are not what the tool takes.
        """
        known = {field.alias or name for name, field in cls.model_fields.items()}
        given = _few(given, known)
        added = [name for name in given if name not in known and _is_hosts(name)]
        own = _unwrap({name: value for name, value in given.items() if name not in added}, known)
        own = _respell(own, known)
        own, spilled = _take_apart(own, known)
        said = []
        if added and known:
            said.append(f"Ignored, as added by the host: {one_line(', '.join(added), 200)}.")
        if spilled:
            said.append(f"Taken out of {' and '.join(spilled)}: what the host had not parted from it.")
        return cls.model_validate(own), " ".join(said)


_MOST_NAMES: Final = 50
"""Names of one object that are looked at; none here has as many."""


def _few(given: Mapping[str, Any], known: Collection[object]) -> Mapping[str, Any]:
    """Return what was given without most of the names, where there are so many that few are known.

    That the others are unknown is told of the first few.
    """
    if len(given) <= _MOST_NAMES:
        return given
    shown = {*islice(given, _MOST_NAMES), *known}
    return {name: value for name, value in given.items() if name in shown}


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
    "userid": "Sage, beside a session's: https://github.com/ZHangZHengEric/Sage/pull/134",
    "i": "oh-my-pi's note of intent: https://github.com/can1357/oh-my-pi/pull/6242",
    "summary": "OpenHands, beside the risk: https://github.com/OpenHands/software-agent-sdk/pull/1339",
}
"""Names that hosts are known to add to a model's arguments, in small letters alone, and by what report."""
_WRAPPERS: Final = frozenset({"arguments", "args", "kwargs", "input", "params", "parameters", "tool_input"})
"""Names under which a bridge hands all arguments over as one (PrefectHQ/fastmcp#932)."""


def _is_hosts(name: str) -> bool:
    # _auth_auth_type of a proxy (smart-mcp-proxy/mcpproxy-go#322), _sessionID (siyuan-note/siyuan#17927).
    return name.startswith("_") or re.sub("[_-]", "", name[:_LONGEST_NAME]).lower() in _HOST_NAMES


def _unwrap(given: Mapping[str, Any], known: set[str]) -> Mapping[str, Any]:
    """Return the arguments that stand within a single one, if that is how they came."""
    if len(given) == 1 and known:
        (name, value), *_ = given.items()
        inner = _from_json(value, dict)
        if name in _WRAPPERS and name not in known and isinstance(inner, dict) and inner.keys() & known:
            return inner
    return given


def _respell(given: Mapping[str, Any], known: Iterable[object]) -> Mapping[str, Any]:
    """Return arguments under their own names where they came in another case or with other marks.

    A bridge that writes all names in camel case does so at each call, whatever a model is told
    (teradata-labs/loom#339, taylorwilsdon/google_workspace_mcp#918).
    """
    if given.keys() <= (known := set(known)):
        return given
    ours = {_fold(str(name)): str(name) for name in known}
    renamed = {name: ours.get(_fold(str(name)), name) for name in given if name not in known}
    taken = [*(name for name in given if name in known), *renamed.values()]
    return {new if taken.count(new := renamed.get(name, name)) == 1 else name: given[name] for name in given}


def _fold(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name[:_LONGEST_NAME].lower())


_LONGEST_NAME: Final = 100
_TAG: Final = r"(?:antml:)?"
_NEXT: Final = re.compile(
    rf'</{_TAG}(\w{{1,40}})>\s{{0,20}}<{_TAG}parameter name=\\?"(\w{{1,40}})\\?"[^<>]{{0,40}}>'
)
_PARAMETER: Final = "parameter name="
_END: Final = re.compile(rf"(?:\s{{0,20}}</{_TAG}(\w{{1,40}})>){{1,4}}\s{{0,20}}\Z")
_TAGS: Final = re.compile(rf"</{_TAG}(\w{{1,40}})>")
_CALL: Final = frozenset({"parameter", "invoke", "function_calls"})
"""Tags that end an argument, or a call, where a model writes its calls in tags."""


def _take_apart(given: Mapping[str, Any], known: set[str]) -> tuple[Mapping[str, Any], list[str]]:
    """Return arguments that stand in the text of another one, each by its own name; and in which they stood.

    A model closes an argument by a wrong tag, and the host takes all that follows for its text
    (anthropics/claude-code#83088, #58086, #48679, anthropics/claude-agent-sdk-typescript#345). That is what
    it was where the text closes what it never opened, goes on with the call, and does so to its end.
    """
    apart: dict[str, Any] = {}
    stood: list[str] = []
    for name, value in given.items():
        apart[name], spilled = (
            _cut_spill(name, value, known - given.keys()) if isinstance(value, str) else (value, {})
        )
        apart |= {other: text for other, text in spilled.items() if other not in apart}
        stood += [name] if apart[name] != value else []
    return apart, stood


def _cut_spill(name: str, text: str, missing: set[str]) -> tuple[str, dict[str, str]]:
    """Return the text of an argument without what follows its end, and the arguments that do."""
    if len(text) > PROMPT_CHARS or "</" not in text:
        return text, {}
    nexts = [*islice(_find_nexts(text), _MOST_SPILLED)]
    first = nexts[0] if nexts else None
    if first and _closes(first[1], name, text[: first.start()]) and all(one[2] in missing for one in nexts):
        ends = [*(one.start() for one in nexts[1:]), len(text)]
        values = {one[2]: text[one.end() : end] for one, end in zip(nexts, ends, strict=True)}
        return text[: first.start()], {name: _cut_end(value) for name, value in values.items()}
    end = _find_end(text)
    closed = _TAGS.findall(end[0]) if end else []
    if end and closed[-1] in _CALL and all(_closes(tag, name, text[: end.start()]) for tag in closed):
        return text[: end.start()], {}
    return text, {}


def _find_nexts(text: str) -> Iterator[re.Match[str]]:
    """Yield where a text goes on with another argument; each place in a step, between which others run."""
    at = -1
    while (at := text.find(_PARAMETER, at + 1)) >= 0:
        if found := _NEXT.match(text, max(text.rfind("</", max(at - _LONGEST_NAME, 0), at), 0)):
            yield found


def _find_end(text: str) -> re.Match[str] | None:
    return _END.search(text, max(len(text) - _LONGEST_END, 0))


def _cut_end(text: str) -> str:
    end = _find_end(text)
    return text[: end.start()] if end else text


def _closes(tag: str, name: str, before: str) -> bool:
    """Whether a tag ends an argument or its call: one that nothing before it has opened."""
    return (tag in (name, "payload") or tag in _CALL) and not re.search(rf"<{_TAG}{tag}\b", before)


_MOST_SPILLED: Final = 30
_LONGEST_END: Final = 400


@cache
def _readers(model: type[Given]) -> Mapping[object, Reader]:
    """Return how each field of a model is read, by the name it is given by."""
    return {
        field.alias or name: _find_mark(field.metadata) or _reader(field.annotation)
        for name, field in model.model_fields.items()
    }


def _find_mark(metadata: Iterable[object]) -> Reader | None:
    return next((part.read for part in metadata if isinstance(part, Meant)), None)


def _reader(annotation: Any) -> Reader:  # noqa: ANN401  # any type at all
    """Return how values of a type are read."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _find_mark(parts[1:]) or _reader(parts[0])
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
    # A host may give each optional argument as a null (danny-avila/LibreChat#11905).
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
    if isinstance(value, str) and len(value) <= _LONGEST_NAME:
        bare = bare_word(value)
        return NOT_GIVEN if not bare or _in_small(bare) in _NEUTRAL else bare
    return read_blank(value)


def unless(*neutral: float) -> Reader:
    """Return the reader of a number that is not given where it is one of these."""

    def read(value: object) -> object:
        # A gateway fills in zeros for what was left out (metatool-ai/metamcp#365).
        value = read_scalar(value)
        if isinstance(value, str) and len(value) > _LONGEST_NAME:
            return value
        with suppress(TypeError, ValueError, OverflowError):
            return NOT_GIVEN if float(value) in neutral else value  # type: ignore[arg-type]
        return value

    return read


def one_of(*words: object) -> Reader:
    """Return the reader of one of a few words, in whatever case and marks."""

    def read(value: object) -> object:
        value = _only(value)
        if not isinstance(value, str):
            return read_blank(value)
        bare = _in_small(bare_word(value))
        if bare in words:
            return bare
        # OpenAI has an effort "none", which Gemini has not: that is for the model to know. "None" is a null.
        null = bare in _NEUTRAL and not (value == "none" and "low" in words)
        return NOT_GIVEN if not bare or null else value

    return read


_MOST_ITEMS: Final = 1_000
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
        for one in parts:
            _refuse_long(one)
        items = [item(one) for one in parts]
        given = [one for one in items if one is not NOT_GIVEN and one != {}]
        return given or NOT_GIVEN

    return read


def _items(value: object, separators: str) -> Sequence[object]:
    """Return the items of what stands for a list."""
    value = _from_json(value, list)
    match value:
        case None:
            return ()
        case str() if not value.strip(" ") or _in_small(value) in _NULLS:
            return ()
        case str() if separators and len(value) <= PROMPT_CHARS:
            return re.split(f"[{re.escape(separators)}]", value, maxsplit=_MOST_ITEMS)
        case str():
            return (value,)
        case [str(word)] if _in_small(word) in _NULLS:
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
    return bare if bare and _in_small(bare) not in _NULLS else NOT_GIVEN


def read_choice(value: object) -> object:
    """Read a word in whose place a neutral one may stand."""
    bare = read_word(value)
    return NOT_GIVEN if isinstance(bare, str) and _in_small(bare) in _NEUTRAL else bare


def read_object(value: object) -> object:
    """Read an object: it may come as JSON text; PHP writes an empty one as a list."""
    value = read_object_or_text(value)
    return _from_json(value, dict)


def read_object_or_text(value: object) -> object:
    """Read an object, or a text that holds one and is read later, to the digit."""
    if isinstance(value, str):
        if _in_small(value) in _NULLS:
            return NOT_GIVEN
        bare = _bare_json(value)
        value = bare if bare.startswith("{") else value
    return {} if value == [] else read_blank(value)


def bare_word(text: str) -> str:
    """Return a text without blanks and quotation marks or back-ticks around it."""
    bare = text.strip()
    for _ in range(3):
        if len(bare) > 1 and bare[0] in _MARKS and bare[-1] in _MARKS:
            bare = bare[1:-1].strip()
    return bare


def _in_small(text: str) -> str:
    """Return a word without blanks around it in small letters; of a long text, a file's, its beginning."""
    return text.strip()[:_LONGEST_NAME].lower()


def _only(value: object) -> object:
    """Return the item of a list of one, and nothing for an empty one."""
    if isinstance(value, list | tuple) and len(value) < 2:
        return value[0] if value else None
    return value


def _from_json(value: object, kind: type) -> object:
    """Return what JSON text holds, where that is a `kind`; it may be fenced, or text within JSON text."""
    if not isinstance(value, str):
        return value
    # netclaw-dev/netclaw#1093, anomalyco/opencode#45211 (an object within a list).
    text = _bare_json(value)
    inner: object = None
    if text.startswith("[" if kind is list else "{") and not has_more_signs(text, _MOST_VALUES):
        with suppress(ValueError, RecursionError):
            inner = _load(text)
        if inner is None and kind is list and len(text) <= _LONGEST_LITERAL:
            # A list as Python prints it.
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                inner = ast.literal_eval(text)
    return inner if isinstance(inner, kind) else value


_LONGEST_LITERAL: Final = 4_096
_MOST_VALUES: Final = 50_000
"""About how many values JSON text may hold that is read here, as of the message that it came in."""


def _bare_json(text: str, quoted: int = 2) -> str:
    """Return JSON text without a fence around it, and out of JSON text that is a string of it."""
    # pocketpaw/pocketpaw#1636.
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[:-3].partition("\n")[2].strip()
    inner: object = None
    if quoted and text.startswith('"'):
        with suppress(ValueError, RecursionError):
            inner = _load(text)
    return _bare_json(inner, quoted - 1) if isinstance(inner, str) else text


def _load(text: str) -> object:
    """Return the value of JSON text; files in it, as data: URLs, may be long.

    Raises:
        ValueError: It is no JSON.
    """
    if len(text) <= PIECE:
        return json.loads(text, parse_constant=_refuse)
    document, texts = cut_long_texts(text.encode("utf-8", "replace"), token_hex(8))
    return put_back(json.loads(document, parse_constant=_refuse), texts)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")

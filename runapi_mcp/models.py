"""The models and what each can do, as rows; which are used where none is named; what names stand for.

The live list is the truth about which models exist; this table is the truth about abilities. Rows
marked ``seed`` are RunAPI's own Gemini page; rows marked ``newer`` come from its later documents
(docs/wire.md §2.2), which nobody here could try; so do dates and successors. A model that is not in the
table is passed through on the chat dialect with nothing assumed about it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final, Literal, TypeAlias

from runapi_mcp.errors import InputError

DialectName: TypeAlias = Literal["chat", "native"]
"""The two ways in which RunAPI serves Gemini: OpenAI's chat, and Google's own."""
Effort: TypeAlias = Literal["low", "medium", "high"]
Ability: TypeAlias = Literal["search", "structured", "functions", "files"]
Dialects: TypeAlias = frozenset[DialectName]

_CHAT: Final[Dialects] = frozenset({"chat"})
_NATIVE: Final[Dialects] = frozenset({"native"})
_BOTH: Final[Dialects] = frozenset({"chat", "native"})
_NONE: Final[Dialects] = frozenset()
_ALL_EFFORTS: Final[tuple[Effort, ...]] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Model:
    """One row. Each ability names the dialects on which the model has it.

    Attributes:
        id: What requests call it.
        dialects: The dialects it is served on.
        efforts: The reasoning efforts it takes; empty if it takes none.
        search: Google Search grounding.
        structured: Answers held to a JSON Schema.
        functions: Function declarations.
        images: Image input.
        files: Other binary input: PDF, audio, video.
        thoughts: Whether it can show summaries of its thinking.
        temperature: Whether a temperature changes its answers; it takes one either way.
        good_for: What it is good for, in five words.
        evidence: Where the row comes from.
        note: What a caller should know, in a sentence; may be empty.
        ends: The day on which its vendor, or RunAPI, ends it; `None` if none is known. What RunAPI does
            with the id from then on nobody has said, so a date alone decides nothing.
        successor: What its vendor serves or names in its place; empty if nothing is known.
        aliases: Other names that RunAPI has for it.
        input_tokens: Google's own input limit.
        output_tokens: Google's own output limit.
    """

    id: str
    dialects: Dialects
    efforts: tuple[Effort, ...]
    search: Dialects
    structured: Dialects
    functions: Dialects
    images: Dialects
    files: Dialects = _NONE
    thoughts: bool = True
    temperature: bool = True
    good_for: str = ""
    evidence: Literal["seed", "newer"] = "seed"
    note: str = ""
    ends: date | None = None
    successor: str = ""
    aliases: tuple[str, ...] = ()
    input_tokens: int = 1_048_576
    output_tokens: int = 65_536

    def able(self, ability: Ability) -> Dialects:
        """Return the dialects on which the model has `ability`."""
        dialects: Dialects = getattr(self, ability)
        return dialects


_GOOGLE_ENDS_2_5: Final = date(2026, 12, 1)
"""In AI Studio; on Vertex it was 2026-10-20. From then on Google answers with the successor, in silence."""


def _chat_only(
    model_id: str, good_for: str, *, note: str = "", ends: date | None = None, successor: str = ""
) -> Model:
    return Model(
        model_id,
        dialects=_CHAT,
        efforts=_ALL_EFFORTS,
        search=_CHAT,
        structured=_CHAT,
        functions=_NONE,
        images=_CHAT,
        good_for=good_for,
        note=note,
        ends=ends,
        successor=successor,
    )


def _newer_flash(
    model_id: str,
    good_for: str,
    *,
    efforts: tuple[Effort, ...] = _ALL_EFFORTS,
    search: Dialects = _NONE,
    temperature: bool = True,
    note: str = "",
) -> Model:
    return Model(
        model_id,
        dialects=_BOTH,
        efforts=efforts,
        search=search,
        structured=_BOTH,
        functions=_BOTH,
        images=_BOTH,
        files=_NATIVE,
        temperature=temperature,
        good_for=good_for,
        evidence="newer",
        note=note or "Named in RunAPI's later documents only.",
    )


MODELS: Final[tuple[Model, ...]] = (
    _chat_only(
        "gemini-2.5-flash",
        "web search, everyday questions",
        note="Effort is not in RunAPI's list for it, though its own example sends one; it is sent as given.",
        ends=_GOOGLE_ENDS_2_5,
        successor="gemini-3.5-flash-lite",
    ),
    _chat_only(
        "gemini-2.5-pro",
        "hard questions, web search",
        ends=_GOOGLE_ENDS_2_5,
        successor="gemini-3.5-flash-lite",
    ),
    _chat_only("gemini-3.1-pro-preview", "hardest questions, reviews, web search"),
    _chat_only(
        "gemini-3-pro-preview",
        "hard questions, where still served",
        note="Gone from RunAPI's later lists.",
        ends=date(2026, 7, 22),
        successor="gemini-3.1-pro-preview",
    ),
    Model(
        "gemini-3-flash-preview",
        dialects=_BOTH,
        efforts=_ALL_EFFORTS,
        search=_NONE,
        structured=_BOTH,
        functions=_BOTH,
        images=_BOTH,
        files=_NATIVE,
        good_for="fast answers, files, JSON, functions",
        successor="gemini-3.6-flash",
        aliases=("gemini-flash-latest",),
    ),
    _newer_flash("gemini-3.5-flash", "fast answers, files, JSON, functions"),
    _newer_flash(
        "gemini-3.6-flash",
        "fast answers, files, JSON, functions",
        temperature=False,
        note="Named in RunAPI's later documents only; ignores temperature.",
    ),
    _newer_flash(
        "gemini-3.7-flash",
        "newest flash, files, web search",
        efforts=("low", "high"),
        search=_NATIVE,
        temperature=False,
        note="Named in RunAPI's later documents only; ignores temperature; searches on native only.",
    ),
)
"""Every known model, in the order in which it is offered."""

ALIASES: Final[dict[str, str]] = {alias: model.id for model in MODELS for alias in model.aliases}
"""Names that stand for another; requests send the name as given."""

ANSWERING: Final = (
    "gemini-3-flash-preview",
    "gemini-3.6-flash",
    "gemini-3.5-flash",
    "gemini-3.7-flash",
    "gemini-2.5-flash",
    "gemini-3.1-pro-preview",
    "gemini-2.5-pro",
)
"""What answers where no model is named, in order of preference: the seed's flash with every ability but
search, then its successor by Google and its like, those about to end last, and after every flash the pros."""
SEARCHING: Final = ("gemini-2.5-flash", "gemini-3.7-flash", "gemini-3.1-pro-preview", "gemini-2.5-pro")
"""The same for searches: the seed's one flash that has Google Search comes first."""

AUTO: Final = "auto"
"""Stands for the first of the defaults that RunAPI has."""
WISHES: Final = ("strongest", "cheapest", "flash", "pro", "latest")
"""What may be asked for instead of a model's id."""

DEFAULT_MODEL: Final = ANSWERING[0]
DEFAULT_SEARCH_MODEL: Final = SEARCHING[0]

_ROWS: Final[dict[str, Model]] = {model.id: model for model in MODELS}
_PHRASES: Final[dict[Ability, str]] = {
    "search": "Google Search",
    "structured": "structured output",
    "functions": "function calling",
    "files": "files other than images and text",
}


_GONE: Final = frozenset({"gemini-3-pro-preview"})
"""Rows that RunAPI's later lists do not have: not offered in the place of another."""


def find(model_id: str) -> Model | None:
    """Return the row for `model_id`, through its alias if it is one; `None` if there is none."""
    return _ROWS.get(ALIASES.get(model_id, model_id))


def dated(model_id: str) -> str:
    """Return a model's id for people, with the day on which it ends, if one is known."""
    row = find(model_id)
    return f"{model_id} (ends {row.ends})" if row is not None and row.ends else model_id


def has_ended(model_id: str, today: date) -> bool:
    """Whether the day on which a model ends has come, if one is known."""
    row = find(model_id)
    return row is not None and row.ends is not None and today >= row.ends


def models_with(ability: Ability) -> tuple[str, ...]:
    """Return the ids of the models that have `ability` on some dialect."""
    return tuple(model.id for model in MODELS if model.able(ability))


def can(model_id: str, needs: Iterable[Ability], effort: Effort | None = None) -> bool:
    """Whether a model is known to have every ability in `needs` on one dialect, and to take `effort`."""
    row = find(model_id)
    if row is None or (effort is not None and effort not in row.efforts):
        return False
    return bool(row.dialects.intersection(*(row.able(need) for need in needs)))


def is_dear(model_id: str) -> bool:
    """Whether a model is of the dearer class: a pro costs several flashes."""
    return "pro" in re.split(r"[-.]", model_id)


def others_than(model_id: str, needs: Iterable[Ability], effort: Effort | None) -> tuple[str, ...]:
    """Return the ids of other models that have every ability in `needs` and take `effort`.

    Its successor comes first, then those that stay, and of these those of its own price class.
    """
    this, needs = find(model_id), tuple(needs)
    able = [m for m in MODELS if m is not this and m.id not in _GONE and can(m.id, needs, effort)]

    def rank(row: Model) -> tuple[bool, bool, bool]:
        successor = this is not None and row.id == this.successor
        return not successor, row.ends is not None, is_dear(row.id) != is_dear(model_id)

    return tuple(row.id for row in sorted(able, key=rank))


def candidates(
    name: str, defaults: Sequence[str], needs: Iterable[Ability], effort: Effort | None
) -> tuple[str, ...]:
    """Return the models that `name` may stand for, best first; an id stands for itself alone.

    Those that cannot do what is needed are left out; where none can, the best alone is returned, to be
    refused with what it lacks.

    Args:
        name: An id, a wish, or :data:`AUTO`.
        defaults: What AUTO stands for; flash and pro are the flashes and the pros among them.
        needs: The abilities that are needed.
        effort: The effort that it must take, if any.
    """
    if name not in (AUTO, *WISHES):
        return (name,)
    wanted, needs = _read_wish(name, defaults), tuple(needs)
    return tuple(model for model in wanted if can(model, needs, effort)) or wanted[:1]


def _read_wish(name: str, defaults: Sequence[str]) -> tuple[str, ...]:
    """Return what a wish stands for, best first, whatever it can do.

    By what the rows show: a pro is stronger than a flash, a newer one than an older; for the strongest and
    the cheapest, what is about to end comes after all others. The latest is the newest flash.
    """
    there = [row for row in MODELS if row.id not in _GONE]
    match name:
        case "strongest":
            there.sort(key=lambda row: (row.ends is None, is_dear(row.id), _version(row)), reverse=True)
        case "cheapest":
            there.sort(key=lambda row: (row.ends is not None, is_dear(row.id)))
        case "latest":
            there.sort(key=lambda row: (not is_dear(row.id), _version(row)), reverse=True)
        case "flash" | "pro":
            return tuple(model for model in defaults if is_dear(model) == (name == "pro"))
        case _:
            return tuple(defaults)
    return tuple(row.id for row in there)


def _version(row: Model) -> tuple[int, ...]:
    """Return the version in a model's id, to be compared."""
    found = re.search(r"\d+(?:\.\d+)*", row.id)
    return tuple(map(int, found[0].split("."))) if found else ()


_SUFFIX: Final = re.compile(
    r"(?:[-@](?:\d{3}|\d{2}-\d{2}(?:\d{2})?|\d{8}|\d{4}-\d{2}-\d{2}|preview|exp|latest|default))+\Z"
)
"""What names a version of a model rather than another model."""


def is_version_of(served: str, asked: str) -> bool:
    """Whether the model that RunAPI says it served is the one that was asked for, or a version of it.

    A version is the id with ``-001``, a date or ``-preview`` behind it, or without what the asked id has of
    these; in front may stand ``models/``, ``google/`` or another relay's place for it. An alias's target is
    what the alias is.
    """
    named = _bare(served)
    return any(_same_line(named, _bare(name)) for name in (asked, ALIASES.get(asked, asked)))


def _bare(name: str) -> str:
    return name.strip().lower().rpartition("/")[2].partition(":")[0]


def _same_line(one: str, other: str) -> bool:
    """Whether two ids are of one model; two different versions of it are not."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and bool(_SUFFIX.fullmatch(long[len(short) :]))


_MOST_COMPARED: Final = 300
_LONGEST_NAME: Final = 64


def likely_meant(name: str, listed: Iterable[str]) -> str:
    """Return the id among `listed` that a mistyped name is closest to; empty if none is close."""
    import difflib  # not before: settings are read while a host waits

    plain = _bare(name[:_LONGEST_NAME]).replace("_", "-").replace(" ", "-")
    spelled = {known[:_LONGEST_NAME].lower(): known for known in islice(listed, _MOST_COMPARED)}
    versions = [known for known in spelled if _same_line(_bare(known), plain)]
    close = versions[:1] or difflib.get_close_matches(plain, spelled, n=1, cutoff=0.7)
    return spelled[close[0]] if close else ""


def choose_dialect(model_id: str, needs: Iterable[Ability], prefer: DialectName) -> DialectName:
    """Return the dialect on which `model_id` has every ability in `needs`.

    `prefer` decides where both would do. A model without a row goes to chat.

    Raises:
        InputError: The model lacks one of the abilities; the message names models that have it.
    """
    model = find(model_id)
    if model is None:
        return "chat"
    possible = model.dialects
    for ability in needs:
        possible &= model.able(ability)
        if not possible:
            raise InputError(
                f"model: {model_id} does not have {_PHRASES[ability]}.",
                advice=f"Models that have it: {', '.join(models_with(ability))}.",
            )
    return prefer if prefer in possible else min(possible)


def check_effort(model_id: str, effort: Effort) -> None:
    """Check that the model takes `effort`; a model without a row is taken at its word.

    Raises:
        InputError: It does not; the message names what it takes, or models that do.
    """
    model = find(model_id)
    if model is None or effort in model.efforts:
        return
    takers = ", ".join(m.id for m in MODELS if effort in m.efforts)
    taken = f"It takes {' or '.join(model.efforts)}." if model.efforts else f"Models that do: {takers}."
    raise InputError(f"reasoning_effort: {model_id} does not take {effort!r}.", advice=taken)

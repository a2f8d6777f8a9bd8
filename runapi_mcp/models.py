"""The models and what each can do, as rows.

The live list is the truth about which models exist; this table is the truth about abilities. Rows
marked ``seed`` are RunAPI's own Gemini page; rows marked ``newer`` come from its later documents
(wire notes §2.2), which nobody here could try. A model that is not in the table is passed through
on the chat dialect with nothing assumed about it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
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
        evidence: Where the row comes from.
        note: What a caller should know, in a sentence; may be empty.
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
    evidence: Literal["seed", "newer"] = "seed"
    note: str = ""
    input_tokens: int = 1_048_576
    output_tokens: int = 65_536

    def able(self, ability: Ability) -> Dialects:
        """Return the dialects on which the model has `ability`."""
        dialects: Dialects = getattr(self, ability)
        return dialects


def _chat_only(model_id: str, *, note: str = "") -> Model:
    return Model(
        model_id,
        dialects=_CHAT,
        efforts=_ALL_EFFORTS,
        search=_CHAT,
        structured=_CHAT,
        functions=_NONE,
        images=_CHAT,
        note=note,
    )


def _newer_flash(
    model_id: str,
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
        evidence="newer",
        note=note or "Named in RunAPI's later documents only.",
    )


MODELS: Final[tuple[Model, ...]] = (
    _chat_only(
        "gemini-2.5-flash",
        note="Effort is not in RunAPI's list for it, though its own example sends one; it is sent as given.",
    ),
    _chat_only("gemini-2.5-pro"),
    _chat_only("gemini-3.1-pro-preview"),
    _chat_only("gemini-3-pro-preview", note="Gone from RunAPI's later lists."),
    Model(
        "gemini-3-flash-preview",
        dialects=_BOTH,
        efforts=_ALL_EFFORTS,
        search=_NONE,
        structured=_BOTH,
        functions=_BOTH,
        images=_BOTH,
        files=_NATIVE,
    ),
    _newer_flash("gemini-3.5-flash"),
    _newer_flash(
        "gemini-3.6-flash",
        temperature=False,
        note="Named in RunAPI's later documents only; ignores temperature.",
    ),
    _newer_flash(
        "gemini-3.7-flash",
        efforts=("low", "high"),
        search=_NATIVE,
        temperature=False,
        note="Named in RunAPI's later documents only; ignores temperature; searches on native only.",
    ),
)
"""Every known model, in the order in which it is offered."""

ALIASES: Final[dict[str, str]] = {"gemini-flash-latest": "gemini-3-flash-preview"}
"""Names that stand for another; requests send the name as given."""

WISHES: Final = ("strongest", "cheapest")
"""What may be asked for instead of a model's id."""

DEFAULT_MODEL: Final = "gemini-3-flash-preview"
DEFAULT_SEARCH_MODEL: Final = "gemini-2.5-flash"

_ROWS: Final[dict[str, Model]] = {model.id: model for model in MODELS}
_PHRASES: Final[dict[Ability, str]] = {
    "search": "Google Search",
    "structured": "structured output",
    "functions": "function calling",
    "files": "files other than images and text",
}


_GONE: Final = frozenset({"gemini-3-pro-preview"})
"""Rows that RunAPI's later lists do not have: not offered in the place of another."""
_LEAVING: Final = frozenset({"gemini-2.5-flash", "gemini-2.5-pro"})
"""Rows that Google ends on 2026-12-01 (wire notes §11): offered after all others."""


def find(model_id: str) -> Model | None:
    """Return the row for `model_id`, through its alias if it is one; `None` if there is none."""
    return _ROWS.get(ALIASES.get(model_id, model_id))


def models_with(ability: Ability) -> tuple[str, ...]:
    """Return the ids of the models that have `ability` on some dialect."""
    return tuple(model.id for model in MODELS if model.able(ability))


def others_than(model_id: str, needs: Iterable[Ability], effort: Effort | None) -> tuple[str, ...]:
    """Return the ids of other models that have every ability in `needs` and take `effort`.

    Those that stay come first, and of these those of its own price class: a pro costs several flashes.
    """
    this, needs = find(model_id), tuple(needs)
    able = [
        model.id
        for model in MODELS
        if model is not this
        and model.id not in _GONE
        and (effort is None or effort in model.efforts)
        and model.dialects.intersection(*(model.able(need) for need in needs))
    ]
    return tuple(sorted(able, key=lambda other: (other in _LEAVING, ("pro" in other) != ("pro" in model_id))))


def pick(wish: str, needs: Iterable[Ability]) -> str | None:
    """Return the id of the strongest or cheapest model with every ability in `needs`, if that is the wish.

    By what the rows show: a pro is stronger and costs several flashes, a newer one is stronger than an
    older; one that is about to end comes after all others. Of those that lack something the first is
    returned where all do, to be refused with what it lacks.
    """
    if wish not in WISHES:
        return None
    needs, strong = tuple(needs), wish == "strongest"
    there = [row for row in MODELS if row.id not in _GONE][:: -1 if strong else 1]

    def rank(row: Model) -> tuple[bool, bool, bool]:
        lacks = not row.dialects.intersection(*(row.able(need) for need in needs))
        return lacks, row.id in _LEAVING, ("pro" in row.id) != strong

    return min(there, key=rank).id


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

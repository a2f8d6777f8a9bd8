"""Why a model stopped: every word that either dialect, or a relay between, is known to say it with.

Google's OpenAI layer says Google's words where OpenAI's are expected, alone or behind the name of a
filter (``content_filter: PROHIBITED_CONTENT``), relays pass on those of other vendors, and all of them
in any case (wire notes §11 row 2). So there is one table for both dialects, read without regard to case,
blanks and dashes. A word that stands in no table is ``unknown``, and whoever shows the answer says it.
"""

import re
from collections.abc import Iterator
from typing import Final

from runapi_mcp.wire.types import Finish, FinishReason

_WORDS: Final[dict[FinishReason, str]] = {
    # OpenAI, Google; then Anthropic, Cohere, Mistral, vLLM and TGI, whose words relays pass on.
    "stop": "STOP END_TURN STOP_SEQUENCE EOS EOS_TOKEN COMPLETE COMPLETED END FINISHED DONE",
    "length": "LENGTH MAX_TOKENS MAX_TOKEN MAX_OUTPUT_TOKENS MODEL_LENGTH TOKEN_LIMIT "
    "MODEL_CONTEXT_WINDOW_EXCEEDED",
    "tool": "TOOL_CALLS TOOL_CALL TOOL_USE FUNCTION_CALL FUNCTION_CALLS",
    "filtered": "CONTENT_FILTER CONTENT_FILTERED SAFETY RECITATION BLOCKLIST BLOCKED PROHIBITED_CONTENT SPII "
    "MODEL_ARMOR JAILBREAK REFUSAL GUARDRAIL_INTERVENED SENSITIVE "
    "IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION",
    # OTHER is Google's word for "something else stopped it": whatever that is, it was no end.
    "error": "ERROR OTHER LANGUAGE FUNCTION_CALL_FILTER MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL "
    "TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE NO_IMAGE IMAGE_OTHER ESCALATION "
    "PUP_LIMITED_DISABLED CONTINUATION NETWORK_ERROR ABORT ABORTED CANCELLED TIMEOUT",
}
_NO_FINISH: Final = frozenset({"", "NULL", "NONE", "UNSPECIFIED"})
"""Said, also as text, while the model still writes."""
_NOT_BLOCKED: Final = _NO_FINISH | {"BLOCKREASON", "BLOCKEDREASON"}
_PARTING: Final = re.compile(r"[:;,/|.()\[\]=]+")
_NO_LETTER: Final = re.compile(r"[^A-Z]+")
_ENUM: Final = re.compile(r"\A(?:FINISH|BLOCKED|BLOCK)REASON(?=.)")
_LONGEST: Final = 200
_MOST_RATINGS: Final = 20


def _key(word: str) -> str:
    """Return a word as the tables have it: its letters, without the name of the enum that it is of."""
    letters = _NO_LETTER.sub("", word.upper())
    return _ENUM.sub("", letters) if letters else word.strip()


_REASONS: Final[dict[str, FinishReason]] = {
    _key(word): reason for reason, words in _WORDS.items() for word in words.split()
}
_VAGUE: Final[frozenset[FinishReason | None]] = frozenset({"stop", "unknown"})


def read_finish(said: str | None, native: str | None = None, message: str = "") -> Finish | None:
    """Return the finish that a chunk says; `None` if it says none.

    Args:
        said: Its word in the place of the dialect.
        native: The word of the model's own vendor, where a relay keeps it beside its own: OpenRouter
            says ``stop`` or ``error`` and has Google's ``SAFETY`` only there.
        message: The explanation beside it.
    """
    reason = _read_reason(said) if said else None
    if said is None or reason is None:
        return None
    closer = _read_reason(native or "")
    if native and closer not in (None, "tool") and reason in (*_VAGUE, "error") and closer not in _VAGUE:
        return Finish(native, closer or "unknown", message)
    return Finish(said, reason, message)


def _read_reason(raw: str) -> FinishReason | None:
    """Return what a word means; `None` if it means that nothing has ended."""
    head = raw[:_LONGEST]
    if _key(head) in _NO_FINISH:
        return None
    known = [reason for part in (head, *_PARTING.split(head)) if (reason := _REASONS.get(_key(part)))]
    # Behind a prefix stands what it was; the prefix tells the kind where that is a new word, or OTHER.
    telling = [reason for reason in known if reason not in _VAGUE]
    if "filtered" in telling:
        return "filtered"
    return telling[-1] if telling else known[-1] if known else "unknown"


def read_block(said: str | None) -> str:
    """Return the reason for which the prompt was refused; empty if it was not."""
    return said if said and _key(said[:_LONGEST]) not in _NOT_BLOCKED else ""


def explain_block(message: str | None, *ratings: object) -> str:
    """Return why something was blocked: upstream's explanation, and the categories that it marked.

    `ratings` are Google's list of ``{"category": …, "blocked": true}``, or the object of
    ``{"hate": {"filtered": true}}`` that Azure and relays after it send.
    """
    named = dict.fromkeys(name for rating in ratings for name in _categories(rating))
    told = ", ".join(name for name in named if name not in (message or ""))
    return ": ".join(text for text in (message, told) if text)


def _categories(ratings: object) -> Iterator[str]:
    if isinstance(ratings, dict):
        ratings = [{"category": name} | of for name, of in ratings.items() if isinstance(of, dict)]
    for rating in (ratings if isinstance(ratings, list) else [])[:_MOST_RATINGS]:
        match rating:
            case {"category": str(category), "blocked": True} | {"category": str(category), "filtered": True}:
                yield category[:_LONGEST]
            case _:
                pass

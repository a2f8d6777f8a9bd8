"""Adds the events of one stream up to an answer; a stream without an ending is an error here.

This is also the one place that judges an end: what each finish word of both dialects means, whether a
stream has said that it is over, and whether its text is whole.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, assert_never

from runapi_mcp.errors import Blocked, EmptyAnswer, StreamCut, UpstreamError
from runapi_mcp.wire.function_calls import GrowingCalls
from runapi_mcp.wire.refusals import midway
from runapi_mcp.wire.types import (
    Answer,
    Done,
    Event,
    Failure,
    Finish,
    FinishReason,
    FunctionCallDelta,
    Grounding,
    PromptBlocked,
    Served,
    TagOpened,
    TagUnclosed,
    TextDelta,
    TextSignature,
    ThoughtDelta,
    Usage,
)
from runapi_mcp.wire.usage import update

_WORDS: Final[dict[FinishReason, str]] = {
    # OpenAI, Google; then Anthropic, Cohere, Mistral, vLLM and TGI, whose words relays pass on.
    # So are numbers, of Google's enum before it is given a name (googleapis/python-aiplatform#4472).
    "stop": "STOP END_TURN STOP_SEQUENCE EOS EOS_TOKEN COMPLETE COMPLETED END FINISHED DONE 1",
    "length": "2 LENGTH MAX_TOKENS MAX_TOKEN MAX_OUTPUT_TOKENS MODEL_LENGTH TOKEN_LIMIT "
    "MODEL_CONTEXT_WINDOW_EXCEEDED",
    "tool": "TOOL_CALLS TOOL_CALL TOOL_USE FUNCTION_CALL FUNCTION_CALLS",
    "filtered": "3 4 "
    "CONTENT_FILTER CONTENT_FILTERED SAFETY RECITATION BLOCKLIST BLOCKED PROHIBITED_CONTENT SPII "
    "MODEL_ARMOR JAILBREAK REFUSAL GUARDRAIL_INTERVENED SENSITIVE "
    "IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION",
    # OTHER is Google's word for "something else stopped it": whatever that is, it was no end.
    "error": "5 ERROR OTHER LANGUAGE FUNCTION_CALL_FILTER MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL "
    "TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE NO_IMAGE IMAGE_OTHER ESCALATION "
    "PUP_LIMITED_DISABLED CONTINUATION NETWORK_ERROR ABORT ABORTED CANCELLED TIMEOUT",
}
_NO_FINISH: Final = frozenset({"", "0", "NULL", "NONE", "UNSPECIFIED"})
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
    filtered = reason == closer == "filtered"
    if native and closer not in (None, "tool", *_VAGUE) and (filtered or reason in (*_VAGUE, "error")):
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


class Ending:
    """What the events fed so far say about the end.

    A bridge may say ``STOP`` before the text (docs/wire.md §4), so text takes a finish back until
    another finish, a usage with no text after it, or ``[DONE]`` confirms it. After a failure nothing
    does: bridges close a broken stream with a finish that looks like any other.

    Attributes:
        begun: Whether anything of an answer has come; a refusal may bring a model's name and usage too.
        failed: Whether upstream reported an error, before the finish or after it.
        wrote: Whether anything of it was written: text, or a call of a function.
        said: Whether a finish has come, though more text may have followed it.
        done: Whether it said that nothing more comes at all.
    """

    def __init__(self) -> None:
        self.begun = False
        self.failed = False
        self.said = False
        self.done = False
        self._gone_on = False
        self._metered = False
        self.wrote = False
        self._broken = False

    @property
    def finished(self) -> bool:
        """Whether the end was said before anything failed, and nothing has been written since."""
        return self.said and not self._gone_on and not self._broken

    @property
    def settled(self) -> bool:
        """Whether nothing more is due: finished, metered, and with something written."""
        return self.finished and self._metered and self.wrote

    def feed(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case TextDelta():
                self.begun, self.wrote, self._gone_on = True, True, self.said
            case FunctionCallDelta() | TagUnclosed():
                self.begun, self.wrote = True, True
            case Finish() | PromptBlocked():
                self.begun, self.said, self._gone_on = True, True, False
            case Usage():
                self._metered, self._gone_on = True, False
            case Done():
                self.begun, self.done, self._gone_on = True, True, False
            case Failure():
                self.begun, self.failed, self._broken = True, True, not self.finished
            case Served():
                pass
            case _:
                self.begun = True


def join_texts(events: Sequence[Event]) -> Sequence[Event]:
    """Return events that add up to the same, in fewer: texts that follow each other as one.

    A count of tokens that stands between two texts is taken with the one that stands before them.
    """
    joined: list[Event] = []
    texts: list[str] = []
    count: Usage | None = None
    for event in events:
        if isinstance(event, TextDelta):
            if count is not None:
                before = joined[-1]
                assert isinstance(before, Usage), "only then is one kept"
                joined[-1], count = update(before, count), None
            texts.append(event.text)
        elif (
            texts and count is None and isinstance(event, Usage) and joined and isinstance(joined[-1], Usage)
        ):
            count = event
        else:
            _close(joined, texts, count)
            texts, count = [], None
            joined.append(event)
    _close(joined, texts, count)
    return joined


def _close(joined: list[Event], texts: list[str], count: Usage | None) -> None:
    if texts:
        joined.append(TextDelta("".join(texts)))
    if count is not None:
        joined.append(count)


class _Pieces(list[str]):
    """Text that grows at its end."""

    def join(self) -> str:
        """Return all of it, in one piece from now on."""
        self[:] = ["".join(self)]
        return self[0]

    def cut(self, length: int) -> str:
        """Take away what is beyond a length, and return it."""
        whole = self.join()
        self[:] = [whole[:length]]
        return whole[length:]

    def tail(self, characters: int) -> str:
        found: list[str] = []
        missing = characters
        for piece in reversed(self):
            found.append(piece[-missing:])
            missing -= len(piece)
            if missing <= 0:
                break
        return "".join(reversed(found))


class Fold:
    """The sum of the events fed so far.

    Args:
        begin: Text that stands there before the first of them: what an answer goes on from.

    Attributes:
        ending: What the events say about the end.
        characters: How long the answer text is so far.
        thought_characters: How long the summary of the thinking is so far.
    """

    def __init__(self, begin: str = "") -> None:
        self._text, self.characters = _Pieces([begin]), len(begin)
        self._thoughts, self.thought_characters = _Pieces(), 0
        self._grounding = Grounding()
        self._grounding_size = 0
        self._calls: GrowingCalls | None = None
        self._tag: tuple[str, int] | None = None
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self.ending = Ending()
        self._blocked: PromptBlocked | None = None
        self._failure: Failure | None = None
        self._model: str | None = None
        self._signature = ""

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return self._text.join()

    @property
    def thoughts(self) -> str:
        """The summary of the thinking so far."""
        return self._thoughts.join()

    @property
    def size(self) -> int:
        """Characters of all it holds: text and its signature, thoughts, function calls and grounding."""
        calls = self._calls.size if self._calls is not None else 0
        return self.characters + self.thought_characters + self._grounding_size + calls + len(self._signature)

    @property
    def empty(self) -> bool:
        """Whether neither text nor a function call has come."""
        return not self.characters and not self._calls

    @property
    def usage(self) -> Usage | None:
        """Tokens so far, if upstream has said."""
        return self._usage

    @property
    def finished(self) -> bool:
        """Whether a finish has come, with no text after it that would take it back."""
        return self.ending.finished

    def tail(self, characters: int) -> str:
        """Return the end of the text, or of the thoughts while there is no text."""
        return self._text.tail(characters) if self.characters else self._thoughts.tail(characters)

    def feed(self, *events: Event) -> None:
        """Add events, in their order."""
        ending = self.ending
        for event in events:
            # Before a finish neither more text nor another count says anything of the end.
            if ending.said or not (
                (ending.wrote and isinstance(event, TextDelta)) or (self._usage and isinstance(event, Usage))
            ):
                ending.feed(event)
            match event:
                case TextDelta(text):
                    self._text.append(text)
                    self.characters += len(text)
                case TextSignature(signature):
                    self._signature = signature
                case ThoughtDelta(text):
                    self._thoughts.append(text)
                    self.thought_characters += len(text)
                case TagOpened(tag):
                    self._tag = tag, self.thought_characters
                case TagUnclosed(closing):
                    self._take_back(closing)
                case Grounding():
                    self._grounding = event
                    self._grounding_size = _characters(event)
                case FunctionCallDelta():
                    if self._calls is None:
                        self._calls = GrowingCalls()
                    self._calls.add(event)
                case Usage():
                    self._usage = update(self._usage, event)
                case Finish():
                    self._finish = event
                case Done():
                    pass
                case PromptBlocked():
                    self._blocked = event
                case Served(model):
                    self._model = model
                case Failure():
                    self._failure = self._failure or event
                case _:
                    assert_never(event)

    def partial(self) -> Answer:
        """Return what there is, finished or not."""
        calls = self._calls.joined() if self._calls is not None else ()
        finish = self._finish
        if self._blocked and (finish is None or finish.reason in ("stop", "unknown")):
            finish = Finish(self._blocked.reason, "filtered", self._blocked.message)
        if calls and finish and finish.reason in ("stop", "unknown"):
            # Both dialects may say "stop" of a stream that ends in a call (docs/wire.md §5.2, §6.2).
            finish = replace(finish, reason="tool")
        return Answer(
            text=self.text,
            thoughts=self.thoughts,
            grounding=self._grounding,
            function_calls=calls,
            usage=self._usage,
            finish=finish,
            model=self._model,
            failure=self._failure,
            signature=self._signature,
        )

    def answer(self) -> Answer:
        """Return the whole answer.

        An answer cut by the output limit, or filtered after some text, is returned: its
        `finish` says so.

        Raises:
            FailedMidway: Upstream reported an error inside the stream.
            StreamCut: The stream ended without saying why.
            Blocked: The prompt was blocked, or the answer before it had any text.
            EmptyAnswer: The stream finished and there is nothing in it.
        """
        error = self.error()
        if error is not None:
            raise error
        return self.partial()

    def error(self) -> UpstreamError | None:
        """Return what :meth:`answer` would raise, now that no more events come."""
        if self._failure and (self.empty or not self.finished):
            return midway(self._failure, partial=self.text)
        if self._blocked is not None and not self.characters:
            return Blocked(
                f"RunAPI blocked the prompt ({_reason(self._blocked.reason, self._blocked.message)})."
            )
        # However cleanly HTTP ended (docs/wire.md §4).
        if not self.finished:
            return _cut(self.text)
        if not self.empty or self._finish is None:
            return None
        return _nothing(self._finish)

    def _take_back(self, closing: str) -> None:
        """Make text of the thoughts since a tag that was none of thinking."""
        if self._tag:
            tag, place = self._tag
            text = tag + self._thoughts.cut(place) + closing
            self._text.append(text)
            self.characters += len(text)
            self.thought_characters = place
            self._tag = None


_OPEN_END: Final = 500
"""Characters at the end of a text that are looked at for how it ends."""
_ENDED: Final = re.compile(r"[.!?…:。！？｡؟۔।॥\])}>\"'”’»」』）】*_`~|]\Z")


_JSON: Final = re.compile(r"\{\s*[\"}]|\[\s*[\[{\"]")


def is_whole(answer: Answer) -> bool:
    """Whether nothing that came says that an answer stopped before its end.

    A word for the end that nobody knows here, one for a function call that did not come, and an error
    after the end say neither; then the answer itself is asked.
    """
    if answer.finish is None:
        return False
    match reason := answer.finish.reason:
        case "stop" | "tool" if answer.failure is None and (reason == "stop" or answer.function_calls):
            return True
        case "stop" | "tool" | "unknown":
            return not ends_open(answer)
        case _:
            return False


def ends_open(answer: Answer) -> bool:
    """Whether an answer looks as if more of it were to come: a fence or JSON is open, or no sentence ends."""
    text = answer.text.strip()
    if not text:
        return not answer.function_calls
    if text.count("```") % 2 or (_JSON.match(text) and not _closes(text)):
        return True
    return not _ENDED.search(text[-_OPEN_END:])


def _closes(text: str) -> bool:
    """Whether the JSON value with which a text begins comes to its end."""
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _nothing(finish: Finish) -> UpstreamError:
    if finish.reason == "filtered":
        return Blocked(
            f"The answer was blocked before it had any text ({_reason(finish.raw, finish.message)})."
        )
    if finish.reason == "length":
        return EmptyAnswer(
            "Thinking used up the whole output limit; no answer was written.",
            advice="Raise max_output_tokens, leave it out, or lower reasoning_effort.",
        )
    explained = f": {_label(finish.message)}" if finish.message else ""
    return EmptyAnswer(f"The model finished ({_label(finish.raw)}) without writing an answer{explained}.")


def _cut(partial: str) -> StreamCut:
    if partial:
        return StreamCut(
            "The answer stopped in the middle: the stream ended without a finish.", partial=partial
        )
    return StreamCut(
        "The stream ended before any answer came.", advice="It is not caused by the arguments; ask again."
    )


def _characters(grounding: Grounding) -> int:
    sources = sum(len(s.url) + len(s.title) + len(s.snippet) for s in grounding.sources)
    return sources + sum(len(s.text) for s in grounding.supports) + sum(map(len, grounding.queries))


def _reason(word: str, message: str) -> str:
    """Return upstream's word for why it blocked something, and what it says of it."""
    return f"{_label(word)}: {_label(message)}" if message else _label(word)


def _label(raw: str) -> str:
    """Return upstream's word for something, short and harmless."""
    return "".join(c for c in raw[:120] if c.isalnum() or c in "_- .,:'").strip() or "no reason given"

"""How a generation is told: one page of its text, what must be said beside it, and its state."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor
from typing import Final, cast

from runapi_mcp.citations.sources import CitedSource
from runapi_mcp.errors import InputError, RunapiError
from runapi_mcp.generations.values import View
from runapi_mcp.models import is_dear
from runapi_mcp.printable import quote_text
from runapi_mcp.tools.tool import Page, Reply
from runapi_mcp.wire.types import Answer, Call, Failure, Finish, JsonObject, Text

_WORTH_KEEPING: Final = 2_000
"""Characters of a question from which on it is worth saying how to go on without sending it again."""


@dataclass(frozen=True)
class Paged:
    """One page of what a generation has to give.

    Attributes:
        view: The generation.
        text: All that there is to give of it, or is so far; or as much of that as :attr:`View.beside` says.
        page: Which part of that is wanted.
        metered: Whether missing token counts are told.

    Raises:
        InputError: The page starts past the end.
    """

    view: View
    text: str
    page: Page
    metered: bool = True

    def __post_init__(self) -> None:
        offset, length = self.page.offset, self.length
        if offset and offset >= length:
            raise InputError(f"offset: {offset:,} is past the end of the text so far, {length:,} characters.")

    @property
    def length(self) -> int:
        """Characters of all that there is to give, or is so far."""
        return len(self.text) + sum(self.view.beside)

    @property
    def shown(self) -> str:
        """The page."""
        before = self.view.beside[0]
        return self.text[self.page.offset - before : self._end - before]

    @property
    def next_offset(self) -> int | None:
        """Where the next page starts; `None` if this is the last."""
        return self._end if self._end < self.length else None

    @property
    def whole(self) -> bool:
        """Whether the page is all there is."""
        return self.page.offset == 0 and self.next_offset is None

    def reply(
        self,
        body: str,
        *,
        listed: str = "",
        also: Sequence[str] = (),
        content: JsonObject | None = None,
        is_error: bool = False,
    ) -> Reply:
        """Return a reply of what the generation gives, what is listed beside it, and what must be said.

        Args:
            body: What it gives.
            listed: What this server lists beside it.
            also: What the tool itself must say, a sentence or two each.
            content: The structured half, if there is one; the state of the generation is added.
            is_error: Whether it is an error, which says all in what is listed.
        """
        said = () if is_error else (*also, *self._asides(), *self._remarks())
        if self._dearer and not is_error:
            # Before all else; and once more among what is marked as this server's words.
            body, said = f"[{self._dearer}]\n\n{body}", (self._dearer, *said)
        # Codex and Claude Code show a model the structured half alone, Gemini CLI and opencode the text.
        return Reply(
            body,
            None if content is None else self._state(said) | content,
            is_error,
            receipt=self.view.receipt,
            handle=self.view.handle,
            more=self.next_offset is not None,
            answer=self.text,
            notes=(*filter(None, [self._dearer]), *also, *self._asides()),
            listed=listed,
            said=said,
            onward="" if is_error else self._onward(),
        )

    @property
    def _dearer(self) -> str:
        """What must be said before all else: that a model was asked that costs more; empty if none was."""
        job, asked = self.view.job, self.view.receipt.model_asked
        if not job.wish or is_dear(job.call.model) or not is_dear(asked):
            return ""
        return (
            f"{asked} was asked, which costs several times what {job.call.model} does: nothing cheaper could."
        )

    @cached_property
    def _end(self) -> int:
        """Where the page ends: at a paragraph, line, sentence or word, if the end of one is near."""
        start, limit, before = self.page.offset, self.page.limit, self.view.beside[0]
        if start + limit >= self.length:
            return self.length
        near, end = start - before + limit * 3 // 4, start - before + limit
        for mark in ("\n\n", "\n", ". ", " "):
            cut = self.text.rfind(mark, near, end)
            if cut > 0:
                return before + cut + len(mark)
        return start + limit

    def _asides(self) -> Iterator[str]:
        """Yield what must be said of how it was asked and counted, a sentence or two each."""
        view = self.view
        yield from view.job.notices
        if view.receipt.swapped:
            # Google does that with ids that it has ended, and relays with those they have no channel for.
            yield (
                f"RunAPI says that {quote_text(view.receipt.model_served or '')} answered, though "
                f"{view.receipt.model_asked} was asked for."
            )
        if self.page.joined:
            yield "Joined the same question that was already being answered; it was asked once."
        if view.status == "complete":
            yield from _tell_doubts(view.answer)
        if view.status == "complete" and view.answer.usage is None and self.metered:
            yield "RunAPI sent no token counts."

    def _remarks(self) -> Iterator[str]:
        """Yield what must be said of the generation, a sentence or two each; nothing if nothing must."""
        view, more = self.view, self.next_offset
        if view.status == "running":
            yield (
                f"Still running after {_round_down(view.receipt.seconds)} s. Call get_result with "
                f'handle "{view.handle}" to wait for the rest; do not ask again.'
            )
        elif why := why_partial(view, FOR_MODELS):
            yield f"Partial: {why} {_way_on(view)}"
        if more is not None:
            yield (
                f"Characters {self.page.offset:,}-{more:,} of {self.length:,}. For more, call get_result "
                f'with handle "{view.handle}" and offset {more}.'
            )
        if view.note and (view.status != "complete" or more is not None):
            yield view.note

    def _onward(self) -> str:
        """Return how to ask on from here; nothing of what programs read, whose text is a value alone."""
        view = self.view
        whole = view.status == "complete" and self.next_offset is None
        if not whole or view.job.tool == "extract_json" or not view.job.call.turns:
            return ""
        if view.answer.function_calls and view.job.call.functions:
            return ""  # it waits for results, and no question will do
        if view.job.tool == "ask_gemini" and _is_short(view.job.call):
            return ""  # it is as soon told again, and its answer stands alone
        also = "search_web or " if view.job.tool == "search_web" else ""
        return f'[To ask on: {also}ask_gemini with continue_from "{view.handle}".]'

    def _state(self, said: Sequence[str]) -> JsonObject:
        """Return what a structured result says of the generation, beside its content."""
        facts: JsonObject = {"status": self.view.status}
        if self.view.status != "complete" or self.next_offset is not None:
            facts["handle"] = self.view.handle
        if self._onward():
            facts["continue_from"] = self.view.handle
        if self.next_offset is not None:
            facts["next_offset"] = self.next_offset
        if said:
            facts["notes"] = list(said)
        return facts


def _is_short(call: Call) -> bool:
    """Whether a question is one turn of little text."""
    parts = [part for turn in call.turns for part in turn.parts]
    texts = [part.text for part in parts if isinstance(part, Text) and part.file is None]
    short = sum(map(len, texts)) < _WORTH_KEEPING
    return short and len(call.turns) == 1 and len(texts) == len(parts)


def tell_failure(view: View) -> Reply:
    """Return the reply of a generation that has nothing to give."""
    error = view.error or RunapiError("The generation was cancelled before anything was written.")
    return Reply(
        str(error), is_error=True, receipt=view.receipt, handle=view.handle, code=error.code, error=error
    )


def nothing_to_give(view: View) -> bool:
    """Whether a generation ended without any text or function call."""
    # A function that was not offered cannot be run: a call of one is no answer.
    calls = view.answer.function_calls if view.job.call.functions else ()
    empty = not view.answer.text and not calls
    return view.status != "running" and empty


def drop_empty(facts: JsonObject) -> JsonObject:
    """Return facts without those that are empty: hosts that show a model only these pay for every byte."""
    return {name: value for name, value in facts.items() if value not in ("", None, [], {})}


def light_source(source: CitedSource) -> JsonObject:
    """Return a source without what says nothing of it, and without its claims: these name their sources."""
    given = {name: value for name, value in source.items() if name != "claims" and value is not False}
    return drop_empty(cast("JsonObject", given))


def output_schema(content: JsonObject) -> JsonObject:
    """Return the JSON Schema of a structured result: its content, and its status.

    What else a reply says of the generation is there only when it must be, and is not listed: every
    byte of the list of tools is paid for in each conversation. Nothing is required, as nothing is
    given that is empty.
    """
    return {"type": "object", "properties": content | {"status": {"type": "string"}}}


@dataclass(frozen=True)
class Phrasebook:
    """Words for the same facts that depend on who reads them.

    Attributes:
        explain: Why a generation failed, if an error of ours is why.
        cancelled: That it was stopped.
        output_limit: What sets how long an answer may become.
    """

    explain: Callable[[View], RunapiError | str | None]
    cancelled: str
    output_limit: str


FOR_MODELS: Final = Phrasebook(lambda view: view.error, "it was cancelled.", "max_output_tokens")


def why_partial(view: View, phrases: Phrasebook) -> str:
    """Return why an ended generation is not complete, in a sentence; empty if it is."""
    finish = view.answer.finish
    match view.status:
        case "cancelled":
            return phrases.cancelled
        case "partial" | "failed" if view.error is not None:
            return str(phrases.explain(view))
        case "partial" if finish is not None and finish.reason == "length":
            cap = view.job.call.max_output_tokens
            if cap is not None and "max_output_tokens" not in view.job.arguments:
                return f"it reached the {cap:,} tokens that limits of money or of the day left it."
            return f"the output limit was reached ({phrases.output_limit}, or the model's own)."
        case "partial" if finish is not None and finish.reason == "filtered":
            return f"a safety rule stopped the answer{_quote_finish(finish)}."
        case "partial" if view.answer.failure is not None:
            return _tell_late(view.answer.failure)
        case "partial" if finish is not None and finish.reason != "error":
            return (
                f"the answer breaks off, and RunAPI gave another reason than its end{_quote_finish(finish)}."
            )
        case "partial":
            return f"the model stopped before the end of its answer{_quote_finish(finish)}."
        case _:
            return ""


def _quote_finish(finish: Finish | None) -> str:
    """Return upstream's own word for the end and its explanation, as an aside."""
    told = [finish.raw, finish.message] if finish else []
    said = [quote_text(text) for text in told if text.lower() not in ("", "error")]
    return f" ({': '.join(said)})" if said else ""


def _tell_doubts(answer: Answer) -> Iterator[str]:
    """Yield what was said of a whole answer's end that may mean that it is none, a sentence each."""
    finish = answer.finish
    if answer.failure:
        yield f"The answer came to its end; after that {_tell_late(answer.failure)}"
    if finish and finish.reason == "unknown":
        yield f"RunAPI ended the answer with a word that is not known here{_quote_finish(finish)}."
    if finish and finish.reason == "tool" and not answer.function_calls:
        yield f"RunAPI says that the model asked for a function{_quote_finish(finish)}, but no call came."


def _tell_late(failure: Failure) -> str:
    """Return that an error came after the finish, in upstream's words, to the end of the sentence."""
    status = f" ({failure.status})" if failure.status else ""
    said = quote_text(failure.message or "no reason was given")
    return f"RunAPI reported an error{status}: {said}{'' if said.endswith('.”') else '.'}"


def _way_on(view: View) -> str:
    """Return what to do about a partial answer: there may be no text to continue."""
    if not view.answer.text and not (view.earlier and view.status == "partial"):
        return "Ask again."
    return f'Call get_result with handle "{view.handle}" and resume true to continue.'


def _round_down(seconds: float) -> str:
    """Return a time in few digits, never longer than it was."""
    return f"{floor(seconds)}" if seconds >= 10 else f"{floor(seconds * 10) / 10:g}"

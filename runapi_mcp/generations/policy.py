"""What a tool has a say in while its generation runs, and when a model is going round in circles.

A :class:`Round` is one call of a generation, looked at with its tool's eyes. Gemini may repeat white
space, an escape or a sentence up to the output limit where it is held to JSON
(googleapis/python-genai#1238): only the end of a text is looked at, so every look is linear and cheap.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from runapi_mcp.errors import EmptyAnswer, Interrupted, RunapiError
from runapi_mcp.generations.values import Job, Status
from runapi_mcp.printable import quote_text
from runapi_mcp.wire.fold import Fold, is_whole
from runapi_mcp.wire.types import Answer, Call, Event, Finish, JsonObject, TextDelta

_TAIL: Final = 32_768
_PROBE: Final = 256
_BLANK_LOOP: Final = 4_096
_STRING_LOOP: Final = (4_096, 16)
"""Characters and repeats that make a loop inside a JSON string, where nobody repeats himself so often."""
_OTHER_LOOP: Final = (24_000, 64)
"""The same elsewhere: a long list of zeros or of equal rows can be what was asked for."""
_LONGEST_NUMBER: Final = 1_000
_DIGITS: Final = "0123456789.+-eE"
_ENOUGH_BLANKS: Final = 2_048
_ENOUGH_SECONDS: Final = 3.0
"""Characters of white space, and seconds of nothing else, after which a text is looked at for being whole."""
_RUN = re.compile(r"(?:\\[nrt]|\s){3,}")
_LONGEST_RUN: Final = 200
_ESCAPED = re.compile(r"\\.", re.DOTALL)


def find_loop(text: str) -> str:
    """Return why a JSON text that ends like this goes round in circles; empty if it does not."""
    blanks = len(text) - len(text.rstrip())
    if blanks >= _BLANK_LOOP:
        return f"it went on with {blanks:,} characters of white space and nothing else"
    digits = len(text) - len(text.rstrip(_DIGITS))
    if digits > _LONGEST_NUMBER and not _is_in_string(text):
        return f"it wrote a number of {digits:,} digits"
    start, period = _find_repetition(text)
    if not period:
        return ""
    length = len(text) - start
    least, times = _STRING_LOOP if _is_in_string(text) else _OTHER_LOOP
    if length < least or length < times * period:
        return ""
    unit = text[start : start + period].strip(" .,;") or text[start : start + period]
    return f"it repeated {quote_text(unit)} {length // period:,} times and got no further"


def shorten_loops(text: str, *, told: bool = True) -> str:
    """Return a text with runs of blanks cut short and a loop at its end standing there once.

    `told` says so where it stood; a text that is to be gone on from has no place for that.
    """
    if find_loop(text):
        digits = len(text) - len(text.rstrip(_DIGITS))
        start, period = (0, 0) if digits > _LONGEST_NUMBER else _find_repetition(text)
        if digits > _LONGEST_NUMBER:
            text = text[: len(text) - digits + 20] + ("…" if told else "")
        if period:
            times = (len(text) - start) // period
            text = text[: start + period] + (f"… (repeated {times:,} times)" if told else "")
    return _RUN.sub(
        lambda run: run[0] if len(run[0]) < _LONGEST_RUN else run[0][: 1 + run[0].startswith("\\")], text
    )


def _find_repetition(text: str) -> tuple[int, int]:
    """Return where the end of a text begins to repeat itself, and after how many characters it does.

    Zeros if it does not, or no longer than the last characters that are compared at all.
    """
    tail = text[-_TAIL:]
    at = tail.rfind(tail[-_PROBE:], 0, len(tail) - 1) if len(tail) > _PROBE else -1
    if at < 0:
        return 0, 0
    period = len(tail) - _PROBE - at
    start, step = len(text) - _PROBE - period, _TAIL
    while step and start:  # as far back as it equals itself, moved by the period
        step = min(step, start)
        if text[start - step : start] == text[start - step + period : start + period]:
            start -= step
        else:
            step //= 2
    return start, period


def _is_in_string(text: str) -> bool:
    return _ESCAPED.sub("", text).count('"') % 2 == 1


@dataclass(frozen=True, slots=True)
class Lot:
    """Calls that are asked beside each other, as one round.

    What :meth:`Policy.line` makes of each that has ended is a line of the round's text, so that it is kept,
    found again and gone on from as any text is.

    Attributes:
        calls: The calls.
        titles: What each is about, for progress.
        what: What they are together, such as `questions`.
    """

    calls: tuple[Call, ...]
    titles: tuple[str, ...]
    what: str


class Policy(Protocol):
    """The policy that generations of one tool take. It keeps nothing of them: what it needs it is given."""

    def begin(self, job: Job) -> "Call | Lot":
        """Return what a generation asks first; one that goes on from :attr:`Job.earlier` may skip some."""

    def resume(self, job: Job, texts: Sequence[str]) -> Job | None:
        """Return the job that goes on where `job` stopped with the texts of its rounds.

        `None` is: from the last text, by asking the model to continue it.
        """

    def record(self, answer: Answer, earlier: Sequence[str], links: Mapping[str, str]) -> str:
        """Return what is kept of an answer that is followed up, beside its text; `links` lead there."""

    def line(self, call: Call, end: Answer | RunapiError, links: Mapping[str, str]) -> str:
        """Return the line of a lot's text for a call of it and how that ended."""

    def stands(self, earlier: Sequence[str]) -> bool:
        """Whether what earlier rounds brought is a result, though the last brought nothing."""

    def stage(self, earlier: Sequence[str]) -> str:
        """Return what the round after these is for, in a word or two; empty for another try of the same."""

    async def judge(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        """Return what the texts of all rounds so far come to; `begin` is what the oldest continues.

        Asked once a round, when it is over. The last verdict is kept for as long as the generation is:
        whoever reads its result finds it there.
        """

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> "Call | Lot | None":
        """Return what a generation asks next, or `None` if `answer` was its last.

        Raises:
            RunapiError: It ends here, with less than was asked for.

        `earlier` are the texts of the rounds before, oldest first; `verdict` is what :meth:`judge`
        returned of all of them.
        """

    def describe(self, text: str) -> str:
        """Return what the text so far amounts to, in a few words, for progress; may be empty.

        Asked at growing intervals, so it may read the whole text.
        """

    def hopeless(self, text: str) -> str:
        """Return why the text so far can no longer become right; empty while it can.

        A reason ends the round, which then counts as one to follow up. Asked at growing intervals.
        """

    def is_whole(self, text: str) -> bool:
        """Whether the text so far is all that was asked for, so that what follows can only be noise.

        Asked where a text goes on with white space alone, and of one that the output limit ended.
        """

    def links(self, answer: Answer) -> Sequence[str]:
        """Return the links of an ended answer that are to be resolved; see :meth:`Upstream.redirects`."""


class Plain:
    """One call, whose answer is the answer: the policy to begin with where little is different."""

    def begin(self, job: Job) -> Call | Lot:
        """Ask what the job says."""
        return job.call

    def resume(self, job: Job, texts: Sequence[str]) -> Job | None:
        """Have the last text continued."""

    def record(self, answer: Answer, earlier: Sequence[str], links: Mapping[str, str]) -> str:
        """Keep nothing but the text."""
        return ""

    def line(self, call: Call, end: Answer | RunapiError, links: Mapping[str, str]) -> str:
        """Say nothing: there are no lots."""
        return ""

    def stands(self, earlier: Sequence[str]) -> bool:
        """Take an earlier round for no result."""
        return False

    def stage(self, earlier: Sequence[str]) -> str:
        """Name no round."""
        return ""

    async def judge(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        """Judge nothing."""

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | Lot | None:
        """Ask for nothing more."""

    def describe(self, text: str) -> str:
        """Say nothing of the text."""
        return ""

    def hopeless(self, text: str) -> str:
        """Let every text go on."""
        return ""

    def is_whole(self, text: str) -> bool:
        """Take no text for whole before its stream says so."""
        return False

    def links(self, answer: Answer) -> Sequence[str]:
        """Have no link resolved."""
        return ()


PLAIN: Final = Plain()


class Looks:
    """Looks at a text at lengths that grow by a quarter, so that all of them together cost little.

    Attributes:
        next: The length at which it is to be looked at next.
    """

    def __init__(self) -> None:
        self.next = 1

    def note(self, length: int) -> None:
        """Note that a text of this length is looked at."""
        self.next = max(length + 16, length + length // 4)


class Round:
    """One call of a generation: what it has brought so far, and what that comes to.

    Attributes:
        fold: The sum of its events.
        hopeless: Why it was ended early, if it was.
        closed: Whether it was ended early because its text was whole and only white space still came.
        verdict: What all texts come to, once it was judged; see :meth:`Policy.judge`.
    """

    def __init__(self, *, offering: bool, begin: str = "") -> None:
        self.fold = Fold(begin)
        self.hopeless = ""
        self.closed = False
        self.verdict: JsonObject | None = None
        self._offering = offering
        self._given = len(begin)
        self._looks, self._described, self._description = Looks(), Looks(), ""
        self._blanks, self._written_at, self._closings = 0, 0.0, Looks()

    @property
    def writing(self) -> bool:
        """Whether the model has written something of the text."""
        return self.fold.characters > self._given

    @property
    def empty(self) -> bool:
        """Whether there is nothing to give; a call of a function that was not offered is nothing."""
        return self.fold.empty or not (self.fold.characters or self._offering)

    def feed(self, events: Sequence[Event], policy: Policy, now: float) -> None:
        """Add events that came together at `now`; look at the text now and then for whether it has hope."""
        self.fold.feed(*events)
        for event in events:
            if not isinstance(event, TextDelta):
                continue
            length = self.fold.characters
            if event.text.isspace():
                self._blanks += len(event.text)
            else:
                self._blanks, self._written_at = 0, now
            enough = self._blanks >= _ENOUGH_BLANKS or (
                self._blanks and now - self._written_at >= _ENOUGH_SECONDS
            )
            if enough and length >= self._closings.next and not self.fold.finished:
                self._closings.note(length)
                if policy.is_whole(self.fold.text):
                    # Nothing more is due but a finish, and some models never come to it.
                    self.fold.feed(Finish("", "stop"))
                    self.closed = True
                    return
            if length >= self._looks.next:
                self._looks.note(length)
                self.hopeless = policy.hopeless(self.fold.text)

    def describe(self, policy: Policy) -> str:
        """Return what the text amounts to, in the words of its tool; it may be a little behind."""
        if self.writing and self.fold.characters >= self._described.next:
            self._described.note(self.fold.characters)
            self._description = policy.describe(self.fold.text)
        return self._description

    def answer(self) -> Answer:
        """Return the answer, now that its stream is over or was given up.

        Raises:
            EmptyAnswer: All it holds is a call of a function that was never offered.
            UpstreamError: It is no whole answer; see :meth:`Fold.answer`.
        """
        if self.hopeless:
            return self.fold.partial()
        answer = self.fold.answer()
        if self.empty:
            raise EmptyAnswer(
                "The model asked for a function to be run, which was not offered to it, and wrote no answer."
            )
        return answer

    async def judge(self, policy: Policy, earlier: Sequence[str], begin: str) -> None:
        """Have it judged with the texts before it, now that it is over, unless it was."""
        text = self.fold.text
        texts = [*earlier, text] if text else earlier
        if self.verdict is None and texts:
            self.verdict = await policy.judge(texts, begin)

    def come_to(
        self, policy: Policy, earlier: Sequence[str] = (), error: RunapiError | None = None
    ) -> tuple[Status, RunapiError | None]:
        """Return how a generation ends whose last round, after `earlier`, is this, or that `error` ended."""
        if isinstance(error, Interrupted):
            if self.fold.finished and not self.empty:
                error = None  # the answer was whole before it came
            else:
                error.partial = self.fold.text
        if error is not None:
            return "failed" if self.empty and not policy.stands(earlier) else "partial", error
        answer = self.fold.partial()
        limited = answer.finish is not None and answer.finish.reason == "length"
        whole = is_whole(answer) or (limited and policy.is_whole(answer.text))
        return "complete" if whole else "partial", None

"""What a tool has a say in while its generation runs: what follows an answer, what is said of the text.

A :class:`Round` is one call of a generation, looked at with its tool's eyes.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from runapi_mcp.errors import EmptyAnswer, Interrupted, RunapiError
from runapi_mcp.generations.loops import Blanks
from runapi_mcp.generations.values import Status
from runapi_mcp.wire.fold import Fold, is_whole
from runapi_mcp.wire.types import Answer, Call, Event, Finish, JsonObject, TextDelta


class Course(Protocol):
    """The course that generations of one tool take. It keeps nothing of them: what it needs it is given."""

    async def judged(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        """Return what the texts of all rounds so far come to; `begin` is what the oldest continues.

        Asked once a round, when it is over. The last verdict is kept for as long as the generation is:
        whoever reads its result finds it there.
        """

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        """Return the next call of a generation, or `None` if `answer` was its last.

        `earlier` are the texts of the rounds before, oldest first; `verdict` is what :meth:`judged`
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
    """One call, whose answer is the answer: the course to begin with where little is different."""

    async def judged(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        """Judge nothing."""

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
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
    """Looks at a text at lengths that grow by a quarter, so that all of them together cost little."""

    def __init__(self) -> None:
        self._next = 1

    def due(self, length: int) -> bool:
        """Whether a text of this length is to be looked at."""
        if length < self._next:
            return False
        self._next = max(length + 16, length + length // 4)
        return True


class Round:
    """One call of a generation: what it has brought so far, and what that comes to.

    Attributes:
        fold: The sum of its events.
        hopeless: Why it was ended early, if it was.
        closed: Whether it was ended early because its text was whole and only white space still came.
        verdict: What all texts come to, once it was judged; see :meth:`Course.judged`.
    """

    def __init__(self, *, offering: bool, begin: str = "") -> None:
        self.fold = Fold()
        self.hopeless = ""
        self.closed = False
        self.verdict: JsonObject | None = None
        self._offering = offering
        self._given = len(begin)
        self._looks, self._described, self._description = Looks(), Looks(), ""
        self._blanks, self._closings = Blanks(), Looks()
        if begin:
            self.fold.feed(TextDelta(begin))

    @property
    def writing(self) -> bool:
        """Whether the model has written something of the text."""
        return self.fold.characters > self._given

    @property
    def empty(self) -> bool:
        """Whether there is nothing to give; a call of a function that was not offered is nothing."""
        return self.fold.empty or not (self.fold.characters or self._offering)

    def feed(self, event: Event, course: Course, now: float) -> None:
        """Add an event that came at `now`, and look at the text now and then for whether there is hope."""
        self.fold.feed(event)
        if isinstance(event, TextDelta):
            self._blanks.add(event.text, now)
            enough = self._blanks.are_enough(now) and self._closings.due(self.fold.characters)
            if enough and course.is_whole(self.fold.partial().text):
                # Nothing more is due but a finish, and some models never come to it.
                self.fold.feed(Finish("", "stop"))
                self.closed = True
                return
        if self._looks.due(self.fold.characters):
            self.hopeless = course.hopeless(self.fold.partial().text)

    def describe(self, course: Course) -> str:
        """Return what the text amounts to, in the words of its tool; it may be a little behind."""
        if self.writing and self._described.due(self.fold.characters):
            self._description = course.describe(self.fold.partial().text)
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

    async def judge(self, course: Course, earlier: Sequence[str], begin: str) -> None:
        """Have it judged with the texts before it, now that it is over, unless it was."""
        text = self.fold.partial().text
        texts = [*earlier, text] if text else earlier
        if self.verdict is None and texts:
            self.verdict = await course.judged(texts, begin)

    def come_to(self, course: Course, error: RunapiError | None = None) -> tuple[Status, RunapiError | None]:
        """Return how a generation ends whose last round this is, or was ended by `error`."""
        if isinstance(error, Interrupted):
            if self.fold.finished and not self.empty:
                error = None  # the answer was whole before it came
            else:
                error.partial = self.fold.partial().text
        if error is not None:
            return "failed" if self.empty else "partial", error
        answer = self.fold.partial()
        cut = answer.finish is not None and answer.finish.reason == "length"
        whole = is_whole(answer) or (cut and course.is_whole(answer.text))
        return "complete" if whole else "partial", None

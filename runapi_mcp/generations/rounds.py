"""The rounds of one generation: what each brought, and what they come to. No I/O, and no clock."""

from collections.abc import Sequence

from runapi_mcp.errors import EmptyAnswer
from runapi_mcp.generations.codec import dumped
from runapi_mcp.generations.course import PLAIN, Course
from runapi_mcp.generations.looks import Looks
from runapi_mcp.generations.usage import added
from runapi_mcp.generations.values import Job
from runapi_mcp.wire import Fold
from runapi_mcp.wire.types import Answer, Call, Event, JsonObject, TextDelta, Usage


class Rounds:
    """The calls of one generation, one after the other.

    Attributes:
        fold: The sum of this round's events.
        number: Which round this is, from 1.
        hopeless: Why this round was ended early, if it was.
        verdict: What the texts come to, once this round was judged; see :meth:`Course.judged`.
    """

    def __init__(self, job: Job, course: Course) -> None:
        self.fold = Fold()
        self.number = 1
        self.hopeless = ""
        self.verdict: JsonObject | None = None
        self._job = job
        self._course = course
        self._earlier: list[str] = []
        self._spent: Usage | None = None
        self._verdict_size = 0
        self._given = len(job.begin)
        self._looks, self._described, self._description = Looks(), Looks(), ""
        if job.begin:
            self.fold.feed(TextDelta(job.begin))

    @property
    def earlier(self) -> tuple[str, ...]:
        """The texts of the rounds before this one, oldest first."""
        return tuple(self._earlier)

    @property
    def writing(self) -> bool:
        """Whether the model has written something of this round's text."""
        return self.fold.characters > self._given

    @property
    def empty(self) -> bool:
        """Whether there is nothing to give; a call of a function that was not offered is nothing."""
        return self.fold.empty or not (self.fold.characters or self._job.call.functions)

    @property
    def tokens(self) -> Usage | None:
        """What all rounds took so far, as far as upstream has said."""
        return added(self._spent, self.fold.usage)

    @property
    def size(self) -> int:
        """Characters of all that is kept."""
        return self.fold.size + sum(map(len, self._earlier)) + self._verdict_size

    @property
    def first_call(self) -> Call:
        """What the first round asks."""
        return self._job.call

    def feed(self, event: Event) -> None:
        """Add an event of this round, and look at the text now and then for whether there is hope."""
        self.fold.feed(event)
        if self._looks.due(self.fold.characters):
            self.hopeless = self._course.hopeless(self.fold.partial().text)

    def answer(self) -> Answer:
        """Return the answer of this round, now that its stream is over or was given up.

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

    async def judge(self) -> None:
        """Have this round judged, now that it is over, unless it was."""
        text = self.fold.partial().text
        texts = [*self._earlier, text] if text else self._earlier
        if self.verdict is None and texts:
            self.verdict = await self._course.judged(texts, self._job.begin)
            self._verdict_size = len(dumped(self.verdict)) if self.verdict else 0

    def follow_up(self, answer: Answer) -> Call | None:
        """Return the call of the next round, or `None` if this one, which was judged, was the last."""
        return self._course.follow_up(answer, self.earlier, self.verdict)

    def links(self) -> Sequence[str]:
        """Return the links of the present answer that are to be resolved."""
        return self._course.links(self.fold.partial())

    def next(self) -> None:
        """Begin the next round."""
        self._earlier.append(self.fold.partial().text)
        self._spent = self.tokens
        self.number += 1
        # What a resumed answer starts with belongs to its first round only.
        self.fold, self._given = Fold(), 0
        self.verdict, self._verdict_size = None, 0
        self._looks, self._described, self._description, self.hopeless = Looks(), Looks(), "", ""

    def release(self, job: Job) -> None:
        """Let go of the question, now that no round will follow; `job` is what is left of it."""
        self._job, self._course = job, PLAIN

    def described(self) -> str:
        """Return what the text amounts to, in the words of its tool; it may be a little behind."""
        if self.writing and self._described.due(self.fold.characters):
            self._description = self._course.describe(self.fold.partial().text)
        return self._description

"""One generation: an upstream stream as a value that can be followed, left and cancelled."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeAlias

import anyio

from runapi_mcp import logs
from runapi_mcp.errors import EmptyAnswer, Interrupted, RunapiError
from runapi_mcp.generations.codec import dumped
from runapi_mcp.generations.policy import PLAIN, Course
from runapi_mcp.generations.queue import Turns
from runapi_mcp.generations.values import Evidence, Job, Phase, Receipt, Status, View
from runapi_mcp.signalling import Signal
from runapi_mcp.telemetry import Outcome, operation
from runapi_mcp.upstream.trace import Trace
from runapi_mcp.wire.fold import Fold, is_whole
from runapi_mcp.wire.types import Answer, Call, Event, JsonObject, TextDelta, Usage
from runapi_mcp.wire.usage import added


class Looks:
    """Looks at lengths that grow by a quarter, so that all of them together cost little."""

    def __init__(self) -> None:
        self._next = 1

    def due(self, length: int) -> bool:
        """Whether a text of this length is to be looked at."""
        if length < self._next:
            return False
        self._next = max(length + 16, length + length // 4)
        return True


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


@dataclass(frozen=True, slots=True)
class Ended:
    """How a generation ended.

    Attributes:
        status: What it came to.
        error: What ended it, if something did and the answer was not whole before.
        crash: The bug of ours that ended it, if one did.
    """

    status: Status
    error: RunapiError | None = None
    crash: Exception | None = None


CANCELLED: Final = Ended("cancelled")


def crashed(bug: Exception) -> Ended:
    """Return the end that a bug of ours makes."""
    return Ended("failed", crash=bug)


def ended(rounds: Rounds, error: RunapiError | None = None) -> Ended:
    """Return the end of a generation whose rounds are over, or were ended by `error`."""
    if isinstance(error, Interrupted):
        if rounds.fold.finished and not rounds.empty:
            error = None  # the answer was whole before it came
        else:
            error.partial = rounds.fold.partial().text
    if error is not None:
        return Ended("failed" if rounds.empty else "partial", error)
    return Ended("complete" if is_whole(rounds.fold.partial()) else "partial")


Ask: TypeAlias = Callable[[Call], AbstractAsyncContextManager[AsyncGenerator[Event, None]]]
Resolve: TypeAlias = Callable[[Sequence[str]], Awaitable[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Line:
    """One generation's line to RunAPI.

    Attributes:
        base_url: Where it leads.
        ask: Opens the stream that answers a call; see :meth:`Upstream.stream`.
        resolve: Finds where links of an answer lead; see :meth:`Upstream.redirects`.
    """

    base_url: str
    ask: Ask = field(repr=False)
    resolve: Resolve = field(repr=False)


async def end_of(
    rounds: Rounds, ask: Ask, *, fed: Callable[[], None], whole: Callable[[Ended], object]
) -> Ended:
    """Go through all rounds and return what they came to.

    Args:
        rounds: The rounds of a generation, none of them begun.
        ask: Opens the stream that answers a call.
        fed: Called after each event.
        whole: Called with the end as soon as it is certain; the connections' farewells come after it.
    """
    try:
        await _all(rounds, ask, fed, whole)
        return ended(rounds)
    except RunapiError as error:
        await rounds.judge()
        return ended(rounds, error)


async def _all(rounds: Rounds, ask: Ask, fed: Callable[[], None], whole: Callable[[Ended], object]) -> None:
    call: Call | None = rounds.first_call
    while call is not None:
        async with ask(call) as events:
            answer = await _one(rounds, events, fed)
            await rounds.judge()
            call = rounds.follow_up(answer)
            if call is None and not rounds.hopeless and not rounds.links():
                whole(ended(rounds))
        if call is not None:
            rounds.next()
    if rounds.hopeless:
        raise Interrupted(f"The answer was stopped early: {rounds.hopeless}.")


async def _one(rounds: Rounds, events: AsyncGenerator[Event, None], fed: Callable[[], None]) -> Answer:
    """Read one round's events, as long as there is hope, and return its answer."""
    async for event in events:
        rounds.feed(event)
        fed()
        if rounds.hopeless:
            break
    return rounds.answer()


def receipt_of(
    job: Job, status: Status, rounds: Rounds, trace: Trace, *, began: float, until: float
) -> Receipt:
    """Return the receipt of a generation that began at `began` and has gone on until `until`."""
    answer, first = rounds.fold.partial(), trace.first_byte_at
    finish = answer.finish
    return Receipt(
        model=answer.model or job.call.model,
        dialect=job.dialect,
        status=status,
        complete=status == "complete",
        finish_reason=finish.reason if finish else None,
        finish_reason_raw=finish.raw[:60] if finish else None,
        tokens=rounds.tokens,
        seconds_to_first_byte=None if first is None else round(first - began, 3),
        seconds=round(until - began, 3),
        seconds_waited=round(trace.waited, 3),
        requests=trace.requests,
        rounds=rounds.number,
        client_request_id=trace.request_id,
    )


def outcome_of(end: Ended, rounds: Rounds, seconds: float, first_chunk: float | None) -> Outcome:
    """Return what became of a generation whose turn took `seconds`; see :class:`Outcome`."""
    error = end.crash or end.error
    return Outcome(end.status, rounds.fold.partial(), rounds.tokens, seconds, first_chunk, error)


def log_phase(handle: str, trace: Trace, ahead: int | None) -> None:
    """Log where a generation stands now."""
    logs.debug(
        "phase",
        generation=logs.shortened(handle),
        phase="queued" if ahead is not None else trace.phase,
        ahead=ahead,
        requests=trace.requests,
        client_request_id=trace.request_id,
        bytes=trace.received,
    )


def log_end(view: View) -> None:
    """Log what a generation came to and what it cost; and its answer, if that is asked for."""
    facts = asdict(view.receipt)
    tokens = facts.pop("tokens") or {}
    logs.info(
        "generation",
        generation=logs.shortened(view.handle),
        tool=view.job.tool,
        error=view.error.code if view.error else None,
        **facts,
        **{f"tokens_{name}": count for name, count in tokens.items()},
    )
    logs.content("answer", generation=logs.shortened(view.handle), answer=view.answer.text)


_HANDLE_BYTES: Final = 18
_TAIL: Final = 400


def _nobody(_generation: "Generation") -> None:
    """Tell no one."""


class Generation:
    """One generation of this process.

    Attributes:
        done: Set once it has ended.
        ended: How it ended, once it has; `ended_at` is when, by the clock.
        turn_at: When its turn came, by the clock; before that, when it last moved up the queue.
        note: What a store has to say to whoever gets the handle; see :attr:`View.note`.
        shared: Called when it has ended and when it was delivered; set by a store that shares it.
    """

    def __init__(
        self,
        job: Job,
        clock: Callable[[], float],
        *,
        course: Course = PLAIN,
        on_end: Callable[["Generation"], None] = _nobody,
    ) -> None:
        self.handle = f"g_{secrets.token_urlsafe(_HANDLE_BYTES)}"
        self.job = job
        self.done = anyio.Event()
        self.ended: Ended | None = None
        self.ended_at: float | None = None
        self.handed_over = False
        self.delivered = False
        self.note = ""
        self.shared: Callable[[Generation], None] = _nobody
        self.trace = Trace(on_phase=self._wake)
        self.ahead: int | None = None
        self.created = self.updated = datetime.now(UTC)
        self.turn_at = self._started_at = clock()
        self._clock = clock
        self._on_end = on_end
        self._rounds = Rounds(job, course)
        self._told: Phase | None = None
        self._first_event_at: float | None = None
        self._links: dict[str, str] = {}
        self._followers = 0
        self._interruption: RunapiError | None = None
        self._changed = Signal()
        self._scope = anyio.CancelScope()

    # ------------------------------------------------------------ followed

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Count one follower; when the last leaves early and no handle is out, cancel."""
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers and not self.handed_over:
                self.cancel()

    async def changed(self) -> None:
        """Wait for the next change of phase, or the end."""
        await self._changed.wait()

    def cancel(self) -> None:
        """End the generation now; its connection closes, its text is kept. Does nothing once done."""
        if self.ended is None:
            self._scope.cancel()

    async def deliver(self) -> None:
        """Note that its ended answer was given to a caller."""
        self.delivered = True
        self.shared(self)

    async def stop(self) -> None:
        """Cancel it and wait until it has ended."""
        self.cancel()
        await self.done.wait()

    def interrupt(self, error: RunapiError) -> None:
        """End it now, as `error` would have; its connection closes, its text is kept."""
        if self.ended is None:
            self._interruption = error
            self._scope.cancel()

    def abandon(self) -> None:
        """End it before it ran."""
        self._end(CANCELLED)

    # ------------------------------------------------------------ seen

    @property
    def status(self) -> Status:
        """How it stands."""
        return "running" if self.ended is None else self.ended.status

    @property
    def leaving(self) -> bool:
        """Whether it was told to end; it does when its connection has closed."""
        return self._scope.cancel_called

    @property
    def owed(self) -> bool:
        """Whether its answer is still to be given to somebody, who has its handle or follows it."""
        return not self.delivered and (self.handed_over or self._followers > 0)

    @property
    def fold(self) -> Fold:
        """The sum of what its present round has brought."""
        return self._rounds.fold

    def view(self) -> View:
        """Return it as it stands."""
        if self.ended is not None and self.ended.crash is not None:
            raise self.ended.crash
        return self.known()

    def known(self) -> View:
        """Return what is known of it, even after a bug of ours ended it."""
        return View(
            self.handle,
            self.job,
            self.status,
            self.fold.partial(),
            self.receipt,
            self.ended.error if self.ended else None,
            earlier=self._rounds.earlier,
            links=self._links,
            hopeless=self._rounds.hopeless,
            verdict=self._rounds.verdict,
            note=self.note,
        )

    @property
    def receipt(self) -> Receipt:
        """What it cost so far, even where a bug ended it."""
        began, until = self._started_at, self._until
        return receipt_of(self.job, self.status, self._rounds, self.trace, began=began, until=until)

    def evidence(self) -> Evidence:
        """Return the signs of life."""
        now, trace, rounds, fold = self._clock(), self.trace, self._rounds, self.fold
        # Neither its place in the queue nor a wait that RunAPI asked for is RunAPI's silence.
        signs = (self._started_at, self.turn_at, trace.heard_at, trace.waiting_until)
        return Evidence(
            phase=self._phase,
            searching=self.job.call.search,
            round=rounds.number,
            ahead=self.ahead or 0,
            wait_left=max((trace.waiting_until or now) - now, 0.0),
            characters=fold.characters or fold.thought_characters,
            tokens=fold.usage.output if fold.usage else None,
            silent=now - max(at for at in signs if at is not None and at <= now),
            tail=fold.tail(_TAIL),
            described=rounds.described(),
        )

    @property
    def size(self) -> int:
        """About how many bytes keeping it takes; its question's too while that may be asked again."""
        return 2 * self._rounds.size + self.job.size + 4096

    @property
    def _phase(self) -> Phase:
        if self.ahead is not None:
            return "queued"
        if self.trace.phase != "open":
            return self.trace.phase
        return "writing" if self._rounds.writing else "thinking" if self.fold.thought_characters else "open"

    @property
    def _until(self) -> float:
        """When it ended, or now."""
        return self._clock() if self.ended_at is None else self.ended_at

    # ------------------------------------------------------------ run, by Generations

    async def run(self, turns: Turns, line: Line) -> None:
        """Wait for a turn and generate to the end, whatever the end is."""
        try:
            with self._scope:
                async with turns.turn(self._placed):
                    self.turn_at = self._clock()
                    await self._measured(line)
        except Exception as bug:  # noqa: BLE001  # its task is the process's: whatever it is must not get there
            self._end(crashed(bug))
        finally:
            self._cut()

    async def _measured(self, line: Line) -> None:
        with operation(self.job.call, self.job.dialect, line.base_url) as measured:
            try:
                await self._generate(line)
            except Exception as bug:  # noqa: BLE001  # a bug ends this generation, not all; view() raises it again
                self._end(crashed(bug))
            finally:
                end, first = self._cut(), self._first_event_at
                times = (self._until - self.turn_at, None if first is None else first - self.turn_at)
                measured.ended(outcome_of(end, self._rounds, *times))

    async def _generate(self, line: Line) -> None:
        end = await end_of(self._rounds, line.ask, fed=self._fed, whole=self._end)
        if self.ended is None and (links := self._rounds.links()):
            self._links = await line.resolve(links)
        self._end(end)

    def _fed(self) -> None:
        if self._first_event_at is None:
            self._first_event_at = self._clock()
        if self._phase != self._told:
            self._wake()

    def _cut(self) -> Ended:
        """End what is still open: it was interrupted, or cancelled by a follower or with the process."""
        if self.ended is not None:
            return self.ended
        error = self._interruption
        return self._end(CANCELLED if error is None else ended(self._rounds, error))

    def _end(self, how: Ended) -> Ended:
        """End it, unless it has ended; return how it did."""
        if self.ended is not None:
            return self.ended
        self.ended, self.ended_at, self.updated = how, self._clock(), datetime.now(UTC)
        if how.status in ("complete", "failed"):  # whatever else there is can be resumed
            self.job = self.job.answered()
            self._rounds.release(self.job)
        self.done.set()
        self._on_end(self)
        self._wake()
        self.shared(self)
        return how

    def _placed(self, ahead: int | None) -> None:
        self.ahead = ahead
        self.turn_at = self._clock()
        self._wake()

    def _wake(self) -> None:
        log_phase(self.handle, self.trace, self.ahead)
        self._told = self._phase
        self._changed.send()

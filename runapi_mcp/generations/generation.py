"""One generation: an upstream stream as a value that can be followed, left and cancelled.

Its one loop stands in :meth:`Generation.run`: round after round a stream is opened, its events are
folded, the answer is judged, and what the tool's policy asks for next is asked.
"""

import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.errors import (
    AnswerTooLong,
    BudgetSpent,
    Bug,
    InputError,
    Interrupted,
    MemoryFull,
    ModelRefused,
    NotFound,
    RequestRefused,
    RunapiError,
)
from runapi_mcp.generations.admission import MemoryBudget, Queue
from runapi_mcp.generations.choice import Choice
from runapi_mcp.generations.policy import PLAIN, Lot, Policy, Round
from runapi_mcp.generations.spending import UNLIMITED, Allowance
from runapi_mcp.generations.values import Evidence, Job, Phase, Receipt, Status, View
from runapi_mcp.settings import MIB
from runapi_mcp.signalling import Signal
from runapi_mcp.telemetry import Operation, operation
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.wire.fold import Ending, Fold
from runapi_mcp.wire.json_text import dump
from runapi_mcp.wire.types import (
    Answer,
    Call,
    DialectName,
    Done,
    Event,
    Finish,
    Served,
    TextDelta,
    ThoughtDelta,
    Usage,
)
from runapi_mcp.wire.usage import MILLION, Price, add_usage

ANSWER_ROOM: Final = 256 * 1024
"""Bytes reserved for an answer before it comes, and again whenever those are used up."""
_OVERHEAD: Final = 4096
_CHARACTER: Final = 2
"""Bytes of a character: Python takes one to four, and what is made of a text is as long again."""
_TEXTS: Final = (TextDelta, ThoughtDelta)
_WEIGHTLESS: Final = (Usage, Finish, Served, Done)
"""Events that add nothing to what is kept."""
_HANDLE_BYTES: Final = 18
_TAIL: Final = 400
_ENDLESS: Final = 2**62
_MOST_TOGETHER: Final = 4
"""Calls of one generation that are asked at once."""
_MOST_ASIDE: Final = 400_000
"""Characters of an answer that is one of several."""

_logger = logging.getLogger(__name__)


def _cut(events: Sequence[Event], room: int) -> Sequence[Event]:
    """Return events up to the text for which there is no more room, and as much of that as there is for."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, _TEXTS):
            if len(event.text) > room:
                return [*kept, replace(event, text=event.text[:room])]
            room -= len(event.text)
        kept.append(event)
    return kept


def _tell_nobody(_generation: "Generation") -> None:
    """Tell no one."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """What it takes to ask: of whom, in whose turn, with whose key, and until when, by the clock."""

    upstream: Upstream
    queue: Queue
    key: SecretStr
    patient_until: float
    until: float

    def stream(
        self, call: Call, dialect: DialectName, trace: Trace, now: float, ending: Ending
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """Open the stream of a call; see :meth:`Upstream.stream`."""
        return self.upstream.stream(
            call,
            dialect,
            key=self.key,
            trace=trace,
            ending=ending,
            patience=self.patient_until - now,
            within=self.until - now,
        )


class Generation:
    """One generation of this process.

    Attributes:
        handle: What its caller holds.
        job: What was asked; without the question once that cannot be asked again.
        done: Set once it has ended.
        status: How it stands.
        error: What ended it, if something did and the answer was not whole before.
        ended_at: When it ended, by the clock.
        turn_at: When its turn came, by the clock; before that, when it last moved up the queue.
        handed_over: Whether its handle is out, so that it goes on without followers.
        delivered: Whether its answer was given to a caller, to the end.
        note: What a store has to say to whoever gets the handle; see :attr:`View.note`.
        shared: Called when it is told to end, has ended, or was delivered; set by a store that shares it.
        memory: What it holds of the budget in bytes.
        allowance: What it may spend.

    Raises:
        MemoryFull: Its question does not fit into its owner's share of `memory`.
    """

    def __init__(
        self,
        job: Job,
        clock: Callable[[], float],
        *,
        policy: Policy = PLAIN,
        memory: MemoryBudget | None = None,
        most: int = _ENDLESS,
        on_end: Callable[["Generation"], None] = _tell_nobody,
        price_of: Callable[[str], Price | None] | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self.handle = f"g_{secrets.token_urlsafe(_HANDLE_BYTES)}"
        self.job = job
        self.done = anyio.Event()
        self.status: Status = "running"
        self.error: RunapiError | None = None
        self.ended_at: float | None = None
        self.handed_over = False
        self.delivered = False
        self.note = ""
        self.shared: Callable[[Generation], None] = _tell_nobody
        self.trace = Trace(on_phase=self._wake)
        self.ahead: int | None = None
        self.created = self.updated = datetime.now(UTC)
        self.turn_at = self._started_at = clock()
        self._clock = clock
        self._policy = policy
        self._most = most
        self._on_end = on_end
        self._price_of = price_of
        self.allowance = allowance or UNLIMITED
        self._round = Round(offering=bool(job.call.functions), begin=job.begin)
        self._model, self._dialect = job.call.model, job.dialect
        self._earlier: list[str] = [*job.earlier]
        self._aside: list[tuple[Trace, Fold]] = []
        self._narrated = ""
        self._searches = 0
        self._spent: Usage | None = None
        self._links: dict[str, str] = {}
        self._told: Phase | None = None
        self._first_event_at: float | None = None
        self._followers = 0
        self._interruption: RunapiError | None = None
        self._changed = Signal()
        self._scope = anyio.CancelScope()
        self._made: dict[str, Any] = {}
        self._made_of: tuple[int, int, Status] = (0, 0, "running")
        self._left = 0
        # Once more than it is: a request is written out of it.
        self._question = 2 * job.size
        self.memory = (memory or MemoryBudget(_ENDLESS)).reserve(job.owner, self.size + ANSWER_ROOM)

    # ------------------------------------------------------------ followed

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Count one follower; when the last leaves early and no handle is out, cancel."""
        self._followers += 1
        self._settle()
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers and not self.handed_over:
                self.cancel()
            self._settle()

    async def changed(self) -> None:
        """Wait for the next change of phase, or the end."""
        await self._changed.wait()

    def hand_over(self) -> None:
        """Let it go on without followers: its handle is out."""
        self.handed_over = True
        self._settle()

    def note_delivery(self) -> None:
        """Take note that its answer was given to a caller, by whichever server."""
        self.delivered = True
        self._settle()

    async def deliver(self) -> None:
        """Note that its ended answer was given to a caller, to the end."""
        self.note_delivery()
        self.shared(self)

    def cancel(self) -> None:
        """End it now; its connection closes, its text is kept. Does nothing once done."""
        if self.ended_at is None:
            self._scope.cancel()
            self.shared(self)  # nobody is to join it any more

    async def stop(self) -> None:
        """Cancel it and wait until it has ended."""
        self.cancel()
        await self.done.wait()

    def interrupt(self, error: RunapiError) -> None:
        """End it now, as `error` would have; its connection closes, its text is kept."""
        if self.ended_at is None:
            self._interruption = error
            self._scope.cancel()

    # ------------------------------------------------------------ seen

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
        return self._round.fold

    def view(self) -> View:
        """Return it as it stands.

        Raises:
            Bug: A bug of ours ended it.
        """
        if isinstance(self.error, Bug):
            raise Bug(self.error.what)  # a new one: its traceback would hold the generation
        return self.known()

    def known(self) -> View:
        """Return what is known of it, even after a bug of ours ended it."""
        mark = (self._rounds, self.fold.size, self.status)
        if mark != self._made_of:
            self._made, self._made_of = {}, mark
        answer = self.fold.partial()
        return View(
            self.handle,
            self.job,
            self.status,
            answer,
            self._receipt(answer),
            self.error,
            earlier=tuple(self._earlier),
            links=self._links,
            hopeless=self._round.hopeless,
            verdict=self._round.verdict,
            note=self.note,
            made=self._made,
        )

    @property
    def receipt(self) -> Receipt:
        """What it cost so far, even where a bug ended it."""
        return self._receipt(self.fold.partial())

    def _receipt(self, answer: Answer) -> Receipt:
        trace = self.trace
        finish, first = answer.finish, trace.first_byte_at
        until = self._clock() if self.ended_at is None else self.ended_at
        model, tokens = answer.model or self._model, add_usage(self._spent, answer.usage)
        price = (self._price_of(model) or self._price_of(self._model)) if self._price_of else None
        cost = price.cost(tokens) if price else None
        return Receipt(
            model=model,
            dialect=self._dialect,
            status=self.status,
            complete=self.status == "complete",
            finish_reason=finish.reason if finish else None,
            finish_reason_raw=finish.raw[:60] if finish else None,
            tokens=tokens,
            seconds_to_first_byte=None if first is None else round(first - self._started_at, 3),
            seconds=round(until - self._started_at, 3),
            seconds_waited=round(trace.waited, 3),
            requests=trace.requests,
            rounds=self._rounds,
            client_request_id=trace.request_id,
            searches=self._searches,
            cost=None if cost is None else cost / MILLION,
            currency=price.currency if price and cost is not None else None,
            model_asked=self._model,
            model_served=answer.model or None,
        )

    def evidence(self) -> Evidence:
        """Return the signs of life."""
        now, trace, fold = self._clock(), self.trace, self.fold
        # Neither its place in the queue nor a wait that RunAPI asked for is RunAPI's silence.
        signs = (
            *(self._started_at, self.turn_at, trace.heard_at, trace.waiting_until),
            *(aside.heard_at for aside, _ in self._aside),
        )
        return Evidence(
            phase=self._phase,
            searching=self.job.call.search,
            round=self._rounds,
            ahead=self.ahead or 0,
            wait_left=max((trace.waiting_until or now) - now, 0.0),
            characters=fold.characters or fold.thought_characters,
            tokens=fold.usage.output if fold.usage else None,
            silent=now - max(at for at in signs if at is not None and at <= now),
            tail=fold.tail(_TAIL),
            described=self._narrated or self._round.describe(self._policy),
            stage=self._policy.stage(self._earlier),
        )

    @property
    def stands(self) -> tuple[object, ...]:
        """What of its evidence does not change with every piece of text: equal where there is no news."""
        tokens, described = self.fold.usage, self._narrated or self._round.describe(self._policy)
        return self._phase, self._rounds, self.ahead, tokens, described, self._policy.stage(self._earlier)

    @property
    def size(self) -> int:
        """About how many bytes keeping it takes; its question's too while that may be asked again."""
        return self._answer_size + self._question + _OVERHEAD

    @property
    def _answer_size(self) -> int:
        verdict = self._round.verdict
        aside = sum(fold.size for _, fold in self._aside)
        return _CHARACTER * (
            self.fold.size + aside + sum(map(len, self._earlier)) + (len(dump(verdict)) if verdict else 0)
        )

    @property
    def _rounds(self) -> int:
        return len(self._earlier) + 1

    @property
    def _phase(self) -> Phase:
        if self.ahead is not None:
            return "queued"
        if self.trace.phase != "open":
            return self.trace.phase
        return "writing" if self._round.writing else "thinking" if self.fold.thought_characters else "open"

    # ------------------------------------------------------------ run, by Generations

    async def run(
        self, upstream: Upstream, queue: Queue, key: SecretStr, patient_until: float, deadline: float
    ) -> None:
        """Wait for a turn and generate to the end, whatever the end is.

        Args:
            upstream: RunAPI.
            queue: Where it waits for its turn.
            key: Whose key pays.
            patient_until: Until when waits that RunAPI asks for may last, by the clock.
            deadline: Seconds that all rounds may take together, from its turn.
        """
        try:
            with self._scope:
                async with queue.turn(self.job.owner, self._take_place):
                    self.turn_at = self._clock()
                    with operation(
                        self.job.call,
                        self.job.dialect,
                        upstream.base_url,
                        tool=self.job.tool,
                        principal=logs.principal(self.job.owner),
                    ) as span:
                        asking = _Asking(upstream, queue, key, patient_until, self.turn_at + deadline)
                        try:
                            await self._generate(asking)
                        except Exception:  # noqa: BLE001  # a bug ends this generation, not all
                            self._crash()
                        finally:
                            self._cut()
                            self._measure(span)
        except Exception:  # noqa: BLE001  # its task is the process's: whatever it is must not get there
            self._crash()
        finally:
            self._cut()

    async def _generate(self, asking: "_Asking") -> None:
        """Ask round after round, and end with what the last came to."""
        error: RunapiError | None = None
        choice = Choice(self.job, asking.upstream, asking.key, self.trace)
        try:
            await choice.begin()
            self._settle_on(choice)
            step: Call | Lot | None = self._policy.begin(self.job)
            if isinstance(step, Call) and choice.model != self.job.call.model:
                step = await self.allowance.another_model(choice.call(step))
            while step is not None:
                if isinstance(step, Lot):
                    step = await self._ask_together(step, asking)
                    continue
                call = choice.call(step)
                try:
                    step = await self._ask(call, choice, asking)
                except (NotFound, ModelRefused) as refused:
                    if self._earlier:
                        raise choice.explain(refused) from None
                    await choice.turn_from(refused)
                    self._settle_on(choice)
                    step = await self.allowance.another_model(choice.call(call))
                except RequestRefused as refused:
                    spelled = asking.upstream.respell(call, self._dialect, refused)
                    if spelled is None or self.fold.size:
                        raise
                    step = spelled
            if self._round.hopeless:
                error = Interrupted(f"The answer was stopped early: {self._round.hopeless}.")
        except RunapiError as caught:
            error = caught if self.ended_at is None else None
        if self.ended_at is not None:
            return
        await self._round.judge(self._policy, self._earlier, self.job.begin)
        self._links = await self._resolve(self.fold.partial(), asking)
        self._end(*self._round.come_to(self._policy, self._earlier, error))

    async def _resolve(self, answer: Answer, asking: "_Asking") -> dict[str, str]:
        """Return where the links of an answer lead that are to be resolved."""
        links = self._policy.links(answer)
        return await asking.upstream.redirects(links) if links else {}

    async def _ask(self, call: Call, choice: Choice, asking: "_Asking") -> Call | Lot | None:
        """Ask one round, and return what the next asks, if there is one."""
        async with asking.stream(call, self._dialect, self.trace, self._clock(), self.fold.ending) as events:
            self._searches += call.search
            async for several in events:
                self._feed(several)
                if self._round.hopeless or self._round.closed:
                    break
            answer = self._round.answer()
            choice.note_answer()
            await self._round.judge(self._policy, self._earlier, self.job.begin)
            step = self._policy.follow_up(answer, tuple(self._earlier), self._round.verdict)
            step, refused = await self._allow(step, answer.text)
            if not (step or self._round.hopeless or self._policy.links(answer)):
                # Before the connection's farewell, which may take a moment.
                self._end(*self._round.come_to(self._policy, self._earlier))
        if step is not None:
            kept = self._policy.record(answer, self._earlier, await self._resolve(answer, asking))
            self._earlier += [answer.text, kept] if kept else [answer.text]
            self._spent = add_usage(self._spent, answer.usage)
            # What a resumed answer starts with belongs to its first round only.
            self._round = Round(offering=bool(self.job.call.functions))
        if refused is not None:
            raise refused
        return step

    async def _ask_together(self, lot: Lot, asking: "_Asking") -> Call | Lot | None:
        """Ask the calls of a lot, some at once, and return what the next round asks, if there is one.

        One at a time is asked in the generation's own turn; others beside it as they get turns of theirs.
        """
        waiting = deque(zip(lot.calls, lot.titles, strict=True))
        ended = 0
        stopped: RunapiError | None = None
        self._narrated = f"{lot.what}: 0 of {len(lot.calls)}"
        self.trace.enter("open")

        async def work(scope: anyio.CancelScope) -> None:
            nonlocal ended, stopped
            while waiting:
                call, title = waiting.popleft()
                end, links = await self._ask_aside(call, asking)
                ended += 1
                self._narrated = f"{lot.what}: {ended} of {len(lot.calls)} · {title}"
                try:
                    self._feed((TextDelta(self._policy.line(call, end, links)),))
                except RunapiError as error:
                    stopped = error
                    scope.cancel()
                self._wake()
            if ended == len(lot.calls):
                scope.cancel()  # whoever still waits for a turn needs none

        async def help_out(scope: anyio.CancelScope) -> None:
            async with asking.queue.turn(self.job.owner, lambda _ahead: None):
                await work(scope)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work, tasks.cancel_scope)
                for _ in range(min(_MOST_TOGETHER, len(lot.calls)) - 1):
                    tasks.start_soon(help_out, tasks.cancel_scope)
        finally:
            self._narrated = ""
        if stopped is not None:
            raise stopped
        self.fold.feed(Usage(input=0, output=0), Finish("", "stop"))  # what its calls took is counted
        answer = self.fold.partial()
        step = self._policy.follow_up(answer, tuple(self._earlier))
        step, refused = await self._allow(step, answer.text)
        if step is not None:
            self._earlier.append(answer.text)
            self._round = Round(offering=False)
        if refused is not None:
            raise refused
        return step

    async def _ask_aside(
        self, call: Call, asking: "_Asking", *, allowed: bool = False
    ) -> tuple[Answer | RunapiError, Mapping[str, str]]:
        """Return how one call of a lot ends, and where its links lead; `allowed` it may be before."""
        trace, fold = Trace(on_phase=self._wake), Fold()
        self._aside.append((trace, fold))
        try:
            if not allowed:
                call = await self.allowance.next_round(replace(call, model=self._model))
            async with asking.stream(call, self._dialect, trace, self._clock(), fold.ending) as events:
                self._searches += call.search
                async for several in events:
                    for event in several:
                        if too_long := self._make_room(event, fold):
                            raise too_long
                    if fold.size > _MOST_ASIDE:
                        raise AnswerTooLong("The answer was stopped: it is too long for one of several.")
            answer = fold.answer()
            return answer, await self._resolve(answer, asking)
        except RequestRefused as refused:
            spelled = asking.upstream.respell(call, self._dialect, refused)
            if spelled is None or fold.size:
                return refused, {}
            return await self._ask_aside(spelled, asking, allowed=True)
        except RunapiError as error:
            return error, {}
        finally:
            self._aside.remove((trace, fold))
            self._spent = add_usage(self._spent, fold.usage)
            self.trace.requests += trace.requests
            self.trace.waited += trace.waited
            self.trace.received += trace.received
            self.trace.request_id = trace.request_id or self.trace.request_id

    async def _allow(
        self, step: Call | Lot | None, text: str
    ) -> tuple[Call | Lot | None, BudgetSpent | InputError | None]:
        """Return the step of another round with what it may spend, and why that must not be asked.

        Another try of what came to `text` is left out then: what there is counts. Where the next round is
        for something else, nothing of what was asked for is there without it. The calls of a lot are
        allowed one by one, as they are asked.
        """
        if not isinstance(step, Call):
            return step, None
        try:
            return await self.allowance.next_round(step), None
        except (BudgetSpent, InputError) as refused:
            logs.info("no further round", generation=logs.shorten(self.handle), error=refused.code)
            stage = self._policy.stage
            again = stage([*self._earlier, text]) == stage(self._earlier)
            return (None, None) if again else (step, refused)

    def _settle_on(self, choice: Choice) -> None:
        """Take the model that was chosen, and what must be said of that."""
        self._model, self._dialect = choice.model, choice.dialect
        self.job = replace(self.job, notices=choice.notices)
        # A refusal may have brought a model's name.
        self._round = Round(offering=bool(self.job.call.functions), begin=self.job.begin)

    def _feed(self, events: Sequence[Event]) -> None:
        """Add events that came together, as much of them as there is room for.

        Raises:
            AnswerTooLong: There is more of the answer than may be kept.
            LimitPassed: There is more than was asked for at most.
        """
        now = self._clock()
        if self._first_event_at is None:
            self._first_event_at = now
        size, weighty = 0, False
        for event in events:
            if isinstance(event, _TEXTS):
                size += _CHARACTER * len(event.text)
            elif not isinstance(event, _WEIGHTLESS):
                weighty = True
        too_long = self._reserve(size) if size > self._left else None
        if too_long is not None:
            events = _cut(events, self._left // _CHARACTER)
        self._left -= size
        self._round.feed(events, self._policy, now)
        if weighty and too_long is None:
            too_long = self._reserve(0)
        if too_long is not None:
            raise too_long
        # Nothing comes after writing but another round, of whose beginning the trace tells.
        if self._told != "writing" and self._phase != self._told:
            self._wake()
        # What stands in the text of a lot was not asked for in this round.
        if self.allowance.cap is not None and not self._narrated:
            self.allowance.check(self.fold)

    def _make_room(self, event: Event, fold: Fold) -> AnswerTooLong | None:
        """Add an event to one of several answers, if there is room for it; return why there is none."""
        size = _CHARACTER * len(event.text) if isinstance(event, _TEXTS) else 0
        if size > self._left and (too_long := self._reserve(size)):
            return too_long
        self._left -= size
        fold.feed(event)
        return None if isinstance(event, _TEXTS) else self._reserve(0)

    def _reserve(self, more: int) -> AnswerTooLong | None:
        """Reserve room for so many bytes more; return why they do not fit, and note how many do."""
        allowed, memory, want = self._most - self._answer_size, self.memory, self.size + more
        if want > memory.size:
            memory.resize(max(min(want + ANSWER_ROOM, memory.size + memory.room), memory.size))
        self._left = max(min(allowed, memory.size - self.size), 0)
        if more > allowed:
            limit = f"{self._most / MIB:g} MiB, as much as this server keeps of one"
            return AnswerTooLong(f"The answer was stopped at {limit}.")
        if want > memory.size:
            why = "no more of this server's memory is left for your calls and answers"
            return AnswerTooLong(f"The answer was stopped: {why}.", advice=MemoryFull.default_advice)
        return None

    def _crash(self) -> None:
        """End it with the bug of ours that is being handled; :meth:`view` tells of it."""
        _logger.exception("%s failed", self.job.tool)
        self._end("failed", Bug(f"{self.job.tool} failed because of a bug in runapi-mcp."))

    def abandon(self) -> None:
        """End it before it ran: nobody keeps, counts or logs it."""
        self._on_end = _tell_nobody
        self.allowance.free()
        self._end("cancelled")
        self.memory.release()

    def _cut(self) -> None:
        """End what is still open: it was interrupted, or cancelled by a follower or with the process."""
        if self.ended_at is None and self._interruption is not None:
            self._end(*self._round.come_to(self._policy, self._earlier, self._interruption))
        self._end("cancelled")

    def _end(self, status: Status, error: RunapiError | None = None) -> None:
        """End it, unless it has ended."""
        if self.ended_at is not None:
            return
        self.status, self.error = status, error
        if error is not None:
            # Its frames hold this generation, which would stay until the collector comes.
            error.__traceback__ = error.__cause__ = error.__context__ = None
        self.ended_at, self.updated = self._clock(), datetime.now(UTC)
        if status in ("complete", "failed"):  # whatever else there is can be resumed
            self.job = self.job.answered()
        self._question = self.job.size
        self._policy = PLAIN
        self.trace.on_phase = lambda: None
        self.done.set()
        self.memory.settle(self.size, spare=not self.owed)
        self._on_end(self)
        self._wake()
        self.shared(self)

    def forget_question(self) -> int:
        """Let go of a whole answer's question, which cannot be gone on from then; return the bytes freed."""
        before = self.memory.size
        if self.status in ("complete", "failed"):
            self.job = self.job.without_question()
            self._question = self.job.size
            self.memory.settle(self.size, spare=not self.owed)
        return before - self.memory.size

    def _settle(self) -> None:
        """Count what it holds now that it has ended: what is owed to nobody may be dropped for others."""
        if self.ended_at is not None:
            self.memory.settle(self.memory.size, spare=not self.owed)

    def _measure(self, span: Operation) -> None:
        answer, began, ended = self.fold.partial(), self.turn_at, self.ended_at
        assert ended is not None, "it is measured at its end"
        receipt = self.receipt
        span.end(
            status=self.status,
            asked=receipt.model_asked,
            model=receipt.model_served,
            swapped=receipt.swapped,
            finish=answer.finish.reason if answer.finish else None,
            tokens=receipt.tokens,
            seconds=ended - began,
            first_chunk=None if self._first_event_at is None else self._first_event_at - began,
            error=self.error,
        )

    def _take_place(self, ahead: int | None) -> None:
        """Note its place in the queue; `None` is its turn."""
        self.ahead = ahead
        self.turn_at = self._clock()
        self._wake()

    def _wake(self) -> None:
        """Wake those who wait for a change."""
        logs.debug(
            "phase",
            generation=logs.shorten(self.handle),
            phase="queued" if self.ahead is not None else self.trace.phase,
            ahead=self.ahead,
            requests=self.trace.requests,
            client_request_id=self.trace.request_id,
            bytes=self.trace.received,
        )
        self._told = self._phase
        self._changed.send()

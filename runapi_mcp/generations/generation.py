"""One generation: an upstream stream as a value that can be followed, left and cancelled.

Its one loop stands in :meth:`Generation.run`: round after round a stream is opened, its events are
folded, the answer is judged, and what the tool's policy asks for next is asked.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.errors import AnswerTooLong, Bug, Interrupted, MemoryFull, RequestRefused, RunapiError
from runapi_mcp.generations.admission import MemoryBudget, Queue
from runapi_mcp.generations.policy import PLAIN, Policy, Round
from runapi_mcp.generations.values import Evidence, Job, Phase, Receipt, Status, View
from runapi_mcp.settings import MIB
from runapi_mcp.signalling import Signal
from runapi_mcp.telemetry import Operation, operation
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.json_text import dumped
from runapi_mcp.wire.prices import MILLION, Price
from runapi_mcp.wire.types import Call, Event, TextDelta, ThoughtDelta, Usage
from runapi_mcp.wire.usage import add_usage

ANSWER_ROOM: Final = 256 * 1024
"""Bytes reserved for an answer before it comes, and again whenever those are used up."""
_OVERHEAD: Final = 4096
_CHARACTER: Final = 2
"""Bytes of a character: Python takes one to four, and what is made of a text is as long again."""
_TEXTS: Final = (TextDelta, ThoughtDelta)
_HANDLE_BYTES: Final = 18
_TAIL: Final = 400
_ENDLESS: Final = 2**62

_logger = logging.getLogger(__name__)


def _ignore() -> None:
    """Let a change of phase go by."""


def _tell_nobody(_generation: "Generation") -> None:
    """Tell no one."""


def _know_no_price(_model: str) -> None:
    """Know of no price."""


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
        price_of: Callable[[str], Price | None] = _know_no_price,
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
        self._round = Round(offering=bool(job.call.functions), begin=job.begin)
        self._earlier: list[str] = []
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
        return View(
            self.handle,
            self.job,
            self.status,
            self.fold.partial(),
            self.receipt,
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
        answer, trace = self.fold.partial(), self.trace
        finish, first = answer.finish, trace.first_byte_at
        until = self._clock() if self.ended_at is None else self.ended_at
        model, tokens = answer.model or self.job.call.model, add_usage(self._spent, answer.usage)
        price = self._price_of(model) or self._price_of(self.job.call.model)
        cost = price.cost(tokens) if price else None
        return Receipt(
            model=model,
            dialect=self.job.dialect,
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
            cost=None if cost is None else cost / MILLION,
            currency=price.currency if price and cost is not None else None,
        )

    def evidence(self) -> Evidence:
        """Return the signs of life."""
        now, trace, fold = self._clock(), self.trace, self.fold
        # Neither its place in the queue nor a wait that RunAPI asked for is RunAPI's silence.
        signs = (self._started_at, self.turn_at, trace.heard_at, trace.waiting_until)
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
            described=self._round.describe(self._policy),
        )

    @property
    def size(self) -> int:
        """About how many bytes keeping it takes; its question's too while that may be asked again."""
        return self._answer_size + self._question + _OVERHEAD

    @property
    def _answer_size(self) -> int:
        verdict = self._round.verdict
        return _CHARACTER * (
            self.fold.size + sum(map(len, self._earlier)) + (len(dumped(verdict)) if verdict else 0)
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
        self, upstream: Upstream, queue: Queue, *, key: SecretStr, patient_until: float, deadline: float
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
                        try:
                            await self._generate(upstream, key, patient_until, self.turn_at + deadline)
                        except Exception:  # noqa: BLE001  # a bug ends this generation, not all
                            self._crash()
                        finally:
                            self._cut()
                            self._measure(span)
        except Exception:  # noqa: BLE001  # its task is the process's: whatever it is must not get there
            self._crash()
        finally:
            self._cut()

    async def _generate(self, upstream: Upstream, key: SecretStr, patient_until: float, until: float) -> None:
        """Ask round after round, and end with what the last came to."""
        call = self.job.call
        error: RunapiError | None = None
        try:
            while True:
                try:
                    next_call = await self._ask(upstream, call, key, patient_until, until)
                except RequestRefused as refused:
                    next_call = upstream.respell(call, self.job.dialect, refused)
                    if next_call is None or self.fold.size:
                        raise
                if next_call is None:
                    break
                call = next_call
            if self._round.hopeless:
                error = Interrupted(f"The answer was stopped early: {self._round.hopeless}.")
        except RunapiError as caught:
            error = caught if self.ended_at is None else None
        if self.ended_at is not None:
            return
        await self._round.judge(self._policy, self._earlier, self.job.begin)
        if links := self._policy.links(self.fold.partial()):
            self._links = await upstream.redirects(links)
        self._end(*self._round.come_to(self._policy, error))

    async def _ask(
        self, upstream: Upstream, call: Call, key: SecretStr, patient_until: float, until: float
    ) -> Call | None:
        """Ask one round, and return the call of the next, if there is one."""
        now = self._clock()
        async with upstream.stream(
            call,
            self.job.dialect,
            key=key,
            trace=self.trace,
            patience=patient_until - now,
            within=until - now,
        ) as events:
            async for event in events:
                self._feed(event)
                if self._round.hopeless or self._round.closed:
                    break
            answer = self._round.answer()
            await self._round.judge(self._policy, self._earlier, self.job.begin)
            next_call = self._policy.follow_up(answer, tuple(self._earlier), self._round.verdict)
            if not (next_call or self._round.hopeless or self._policy.links(answer)):
                # Before the connection's farewell, which may take a moment.
                self._end(*self._round.come_to(self._policy))
        if next_call is not None:
            self._earlier.append(answer.text)
            self._spent = add_usage(self._spent, answer.usage)
            # What a resumed answer starts with belongs to its first round only.
            self._round = Round(offering=bool(self.job.call.functions))
        return next_call

    def _feed(self, event: Event) -> None:
        """Add an event, as much of it as there is room for.

        Raises:
            AnswerTooLong: There is more of the answer than may be kept.
        """
        too_long = None
        if isinstance(event, _TEXTS):
            size = _CHARACTER * len(event.text)
            if size > self._left:
                too_long = self._reserve(size)
                event = (
                    event if too_long is None else replace(event, text=event.text[: self._left // _CHARACTER])
                )
            self._left -= size
        now = self._clock()
        self._round.feed(event, self._policy, now)
        if self._first_event_at is None:
            self._first_event_at = now
        if self._phase != self._told:
            self._wake()
        if not isinstance(event, _TEXTS):
            too_long = self._reserve(0)
        if too_long is not None:
            raise too_long

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
        """End it before it ran; nobody keeps it."""
        self._end("cancelled")
        self.memory.release()

    def _cut(self) -> None:
        """End what is still open: it was interrupted, or cancelled by a follower or with the process."""
        if self.ended_at is None and self._interruption is not None:
            self._end(*self._round.come_to(self._policy, self._interruption))
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
        self.trace.on_phase = _ignore
        self.done.set()
        self.memory.settle(self.size, spare=not self.owed)
        self._on_end(self)
        self._wake()
        self.shared(self)

    def _settle(self) -> None:
        """Count what it holds now that it has ended: what is owed to nobody may be dropped for others."""
        if self.ended_at is not None:
            self.memory.settle(self.memory.size, spare=not self.owed)

    def _measure(self, span: Operation) -> None:
        answer, began, ended = self.fold.partial(), self.turn_at, self.ended_at
        assert ended is not None, "it is measured at its end"
        span.end(
            status=self.status,
            model=answer.model,
            finish=answer.finish.reason if answer.finish else None,
            tokens=self.receipt.tokens,
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

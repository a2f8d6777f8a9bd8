"""One generation: an upstream stream as a value that can be followed, left and cancelled."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import anyio
from pydantic import SecretStr

from runapi_mcp.errors import EmptyAnswer, Interrupted, RunapiError
from runapi_mcp.generations.journal import log_phase
from runapi_mcp.generations.looks import Looks
from runapi_mcp.generations.turns import Turns
from runapi_mcp.generations.values import Evidence, Job, Phase, Receipt, Status, View, spent
from runapi_mcp.telemetry import Outcome, operation
from runapi_mcp.upstream import Trace, Upstream
from runapi_mcp.wire import Fold
from runapi_mcp.wire.types import Answer, Call, Event, TextDelta, Usage

_HANDLE_BYTES: Final = 18
_TAIL: Final = 400


def _nobody(_generation: "Generation") -> None:
    """Tell no one."""


def _unshared(_generation: "Generation") -> None:
    """Share nothing."""


class Generation:
    """One generation of this process.

    Attributes:
        note: What a store has to say to whoever gets the handle; see :attr:`View.note`.
        shared: Called when it has ended and when it was delivered; set by a store that shares it.
    """

    def __init__(
        self, job: Job, clock: Callable[[], float], *, on_end: Callable[["Generation"], None] = _nobody
    ) -> None:
        self.handle = f"g_{secrets.token_urlsafe(_HANDLE_BYTES)}"
        self.job = job
        self.done = anyio.Event()
        self.handed_over = False
        self.delivered = False
        self.note = ""
        self.shared: Callable[[Generation], None] = _unshared
        self.ended_at: float | None = None
        self.fold = _begun(job)
        self.trace = Trace(on_phase=self._wake)
        self.ahead: int | None = None
        self.created = datetime.now(UTC)
        self.updated = self.created
        self._clock = clock
        self._on_end = on_end
        self._started_at = clock()
        self._turn_at = self._started_at
        self._first_event_at: float | None = None
        self._rounds = 1
        self._earlier: list[str] = []
        self._links: dict[str, str] = {}
        self._looks = Looks()
        self._described = Looks()
        self._description = ""
        self._hopeless = ""
        self._spent: Usage | None = None
        self._followers = 0
        self._cancelled = False
        self._interrupted: RunapiError | None = None
        self._error: RunapiError | None = None
        self._crash: Exception | None = None
        self._changed = anyio.Event()
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
        if not self.done.is_set():
            self._cancelled = True
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
        if not self.done.is_set():
            self._interrupted = error
            self._scope.cancel()

    def abandon(self) -> None:
        """End it before it ran."""
        self._cancelled = True
        self._end()

    # ------------------------------------------------------------ seen

    @property
    def status(self) -> Status:
        """How it stands."""
        if not self.done.is_set():
            return "running"
        if self._cancelled:
            return "cancelled"
        if self._crash is not None:
            return "failed"
        if self._error is not None:
            return "partial" if self.fold.characters else "failed"
        return "complete" if self._whole() else "partial"

    def view(self) -> View:
        """Return it as it stands."""
        if self._crash is not None:
            raise self._crash
        return self.known()

    def known(self) -> View:
        """Return what is known of it, even after a bug of ours ended it."""
        answer = self.fold.partial()
        return View(
            self.handle,
            self.job,
            self.status,
            answer,
            self._receipt(answer),
            self._error,
            earlier=tuple(self._earlier),
            links=self._links,
            hopeless=self._hopeless,
            note=self.note,
        )

    @property
    def receipt(self) -> Receipt:
        """What it cost so far, even where a bug ended it."""
        return self._receipt(self.fold.partial())

    def evidence(self) -> Evidence:
        """Return the signs of life."""
        now, trace, fold = self._clock(), self.trace, self.fold
        begun = self.fold.characters > len(self.job.begin)
        opened: Phase = "writing" if begun else "thinking" if fold.thought_characters else "open"
        # Neither its place in the queue nor a wait that RunAPI asked for is RunAPI's silence.
        signs = (self._turn_at, trace.heard_at, trace.waiting_until)
        heard = max(at for at in (*signs, self._started_at) if at is not None and at <= now)
        return Evidence(
            phase="queued" if self.ahead is not None else opened if trace.phase == "open" else trace.phase,
            searching=self.job.call.search,
            round=self._rounds,
            ahead=self.ahead or 0,
            wait_left=max((trace.waiting_until or now) - now, 0.0),
            characters=fold.characters or fold.thought_characters,
            tokens=fold.usage.output if fold.usage else None,
            silent=now - heard,
            tail=fold.tail(_TAIL),
            described=self._describe() if begun else "",
        )

    # ------------------------------------------------------------ run, by Generations

    async def run(self, upstream: Upstream, turns: Turns, key: SecretStr, patience: float) -> None:
        """Wait for a turn and generate to the end, whatever the end is."""
        try:
            with self._scope:
                async with turns.turn(self._placed):
                    await self._measured(upstream, key, patience)
        except Exception as error:  # noqa: BLE001  # its task is the process's: whatever it is must not get there
            self._crash = self._crash or error
        finally:
            # Still open here: cancelled, by a follower's leaving or with the process; or a bug.
            if not self.done.is_set():
                self._cancelled = self._interrupted is None and self._crash is None
                self._error = self._judged(self._interrupted) if self._interrupted else None
                self._end()

    async def _measured(self, upstream: Upstream, key: SecretStr, patience: float) -> None:
        with operation(self.job.call, self.job.dialect, upstream.base_url) as measured:
            try:
                await self._generate(upstream, key, patience)
            finally:
                measured.ended(self._outcome())

    def _outcome(self) -> Outcome:
        """Return what became of it; while it is being cancelled, that is no longer open either."""
        cut: Status = "partial" if self._interrupted else "cancelled"
        answer, first, began = self.fold.partial(), self._first_event_at, self._turn_at
        return Outcome(
            self.status if self.done.is_set() else cut,
            answer,
            spent(self._spent, answer.usage),
            seconds=(self.ended_at or self._clock()) - began,
            first_chunk=None if first is None else first - began,
            error=self._crash or self._error or self._interrupted,
        )

    async def _generate(self, upstream: Upstream, key: SecretStr, patience: float) -> None:
        try:
            await self._rounds_of(upstream, key, patience)
        except RunapiError as error:
            self._error = self._judged(error)
        except Exception as error:  # noqa: BLE001  # a bug ends this generation, not all; view() raises it again
            self._crash = error
        if not self.done.is_set() and (links := self.job.links(self.fold.partial())):
            self._links = await upstream.redirects(links)
        self._end()

    def _end(self) -> None:
        if not self.done.is_set():
            self.ended_at = self._clock()
            self.updated = datetime.now(UTC)
            self.done.set()
            self._on_end(self)
            self._wake()
            self.shared(self)

    async def _rounds_of(self, upstream: Upstream, key: SecretStr, patience: float) -> None:
        call: Call | None = self.job.call
        while call is not None:
            async with upstream.stream(
                call, self.job.dialect, key=key, trace=self.trace, patience=patience
            ) as events:
                answer = await self._round(events)
                call = self.job.follow_up(answer, self._rounds)
                if call is None and not self._hopeless and not self.job.links(answer):
                    # The answer is whole; the connection's farewell is nothing to wait for.
                    self._end()
            if call is not None:
                self._next_round()
        if self._hopeless:
            raise Interrupted(f"The answer was stopped early: {self._hopeless}.")

    async def _round(self, events: AsyncGenerator[Event, None]) -> Answer:
        """Read one round's events, as long as there is hope, and return its answer."""
        async for event in events:
            if self._first_event_at is None:
                self._first_event_at = self._clock()
            first = not self.fold.characters and not self.fold.thought_characters
            self.fold.feed(event)
            if first and (self.fold.characters or self.fold.thought_characters):
                self._wake()
            if self._looks.due(self.fold.characters) and self._given_up():
                return self.fold.partial()
        return self._offered(self.fold.answer())

    def _offered(self, answer: Answer) -> Answer:
        """Return the answer, unless all it holds is a call of a function that was never offered.

        Raises:
            EmptyAnswer: That is all it holds.
        """
        if answer.text or self.job.call.functions:
            return answer
        raise EmptyAnswer(
            "The model asked for a function to be run, which was not offered to it, and wrote no answer."
        )

    def _given_up(self) -> bool:
        self._hopeless = self.job.hopeless(self.fold.partial().text) or ""
        return bool(self._hopeless)

    def _describe(self) -> str:
        if self._described.due(self.fold.characters):
            self._description = self.job.describe(self.fold.partial().text)
        return self._description

    def _next_round(self) -> None:
        self._earlier.append(self.fold.partial().text)
        self._rounds += 1
        self._spent = spent(self._spent, self.fold.usage)
        self._looks, self._described, self._description, self._hopeless = Looks(), Looks(), "", ""
        # What a resumed answer starts with belongs to its first round only.
        self.fold = Fold()

    def _judged(self, error: RunapiError) -> RunapiError | None:
        """Return what an error means: nothing, if the answer was whole before it came."""
        if isinstance(error, Interrupted):
            if self.fold.finished and self.fold.characters:
                return None
            error.partial = self.fold.partial().text
        return error

    def _whole(self) -> bool:
        finish = self.fold.partial().finish
        return finish is not None and finish.reason in ("stop", "tool", "unknown")

    def _receipt(self, answer: Answer) -> Receipt:
        trace, started = self.trace, self._started_at
        first, finish = trace.first_byte_at, answer.finish
        return Receipt(
            model=answer.model or self.job.call.model,
            dialect=self.job.dialect,
            status=self.status,
            complete=self.status == "complete",
            finish_reason=finish.reason if finish else None,
            finish_reason_raw=finish.raw[:60] if finish else None,
            tokens=spent(self._spent, answer.usage),
            seconds_to_first_byte=None if first is None else round(first - started, 3),
            seconds=round((self.ended_at or self._clock()) - started, 3),
            seconds_waited=round(trace.waited, 3),
            requests=trace.requests,
            rounds=self._rounds,
            client_request_id=trace.request_id,
        )

    @property
    def size(self) -> int:
        """About how many bytes keeping it takes."""
        earlier = sum(map(len, self._earlier))
        return 2 * (self.fold.characters + self.fold.thought_characters + earlier) + self.job.size + 4096

    def _placed(self, ahead: int | None) -> None:
        self.ahead = ahead
        self._turn_at = self._clock()
        self._wake()

    def _wake(self) -> None:
        log_phase(self.handle, self.trace, self.ahead)
        self._changed.set()
        self._changed = anyio.Event()


def _begun(job: Job) -> Fold:
    """Return a fold that holds the text the answer starts with."""
    fold = Fold()
    if job.begin:
        fold.feed(TextDelta(job.begin))
    return fold

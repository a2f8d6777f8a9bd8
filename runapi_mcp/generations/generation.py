"""One generation: an upstream stream as a value that can be followed, left and cancelled."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import anyio

from runapi_mcp.errors import RunapiError
from runapi_mcp.generations.course import PLAIN, Course
from runapi_mcp.generations.ended import CANCELLED, Ended, crashed, ended
from runapi_mcp.generations.journal import log_phase
from runapi_mcp.generations.line import Line
from runapi_mcp.generations.receipts import outcome_of, receipt_of
from runapi_mcp.generations.rounds import Rounds
from runapi_mcp.generations.running import end_of
from runapi_mcp.generations.turns import Turns
from runapi_mcp.generations.values import Evidence, Job, Phase, Receipt, Status, View
from runapi_mcp.signalling import Signal
from runapi_mcp.telemetry import operation
from runapi_mcp.upstream import Trace
from runapi_mcp.wire import Fold

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

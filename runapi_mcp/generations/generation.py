"""One generation: an upstream stream as a value that can be followed, left and cancelled."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import anyio
from pydantic import SecretStr

from runapi_mcp.errors import Interrupted, RunapiError
from runapi_mcp.generations.turns import Turns
from runapi_mcp.generations.values import Evidence, Job, Phase, Receipt, Status, View
from runapi_mcp.upstream import Trace, Upstream
from runapi_mcp.wire import Fold
from runapi_mcp.wire.types import Answer, Call, TextDelta, Usage

_HANDLE_BYTES: Final = 18
_TAIL: Final = 400


class Generation:
    """One generation of this process."""

    def __init__(self, job: Job, clock: Callable[[], float]) -> None:
        self.handle = f"g_{secrets.token_urlsafe(_HANDLE_BYTES)}"
        self.job = job
        self.done = anyio.Event()
        self.handed_over = False
        self.delivered = False
        self.ended_at: float | None = None
        self.fold = _begun(job)
        self.trace = Trace(on_phase=self._wake)
        self.ahead: int | None = None
        self.created = datetime.now(UTC)
        self.updated = self.created
        self._clock = clock
        self._started_at = clock()
        self._rounds = 1
        self._spent: Usage | None = None
        self._followers = 0
        self._cancelled = False
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

    # ------------------------------------------------------------ seen

    @property
    def status(self) -> Status:
        """How it stands."""
        if not self.done.is_set():
            return "running"
        if self._cancelled:
            return "cancelled"
        if self._error is not None:
            return "partial" if self.fold.characters else "failed"
        return "complete" if self._whole() else "partial"

    def view(self) -> View:
        """Return it as it stands."""
        if self._crash is not None:
            raise self._crash
        answer = self.fold.partial()
        return View(self.handle, self.job, self.status, answer, self._receipt(answer), self._error)

    def evidence(self) -> Evidence:
        """Return the signs of life."""
        now, trace, fold = self._clock(), self.trace, self.fold
        begun = self.fold.characters > len(self.job.begin)
        opened: Phase = "writing" if begun else "thinking" if fold.thought_characters else "open"
        heard = trace.heard_at if trace.heard_at is not None else self._started_at
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
        )

    # ------------------------------------------------------------ run, by Generations

    async def run(self, upstream: Upstream, turns: Turns, key: SecretStr, patience: float) -> None:
        """Wait for a turn and generate to the end, whatever the end is."""
        try:
            with self._scope:
                async with turns.turn(self._placed):
                    await self._generate(upstream, key, patience)
        finally:
            # Still open here: cancelled, by a follower's leaving or with the process.
            if not self.done.is_set():
                self._cancelled = True
                self._end()

    async def _generate(self, upstream: Upstream, key: SecretStr, patience: float) -> None:
        try:
            await self._rounds_of(upstream, key, patience)
        except RunapiError as error:
            self._error = self._judged(error)
        except Exception as error:  # noqa: BLE001  # a bug ends this generation, not all; view() raises it again
            self._crash = error
        self._end()

    def _end(self) -> None:
        if not self.done.is_set():
            self.ended_at = self._clock()
            self.updated = datetime.now(UTC)
            self.done.set()
            self._wake()

    async def _rounds_of(self, upstream: Upstream, key: SecretStr, patience: float) -> None:
        call: Call | None = self.job.call
        while call is not None:
            async with upstream.stream(
                call, self.job.dialect, key=key, trace=self.trace, patience=patience
            ) as events:
                async for event in events:
                    first = not self.fold.characters and not self.fold.thought_characters
                    self.fold.feed(event)
                    if first and (self.fold.characters or self.fold.thought_characters):
                        self._wake()
                call = self.job.follow_up(self.fold.answer(), self._rounds)
                if call is None:
                    # The answer is whole; the connection's farewell is nothing to wait for.
                    self._end()
            if call is not None:
                self._next_round()

    def _next_round(self) -> None:
        self._rounds += 1
        self._spent = _added(self._spent, self.fold.usage)
        self.fold = _begun(self.job)

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
            tokens=_added(self._spent, answer.usage),
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
        return 2 * (self.fold.characters + self.fold.thought_characters) + 4096

    def _placed(self, ahead: int | None) -> None:
        self.ahead = ahead
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _begun(job: Job) -> Fold:
    """Return a fold that holds the text the answer starts with."""
    fold = Fold()
    if job.begin:
        fold.feed(TextDelta(job.begin))
    return fold


def _added(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the sum of two rounds' tokens; what neither said stays unsaid."""
    if one is None or other is None:
        return one or other
    return Usage(
        _sum(one.input, other.input),
        _sum(one.output, other.output),
        _sum(one.thinking, other.thinking),
        _sum(one.cached, other.cached),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)

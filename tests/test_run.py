"""One request's way to generations: its hold window is one, whatever its time goes into."""

from typing import cast

import pytest
from generations.played import KEY, STOP, USED, WHOLE, Clock, Gate, bench, job
from pydantic import SecretStr
from waiting import ended

from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.memory import MemoryStore
from runapi_mcp.generations.values import Job
from runapi_mcp.key import OwnKey
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import TextDelta


class _SlowToLook(MemoryStore):
    """A store that takes its time to say whether the same was asked before."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__(Settings(), clock)
        self._passing = clock
        self._seconds = seconds

    def same(self, job: Job) -> Generation | None:
        self._passing.now += self._seconds
        return super().same(job)


async def _untold(_seconds: float, _line: str) -> None:
    """Tell nobody."""


async def test_what_the_store_takes_is_taken_from_the_hold_window() -> None:
    clock = Clock()
    async with bench([Gate()], store=_SlowToLook(clock, 60), clock=clock) as made:
        run = Run(Settings(), cast("Upstream", made.upstream), made.generations, _ann(), _untold, clock=clock)
        view, joined = await run.generate(job())
        assert (view.status, joined) == ("running", False)
        assert (await made.generations.find(view.handle, "ann")).handle == view.handle


async def test_what_is_left_of_the_window_is_the_patience_for_waits_that_runapi_asks_for() -> None:
    clock = Clock()
    async with bench(WHOLE, store=_SlowToLook(clock, 20), clock=clock) as made:
        run = Run(Settings(), cast("Upstream", made.upstream), made.generations, _ann(), _untold, clock=clock)
        view, _ = await run.generate(job())
    assert view.status == "complete"
    assert [asked.patience for asked in made.upstream.asked] == [30]


async def test_a_keyring_that_answers_late_takes_its_time_from_the_hold_window() -> None:
    clock = Clock()

    class Slow:
        async def key(self) -> SecretStr:
            clock.now += 15
            return KEY

    async with bench(WHOLE, clock=clock) as made:
        run = Run(
            Settings(keyring=True),
            cast("Upstream", made.upstream),
            made.generations,
            Caller(owner="ann"),
            _untold,
            own_key=OwnKey(Slow()),
            clock=clock,
        )
        await run.generate(job())
    assert [asked.patience for asked in made.upstream.asked] == [35]


async def test_a_call_that_ends_while_a_line_is_written_waits_for_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[str] = []

    async def changed(self: Generation) -> None:
        waited.append(self.status)
        await wait(self)

    wait = Generation.changed
    monkeypatch.setattr(Generation, "changed", changed)
    written = Gate()
    async with bench([TextDelta("The whole answer."), written, STOP, USED]) as made:
        generation = await made.start(job())
        await written.reached.wait()

        async def report(_seconds: float, line: str) -> None:
            assert line.startswith("writing")
            written.open.set()
            await ended(generation)

        caller = Caller(owner="ann", key=KEY, wants_progress=True)
        run = Run(Settings(), cast("Upstream", made.upstream), made.generations, caller, report)
        assert (await run.follow(generation)).status == "complete"
    assert set(waited) <= {"running"}


def _ann() -> Caller:
    return Caller(owner="ann", key=KEY)

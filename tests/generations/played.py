"""An upstream that plays what it is told, and a clock that stands still until it is moved."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias, cast

import anyio
from pydantic import SecretStr
from waiting import ended

from runapi_mcp.errors import RequestRefused, Unavailable
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.policy import PLAIN, Policy
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store.memory import MemoryStore
from runapi_mcp.generations.values import Job
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.model_list import Listing, Standing
from runapi_mcp.wire.fold import Ending
from runapi_mcp.wire.types import Call, DialectName, Event, Finish, Text, TextDelta, Turn, Usage

KEY = SecretStr("sk-canary-played-0123456789")
STOP = Finish("stop", "stop")
USED = Usage(3, 5)
WHOLE: tuple[Event, ...] = (TextDelta("The whole answer."), STOP, USED)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Gate:
    """A place in a stream where it waits to be let on."""

    reached: anyio.Event = field(default_factory=anyio.Event)
    open: anyio.Event = field(default_factory=anyio.Event)

    async def passed(self) -> None:
        self.reached.set()
        await self.open.wait()


@dataclass(frozen=True)
class Passing:
    """Seconds that pass while the stream says nothing."""

    seconds: float


Step: TypeAlias = Event | Exception | Gate | Passing


@dataclass(frozen=True)
class Asked:
    """One call as it came to the upstream."""

    call: Call
    patience: float
    within: float | None


class Unpriced:
    """Knows no price."""

    def of(self, _model: str) -> None:
        return None

    def note_missing(self, _model: str) -> None: ...

    async def keep(self) -> None:
        """Have nothing to keep."""


class Played:
    """Plays one list of steps for each call, and the last again for those beyond."""

    base_url = "https://runapi.test"

    def __init__(self, *streams: Sequence[Step], clock: Clock | None = None) -> None:
        self.prices = Unpriced()
        self.asked: list[Asked] = []
        self.resolved: list[tuple[str, ...]] = []
        self.closing: Gate | None = None
        """Where the connection's end waits, however it comes about."""
        self._streams = streams or (WHOLE,)
        self._clock = clock or Clock()
        self._standing = Standing()

    @asynccontextmanager
    async def stream(
        self,
        call: Call,
        dialect: DialectName,
        *,
        key: SecretStr,
        trace: Trace,
        patience: float,
        ending: Ending,
        within: float | None = None,
    ) -> AsyncIterator[AsyncGenerator[Sequence[Event], None]]:
        assert (dialect, key) == ("chat", KEY)
        self.asked.append(Asked(call, patience, within))
        trace.requests += 1
        trace.enter("open")
        try:
            async with aclosing(self._events(trace)) as events:
                yield events
        finally:
            if self.closing is not None:
                with anyio.move_on_after(2, shield=True):
                    await self.closing.passed()

    def standing(self, key: SecretStr) -> Standing:
        assert key == KEY
        return self._standing

    async def listing(self, *, key: SecretStr) -> Listing:
        assert key == KEY
        raise Unavailable("No list is played.")

    def today(self) -> datetime:
        return datetime(2026, 11, 28, tzinfo=UTC)

    def respell(self, call: Call, dialect: DialectName, refused: RequestRefused) -> None:
        """Know no other words."""

    async def redirects(self, links: Sequence[str]) -> dict[str, str]:
        self.resolved.append(tuple(links))
        return {link: f"{link}/resolved" for link in links}

    async def _events(self, trace: Trace) -> AsyncGenerator[Sequence[Event], None]:
        for step in self._streams[min(len(self.asked), len(self._streams)) - 1]:
            match step:
                case Exception():
                    raise step
                case Gate():
                    await step.passed()
                case Passing(seconds):
                    self._clock.now += seconds
                case _:
                    trace.received, trace.heard_at = trace.received + 10, self._clock()
                    trace.first_byte_at = trace.first_byte_at or trace.heard_at
                    yield (step,)


@dataclass
class Bench:
    """Generations over a played upstream."""

    upstream: Played
    clock: Clock
    generations: Generations

    async def begin(
        self, job: Job, *, patience: float = 50.0, policy: Policy = PLAIN, fresh: bool = False
    ) -> tuple[Generation, bool]:
        generation, joined = await self.generations.begin(
            job, key=KEY, patience=patience, policy=policy, fresh=fresh
        )
        assert isinstance(generation, Generation)
        return generation, joined

    async def start(self, job: Job, *, patience: float = 50.0, policy: Policy = PLAIN) -> Generation:
        return (await self.begin(job, patience=patience, policy=policy))[0]

    async def ended(self, job: Job, *, policy: Policy = PLAIN) -> Generation:
        generation = await self.start(job, policy=policy)
        await ended(generation)
        return generation


@asynccontextmanager
async def bench(
    *streams: Sequence[Step],
    store: MemoryStore | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Bench]:
    clock = clock or Clock()
    upstream = Played(*streams, clock=clock)
    generations = Generations(cast("Upstream", upstream), settings or Settings(), store=store, clock=clock)
    async with generations.open():
        yield Bench(upstream, clock, generations)


def job(prompt: str = "Why?", *, owner: str = "ann", **more: object) -> Job:
    call = Call("gemini-2.5-flash", (Turn("user", (Text(prompt),)),))
    plain = Job("ask_gemini", {"prompt": prompt}, call, "chat", owner)
    return replace(plain, **more)  # type: ignore[arg-type]  # the fields of a Job, by name

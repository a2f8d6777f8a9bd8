"""Tools called in-process, over the real upstream path, against the simulated RunAPI."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from runapi_mcp.generations.registry import Generations
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS, Reply
from runapi_mcp.upstream.client import Upstream

KEY = SecretStr("sk-canary-0123456789")


@dataclass
class Desk:
    """What a server holds, for one test; `now` is its wall clock, in `zone`."""

    settings: Settings
    upstream: Upstream
    generations: Generations
    clock: "Wall"
    notes: list[str] = field(default_factory=list)

    def run(self, *, host: str | None = None) -> Run:
        async def report(_seconds: float, line: str) -> None:
            self.notes.append(line)

        caller = Caller(host=host, wants_progress=True)
        return Run(self.settings, self.upstream, self.generations, caller, report, zone=self.clock.now.tzinfo)

    async def call(self, tool: str, **arguments: Any) -> Reply:
        args = TOOLS[tool].args.model_validate(arguments)
        run = self.run()
        await run.begin(TOOLS[tool].opening)
        reply = await TOOLS[tool].perform(args, run)
        await run.note_delivery(to_the_end=not reply.more)
        return reply


@dataclass
class Wall:
    """A wall clock that stands still until it is set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def desk(
    sim: Simulator,
    *,
    redirects_at: str | None = None,
    now: datetime = datetime(2026, 11, 28, 12, tzinfo=UTC),
    **settings: Any,
) -> AsyncIterator[Desk]:
    held = Settings(key=KEY, base_url=sim.base_url, **settings)
    clock = Wall(now)
    upstream = Upstream(held, redirects_at=redirects_at, today=clock)
    try:
        async with Generations(upstream, held).open() as generations:
            yield Desk(held, upstream, generations, clock)
    finally:
        await upstream.aclose()


def facts(reply: Reply) -> Mapping[str, Any]:
    """The structured half."""
    assert reply.structured is not None, reply.text
    return reply.structured

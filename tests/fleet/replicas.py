"""Servers of one fleet, all in this process: each with its own store, upstream and generations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from pydantic import SecretStr
from waiting import PATIENCE

from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import Followable, shared_store
from runapi_mcp.generations.values import Job
from runapi_mcp.models import DEFAULT_SEARCH_MODEL, choose_dialect
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Call, JsonObject, Text, Turn

KEY = SecretStr("sk-canary-fleet-0123456789")


@dataclass
class Replica:
    """One server of the fleet."""

    generations: Generations
    settings: Settings

    async def start(self, job: Job, *, fresh: bool = False) -> Followable:
        generation, _ = await self.begin(job, fresh=fresh)
        return generation

    async def begin(self, job: Job, *, fresh: bool = False) -> tuple[Followable, bool]:
        return await self.generations.begin(job, key=KEY, patience=5.0, fresh=fresh)

    async def handed(self, job: Job) -> str:
        """Start a generation, hand it over as at the end of a hold window, and return its handle."""
        generation = await self.start(job)
        await self.generations.hand_over(generation)
        return generation.handle

    async def find(self, handle: str, owner: str = "ann") -> Followable:
        return await self.generations.find(handle, owner)


def job(prompt: str, *, owner: str = "ann", tool: str = "ask_gemini", search: bool = False) -> Job:
    arguments: JsonObject = {"query" if tool == "search_web" else "prompt": prompt}
    model = DEFAULT_SEARCH_MODEL if search else "gemini-2.5-flash"
    call = Call(model, (Turn("user", (Text(prompt),)),), search=search)
    return Job(tool, arguments, call, choose_dialect(model, ["search"] if search else [], "chat"), owner)


@asynccontextmanager
async def replica(sim_url: str, store: str, **limits: Any) -> AsyncIterator[Replica]:
    settings = Settings(base_url=sim_url, store=SecretStr(store), **limits)
    shared = shared_store(settings, anyio.current_time)
    assert shared is not None
    upstream = Upstream(settings, pacing=shared.pacing)
    try:
        async with Generations(upstream, settings, store=shared).open() as generations:
            yield Replica(generations, settings)
    finally:
        await upstream.aclose()


async def grown(generation: Followable, characters: int, seconds: float = PATIENCE) -> None:
    """Follow until so much text has come; a follower looks at the evidence twice a second."""
    with anyio.fail_after(seconds):
        async with generation.follow():
            while len(generation.view().answer.text) < characters:
                assert generation.status == "running", generation.view()
                with anyio.move_on_after(0.1):
                    await generation.changed()

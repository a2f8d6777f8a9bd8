"""What the process shares among its requests, and the way of a request to it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from runapi_mcp.errors import SettingsError
from runapi_mcp.generations import Generations
from runapi_mcp.own_key import OwnKey
from runapi_mcp.run import Run
from runapi_mcp.server.caller import Context, caller_of
from runapi_mcp.server.roots import host_roots
from runapi_mcp.settings import Settings
from runapi_mcp.upstream import Upstream

if TYPE_CHECKING:
    from runapi_mcp.generations.fleet import Fleet


@dataclass(frozen=True)
class App:
    """What the process shares: settings, the connection to RunAPI, its generations, the way to its key."""

    settings: Settings
    upstream: Upstream
    generations: Generations
    own_key: OwnKey | None = None

    def run(self, ctx: Context) -> Run:
        """Return a request's way to generations."""

        async def report(seconds: float, line: str) -> None:
            await ctx.session.report_progress(seconds, None, line)

        return Run(
            self.settings,
            self.upstream,
            self.generations,
            caller_of(ctx),
            report,
            roots=partial(host_roots, ctx),
            own_key=self.own_key,
        )


@asynccontextmanager
async def opened(
    settings: Settings, *, clock: Callable[[], float] = time.monotonic, own_key: OwnKey | None = None
) -> AsyncIterator[App]:
    """Open what the process shares, for as long as the block lasts; `own_key` finds a key in a keyring.

    Raises:
        SettingsError: The server is to share its generations, and what that needs is not installed.
    """
    fleet = _fleet(settings, clock)
    upstream = Upstream(settings, clock=clock, pacing=fleet.pacing if fleet else None)
    generations = Generations(
        upstream,
        settings,
        store=fleet.store if fleet else None,
        budget=fleet.budget if fleet else None,
        clock=clock,
    )
    try:
        async with generations.open():
            yield App(settings, upstream, generations, own_key)
    finally:
        await upstream.aclose()


def _fleet(settings: Settings, clock: Callable[[], float]) -> "Fleet | None":
    """Return what this server shares with others, if it is to share anything.

    Raises:
        SettingsError: It is, and what that needs is not installed.
    """
    if settings.store is None:
        return None
    try:
        from runapi_mcp.generations.fleet import join_fleet
    except ImportError:
        raise SettingsError(
            "RUNAPI_MCP_STORE is set, and the redis package is not installed.",
            advice="Install runapi-mcp[redis].",
        ) from None
    return join_fleet(settings, clock)

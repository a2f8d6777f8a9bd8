"""What the process shares among its requests, and the way of a request to it."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from runapi_mcp import logs
from runapi_mcp.errors import SettingsError
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import shared_store
from runapi_mcp.host_limits import Sessions
from runapi_mcp.key import OwnKey
from runapi_mcp.request import Run
from runapi_mcp.server.boundary import Context, caller_of, session_of
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.translate import Today, utc_now

CONSENT: Final = "consent"
"""The key of the one thing that a host is ever to ask its person."""
_YES_OR_NO: Final[types.ElicitRequestedSchema] = {"type": "object", "properties": {}}
_SECONDS: Final = 2.0
_MOST: Final = 50


async def host_roots(ctx: Context) -> tuple[str, ...]:
    """Return the host's roots as paths.

    None if it declares none. None either if its answer is an error, is not what the protocol asks for,
    or does not come within two seconds; that is the host's failing and goes to the log, for the caller
    of a tool cannot mend it.
    """
    capabilities = ctx.session.client_capabilities
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or not capabilities or capabilities.roots is None:
        return ()
    try:
        with anyio.fail_after(_SECONDS):
            listed = await ctx.session.send_request(types.ListRootsRequest(), types.ListRootsResult)
            uris = [str(root.uri) for root in listed.roots[:_MOST]]
            return await anyio.to_thread.run_sync(_folders, uris, abandon_on_cancel=True)
    except (MCPError, ValidationError, TimeoutError) as error:
        logs.info("roots unknown", error=type(error).__name__)
        return ()


async def ask_person(ctx: Context, answered: types.InputResponses | None, question: str) -> bool | None:
    """Return whether the person at the host allows something; whoever cannot be asked is taken to.

    In the era of 2026-07-28 the host asks, on being told what (`None`), and calls again with what was
    `answered`. What a host declares and then fails to do is no consent.
    """
    capabilities = ctx.session.client_capabilities
    asks = capabilities.elicitation if capabilities else None
    if asks is None or (asks.url is not None and asks.form is None):
        return True
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        answer = (answered or {}).get(CONSENT)
        return isinstance(answer, types.ElicitResult) and answer.action == "accept" if answer else None
    try:
        said = await ctx.session.elicit_form(question, _YES_OR_NO, ctx.request_id)
    except NoBackChannelError:
        return True  # 2025-era clients of a stateless server cannot be asked
    except (MCPError, ValidationError) as error:
        logs.info("consent unknown", error=type(error).__name__)
        return False
    return said.action == "accept"


def ask_first(question: str) -> types.InputRequiredResult:
    """Return the result by which a host is to ask its person, and then to call again."""
    asked = types.ElicitRequestFormParams(message=question, requested_schema=_YES_OR_NO)
    return types.InputRequiredResult(input_requests={CONSENT: types.ElicitRequest(params=asked)})


def _folders(uris: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that roots name; looks at the disk, which may take its time."""
    return tuple(folder for uri in uris if (folder := _folder(uri)))


def _folder(uri: str) -> str:
    """Return the folder that a root names; nothing for another machine's, or for a whole file system."""
    try:
        url = urlsplit(uri)
        path = Path(unquote(url.path))
        if url.scheme != "file" or url.netloc not in ("", "localhost") or not path.is_absolute():
            return ""
        folder = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return ""  # no path of this machine's
    return "" if folder == Path(folder.anchor) else str(folder)


@dataclass(frozen=True)
class App:
    """What the process shares: settings, the connection to RunAPI, its generations, the way to its key."""

    settings: Settings
    upstream: Upstream
    generations: Generations
    own_key: OwnKey | None = None
    sessions: Sessions = field(default_factory=Sessions)

    def run(self, ctx: Context, answered: types.InputResponses | None = None) -> Run:
        """Return a request's way to generations; `answered` is what its host has asked its person.

        Raises:
            SettingsError: The environment holds what cannot be used; nothing is asked until it is corrected.
        """
        if self.settings.problem:
            raise SettingsError(
                self.settings.problem, advice="Correct it in the host's config, then restart it."
            )

        async def report(seconds: float, line: str) -> None:
            await ctx.session.report_progress(seconds, None, line)

        caller = caller_of(ctx)
        return Run(
            self.settings,
            self.upstream,
            self.generations,
            caller,
            report,
            learned=self.sessions.of(session_of(ctx), caller.host),
            roots=partial(host_roots, ctx),
            consent=partial(ask_person, ctx, answered),
            own_key=self.own_key,
        )


@asynccontextmanager
async def opened(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.monotonic,
    today: Today = utc_now,
    own_key: OwnKey | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[App]:
    """Open what the process shares, for as long as the block lasts.

    Args:
        settings: What can be set.
        clock: Seconds that only go forward.
        today: The wall clock: models have dates.
        own_key: Finds a key in a keyring.
        env: The environment of a process that is one user's own; see :func:`shared_store`.

    Raises:
        SettingsError: The server is to share its generations, and what that needs is not installed.
    """
    shared = shared_store(settings, clock, env)
    upstream = Upstream(settings, clock=clock, today=today, pacing=shared.pacing if shared else None)
    generations = Generations(upstream, settings, store=shared, clock=clock)
    try:
        async with generations.open():
            yield App(settings, upstream, generations, own_key)
    finally:
        await upstream.aclose()

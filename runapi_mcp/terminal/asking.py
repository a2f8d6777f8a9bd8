"""One call of a tool in this process, watched as it grows; Ctrl-C keeps what there is."""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import anyio
from pydantic import SecretStr, ValidationError

from runapi_mcp.errors import InputError, RunapiError, SettingsError
from runapi_mcp.generations import Followable, Generations, Job
from runapi_mcp.run import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.terminal.screen import Screen
from runapi_mcp.tools import TOOLS, Reply, taught
from runapi_mcp.upstream import Upstream
from runapi_mcp.wire.types import JsonObject

Ending: TypeAlias = Literal["complete", "partial", "failed", "refused", "interrupted"]

_PAGE: Final = 2_000_000
_LONGEST: Final = 3600.0


@dataclass(frozen=True)
class Question:
    """What the person at the keyboard wants: a tool, its arguments, and the files they named themselves."""

    tool: str
    arguments: JsonObject
    files: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Outcome:
    """What came of it; `refused` means that nothing was sent."""

    question: Question
    reply: Reply
    ending: Ending


class _Watched(Generations):
    """Generations that tell which one this terminal follows."""

    following: Followable | None = None

    async def begin(
        self, job: Job, *, key: SecretStr, patience: float, fresh: bool = False
    ) -> tuple[Followable, bool]:
        """Start a generation, and show it; see :meth:`Generations.begin`."""
        self.following, joined = await super().begin(job, key=key, patience=patience, fresh=fresh)
        return self.following, joined


async def perform(question: Question, settings: Settings, screen: Screen) -> Outcome:
    """Carry a question out and return what came of it, however it ended."""
    upstream = Upstream(settings)
    generations = _Watched(upstream, settings)
    interrupts = _Interrupts()
    reply: Reply | None = None
    refused = False
    try:
        async with generations.open(), interrupts.minded(generations), _shown(generations, screen):
            try:
                reply = await _reply(question, _roomy(settings, question.files), upstream, generations)
            except RunapiError as error:
                # Caught in here: what leaves a task group is a group of errors.
                refused = isinstance(error, InputError | SettingsError)
                reply = Reply(str(error), is_error=True, code=error.code)
    finally:
        await upstream.aclose()
    if reply is None:
        return Outcome(question, Reply("Interrupted before anything came.", is_error=True), "interrupted")
    ending: Ending = "refused" if refused else _ending(reply)
    return Outcome(question, reply, "interrupted" if interrupts.count else ending)


async def _reply(
    question: Question, settings: Settings, upstream: Upstream, generations: Generations
) -> Reply:
    tool = TOOLS[question.tool]
    waits = (
        {"wait_seconds": min(settings.deadline, _LONGEST)} if "wait_seconds" in tool.args.model_fields else {}
    )
    try:
        args = tool.args.model_validate(question.arguments | waits)
    except ValidationError as error:
        raise taught(error, tool.args) from None
    return await tool.perform(args, Run(settings, upstream, generations, Caller(), _untold))


async def _untold(_seconds: float, _line: str) -> None:
    """Tell nobody: the screen looks for itself."""


def _roomy(settings: Settings, files: Sequence[str]) -> Settings:
    """Return settings for a person: one page however long, and the folders of the files they named."""
    named = tuple(str(Path(file).expanduser().absolute().parent) for file in files if "://" not in file)
    return replace(settings, max_result_chars=_PAGE, allow_dirs=(*settings.allow_dirs, *named))


def _ending(reply: Reply) -> Ending:
    if reply.is_error:
        return "failed"
    return "complete" if reply.receipt is None or reply.receipt.complete else "partial"


class _Interrupts:
    """Ctrl-C: the first ends the generation and keeps its text, the next one ends everything."""

    def __init__(self) -> None:
        self.count = 0

    @asynccontextmanager
    async def minded(self, generations: _Watched) -> AsyncIterator[None]:
        """Mind them for as long as the block lasts."""
        async with anyio.create_task_group() as tasks:
            with suppress(NotImplementedError):  # Windows: KeyboardInterrupt comes instead
                await tasks.start(self._mind, generations, tasks.cancel_scope)
            yield
            tasks.cancel_scope.cancel()

    async def _mind(
        self,
        generations: _Watched,
        everything: anyio.CancelScope,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self.count += 1
                if self.count > 1 or generations.following is None:
                    everything.cancel()
                else:
                    await generations.following.stop()


@asynccontextmanager
async def _shown(generations: _Watched, screen: Screen) -> AsyncIterator[None]:
    """Show what is followed for as long as the block lasts."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(screen, lambda: generations.following)
        yield
        tasks.cancel_scope.cancel()

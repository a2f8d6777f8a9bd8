"""One call of a tool in this process, watched as it grows; Ctrl-C keeps what there is."""

import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import anyio
from pydantic import ValidationError

from runapi_mcp.errors import InputError, Refused, RunapiError, SettingsError
from runapi_mcp.files.folders import is_pattern, split_pattern
from runapi_mcp.files.paths import Reach, is_secret, resolve_folders
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import Followable, shared_store
from runapi_mcp.generations.store.replica import Replica
from runapi_mcp.generations.values import View
from runapi_mcp.key import OwnKey
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.tools import TOOLS, Reply, teach
from runapi_mcp.tools.coercion import Args
from runapi_mcp.transports.process_exit import signals_received
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Inline, JsonObject, Text

Ending: TypeAlias = Literal["complete", "partial", "failed", "refused", "interrupted"]

Watch: TypeAlias = Callable[[], Followable | None]
"""Gives what is followed, once there is something."""
Show: TypeAlias = Callable[[Watch], Coroutine[Any, Any, None]]

_PAGE: Final = 2_000_000
_LONGEST: Final = 3600.0
LOST: Final = "This answer could not be kept on this machine: ask -c, resume and history do not find it."
_MOST_MODELS: Final = 8
"""How often a refused default may give way to the next: more than there are."""


@dataclass(frozen=True)
class Question:
    """What the person at the keyboard wants.

    Attributes:
        tool: The tool.
        arguments: Its arguments.
        files: The files that they named themselves.
    """

    tool: str
    arguments: JsonObject
    files: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        question: What was asked.
        reply: What the tool made of it.
        ending: How it ended; `refused` means that nothing was sent.
        view: The generation as it ended, if one was begun.
        kept: Whether it has text that is found when this process is gone.
        rest: The handle by which it can be gone on with, if it was cut or stopped and is kept.
        lost: What must be said where it is not found when this process is gone.
        dies_of: What this process was sent, and dies of as it would have, once all this was said.
    """

    question: Question
    reply: Reply
    ending: Ending
    view: View | None = None
    kept: bool = False
    rest: str = ""
    lost: str = ""
    dies_of: signal.Signals | None = None

    @property
    def tool(self) -> str:
        """The tool whose answer it is, also where that went on from an earlier one."""
        return self.view.job.tool if self.view is not None else self.question.tool


async def perform(
    question: Question,
    settings: Settings,
    show: Show,
    own_key: OwnKey | None = None,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Carry a question out and return what came of it, however it ended.

    Args:
        question: What is asked.
        settings: What can be set.
        show: Shows what goes on until it is cancelled.
        own_key: Finds the key, if a keyring has it.
        env: The environment, which says where this user's state is kept.
    """
    shared = shared_store(settings, anyio.current_time, env)
    upstream = Upstream(settings, pacing=shared.pacing if shared else None)
    generations = Generations(upstream, settings, store=shared)
    roomy = _make_room(settings, question.files)
    run = Run(roomy, upstream, generations, Caller(), _tell_nobody, own_key=own_key)
    interrupts, watch = _Interrupts(), lambda: run.followed
    reply = nothing = Reply("Interrupted before anything came.", is_error=True)
    try:
        async with interrupts.heed(watch), generations.open(), _keep_shown(watch, show):
            try:
                reply = await _reply(question, run)
                for _ in range(_MOST_MODELS):
                    if interrupts.count or not _is_next_model_left(run.followed):
                        break
                    # What this process has learned of the models is lost with it: a person would ask in vain.
                    reply = await _reply(question, run)
                await run.note_delivery(to_the_end=True)
            except RunapiError as error:
                # Caught in here: what leaves a task group is a group of errors.
                reply = Reply(str(error), is_error=True, code=error.code, error=error)
    finally:
        await upstream.aclose()
    ending, found = "interrupted" if interrupts.count else _judge_ending(reply), run.followed
    view = found.view() if found is not None else None
    if reply is nothing and view is not None and view.answer.text:
        reply = _what_came(view)
    kept, rest, lost = False, "", ""
    if found is not None and shared is not None and view is not None and view.answer.text:
        cut, kept = ending in ("partial", "interrupted"), shared.outlives(found)
        rest = found.handle if kept and cut else ""
        lost = (shared.off or LOST) if not kept and (cut or not shared.off) else ""
    dies_of = interrupts.last if interrupts.last in _ENDS else None
    return Outcome(question, reply, ending, view, kept, rest, lost, dies_of)


def _what_came(view: View) -> Reply:
    """Return what had come when a second Ctrl-C ended the tool that would have said it."""
    if view.job.tool == "extract_json":  # of which a part is no document
        return Reply("Interrupted before all of it came.", is_error=True)
    return Reply(view.answer.text, answer=view.answer.text)


def _is_next_model_left(followed: Followable | None) -> bool:
    error = followed.view().error if followed is not None else None
    return isinstance(error, Refused) and bool(error.following)


async def _reply(question: Question, run: Run) -> Reply:
    tool = TOOLS[question.tool]
    longest = min(run.settings.deadline, _LONGEST)
    waits = {"wait_seconds": longest} if "wait_seconds" in tool.args.model_fields else {}
    try:
        args = tool.args.model_validate(question.arguments | waits)
    except ValidationError as error:
        raise teach(error, tool.args) from None
    await _allow_earlier_files(args, run)
    return await tool.perform(args, run)


async def _allow_earlier_files(args: Args, run: Run) -> None:
    """Allow the files of what is gone on from: whoever asks here named them, or could.

    But not what they lead to by now: nobody named what a link leads to that was put in the place of one.
    """
    handle: str | None = getattr(args, "continue_from", None) or getattr(args, "handle", None)
    if handle is not None:
        with suppress(RunapiError):  # why it cannot be gone on from is for the tool to say
            turns = (await run.asked(await run.find(handle))).call.turns
            parts = (part for turn in turns for part in turn.parts if isinstance(part, Text | Inline))
            files = [part.file.uri for part in parts if part.file and part.file.uri]
            named = _find_named(files, links=False)
            run.settings = replace(run.settings, allow_dirs=(*run.settings.allow_dirs, *named))


async def _tell_nobody(_seconds: float, _line: str) -> None:
    """Tell nobody: the screen looks for itself."""


def _make_room(settings: Settings, files: Sequence[str]) -> Settings:
    """Return settings for a person: one page however long, and the folders of the files they named."""
    named = _find_named(files, links=True)
    return replace(settings, max_result_chars=_PAGE, allow_dirs=(*settings.allow_dirs, *named))


def _find_named(files: Sequence[str], *, links: bool) -> Iterator[str]:
    """Yield what was named, and nothing beside it; of a pattern the folder that it starts from.

    With `links`, that is what they lead to now; but whoever names a link that does not look like it has not
    named a secret (NousResearch/hermes-agent#55367).
    """
    everywhere = Reach((Path("/"),))
    for file in files:
        if "://" in file or file.startswith(("data:", "git:")):
            continue
        # Without a working directory, or somebody of that name, reading the file fails and says why.
        with suppress(OSError, RuntimeError, InputError):
            path = everywhere.find(file)
            start = split_pattern(str(path))[0] if not path.exists() and is_pattern(file) else str(path)
            (resolved,) = resolve_folders([start])
            if links and (is_secret(Path(start).absolute()) or not is_secret(Path(resolved))):
                start = resolved
            yield start


def _judge_ending(reply: Reply) -> Ending:
    if reply.is_error:
        return "refused" if isinstance(reply.error, InputError | SettingsError) else "failed"
    return "complete" if reply.receipt is None or reply.receipt.complete else "partial"


_ENDS: Final = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGHUP"))
"""What ends a process without a Ctrl-C: somebody else does, or its terminal was closed."""


class _Interrupts:
    """Ctrl-C and the like: the first ends the generation and keeps its text, the next one ends everything."""

    def __init__(self) -> None:
        self.count = 0
        self.last: signal.Signals | None = None

    @asynccontextmanager
    async def heed(self, watch: Watch) -> AsyncIterator[None]:
        """Heed them for as long as the block lasts."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._heed_each, watch, tasks.cancel_scope)
            yield
            tasks.cancel_scope.cancel()

    async def _heed_each(
        self,
        watch: Watch,
        everything: anyio.CancelScope,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        # Under nohup a closed terminal is to be ignored.
        ends = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]
        with signals_received(signal.SIGINT, *ends) as signals:
            task_status.started()
            async for self.last in signals:
                self.count += 1
                followed = watch()
                # What another process runs of the same question is not this terminal's to end.
                if self.count > 1 or followed is None or isinstance(followed, Replica):
                    everything.cancel()
                else:
                    followed.cancel()  # not stop(): the next one must be heard while it ends


@asynccontextmanager
async def _keep_shown(watch: Watch, show: Show) -> AsyncIterator[None]:
    """Show what is followed for as long as the block lasts."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(show, watch)
        yield
        tasks.cancel_scope.cancel()

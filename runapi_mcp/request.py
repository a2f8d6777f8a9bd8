"""Follows a generation for one request: reports progress, and leaves when the hold window is over."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import TypeAlias

import anyio
from pydantic import SecretStr

from runapi_mcp.errors import ConsentNeeded
from runapi_mcp.generations.policy import PLAIN, Policy
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.spending import KEEP_DAYS, Row
from runapi_mcp.generations.store import Followable
from runapi_mcp.generations.values import Job, View
from runapi_mcp.host_limits import Learned, hold_seconds, page_chars, task_seconds
from runapi_mcp.key import OwnKey
from runapi_mcp.progress import HEARTBEAT, PATIENT, Cadence, progress_line
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.model_list import Listing, Standing

Report: TypeAlias = Callable[[float, str], Awaitable[None]]
"""Sends one progress notification: seconds since the call began, and a line."""

Roots: TypeAlias = Callable[[], Awaitable[tuple[str, ...]]]
"""Asks the host for the folders it declares as its roots."""


Consent: TypeAlias = Callable[[str], Awaitable[bool | None]]
"""Asks the person at the host whether they allow something; `None` where the host is to, and calls again."""


async def _no_roots() -> tuple[str, ...]:
    """Know of no host to ask."""
    return ()


async def _granted(_question: str) -> bool:
    """Know of nobody to ask."""
    return True


_GLANCE: float = 0.5
"""Seconds between looks at a generation that is not changing its phase."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking.

    Attributes:
        host: The host's `clientInfo.name`, if it said.
        wants_progress: Whether it sent a progress token with this request.
        owner: The principal that generations are bound to.
        key: The RunAPI key to use; `None` means the server's own.
        declares_tasks: Whether a call of its may become a task.
        sees_all: Whether it may see what everybody used.
    """

    host: str | None = None
    wants_progress: bool = False
    owner: str = "local"
    key: SecretStr | None = None
    declares_tasks: bool = False
    sees_all: bool = False


class Run:
    """One request's way to generations: what a tool gets beside its arguments."""

    def __init__(
        self,
        settings: Settings,
        upstream: Upstream,
        generations: Generations,
        caller: Caller,
        report: Report,
        *,
        roots: Roots = _no_roots,
        consent: Consent = _granted,
        own_key: OwnKey | None = None,
        learned: Learned | None = None,
        clock: Callable[[], float] = anyio.current_time,
        zone: tzinfo | None = None,
    ) -> None:
        self.settings = settings
        self._zone = zone
        self.remark = ""
        """What must be said of how the arguments were taken; it stays with a generation that goes on."""
        self._upstream = upstream
        self._generations = generations
        self._caller = caller
        self._report = report
        self._roots = roots
        self._consent = consent
        self._own_key = own_key
        self._learned = learned
        self._clock = clock
        self._began = clock()
        self._cadence = Cadence()
        self._told: tuple[str, int, int] | None = None
        self._followed: Followable | None = None

    @property
    def owner(self) -> str:
        """The principal that generations are bound to."""
        return self._caller.owner

    @property
    def page_chars(self) -> int:
        """How many characters of text this host takes in one result."""
        return page_chars(self.settings.max_result_chars, self._caller.host)

    async def reading(self) -> Settings:
        """Return the settings by which local files are read: over stdio the host's roots count too."""
        if not self.settings.working_dir_files:
            return self.settings
        return replace(self.settings, allow_dirs=(*self.settings.allow_dirs, *await self._roots()))

    async def begin(self, line: str) -> None:
        """Report the first line of progress, before anything else is done."""
        self._told = (line, 0, 0)
        await self._say(line)

    async def models(self) -> Listing:
        """Return RunAPI's live list of models; see :meth:`Upstream.models`."""
        key = await self._key(self._hold(None))
        return await self._upstream.models(key=key, own=self._caller.key is None)

    async def standing(self) -> Standing:
        """Return what this process knows of the models that the caller's key may use."""
        return self._upstream.standing(await self._key(self._hold(None)))

    def now(self) -> datetime:
        """Return the time; over stdio, the machine's."""
        now = self._upstream.today()
        return now.astimezone(self._zone) if self.settings.working_dir_files else now.astimezone(UTC)

    async def generate(
        self, job: Job, *, policy: Policy = PLAIN, wait: float | None = None, fresh: bool = False
    ) -> tuple[View, bool]:
        """Have `job` generated, and return it as it stands at its end or the hold window's.

        A generation of the same job whose complete answer was never delivered is joined instead,
        unless `fresh`; the second value says so. `wait` sets the hold window, in seconds.

        Raises:
            KeyMissing: There is no key to use, or the keyring did not give it in time.
            ConsentNeeded: The person at the host does not allow what it may cost, or is to be asked.
            BusyError: This server has no room.
        """
        with self._watch(job, fresh=fresh) as gave_up:
            until = self._clock() + self._hold(None if gave_up else wait)
            key = await self._key(self._seconds_left(until))
            await self._need_consent(job)
            generation, joined = await self._generations.begin(
                job, key=key, patience=self._seconds_left(until), policy=policy, fresh=fresh
            )
            view = await self._follow(generation, until)
        if self._learned is not None and view.status == "running":
            self._learned.give(view.handle, self._clock() - self._began)
        return view, joined

    async def find(self, handle: str, part: range | None = None) -> Followable:
        """Return the caller's generation behind a handle; see :meth:`MemoryStore.find`.

        Raises:
            HandleError: There is none that the caller may see.
        """
        if self._learned is not None:
            self._learned.take(handle)
        return await self._generations.find(handle, self.owner, part)

    async def asked(self, generation: Followable) -> Job:
        """Return the job of a generation with as much of its question as is kept anywhere."""
        return await self._generations.asked(generation)

    async def left_today(self) -> str:
        """Return what the day leaves the caller, in a sentence; "" where there is no limit."""
        return await self._generations.limits.left(self.owner)

    async def used(self) -> list[Row]:
        """Return what the caller used, by day and model, for as long as that is kept."""
        return await self._generations.used(KEEP_DAYS, self.owner)

    async def used_by_all(self) -> list[Row] | None:
        """Return what everybody used, by day, caller and model; `None` where the caller may not see it."""
        return await self._generations.used(KEEP_DAYS) if self._caller.sees_all else None

    async def follow(self, generation: Followable, *, wait: float | None = None) -> View:
        """Follow a generation to its end or the hold window's."""
        return await self._follow(generation, self._clock() + self._hold(wait))

    async def note_delivery(self, *, to_the_end: bool) -> None:
        """Note that the caller is given what was followed: to its end, or a page that has the handle."""
        generation = self._followed
        if generation is None or generation.status == "running" or generation.delivered:
            return
        if to_the_end:
            await generation.deliver()

    async def _key(self, seconds: float) -> SecretStr:
        """Return the caller's key, or the server's, which may take up to `seconds` to be found."""
        key = self.settings.key if self._caller.key is None else self._caller.key
        if key is None and self._own_key is not None and self.settings.key_is_in_keyring:
            key = await self._own_key.find(seconds, self._say)
        return self.settings.need_key() if key is None else key

    async def _need_consent(self, job: Job) -> None:
        """Have the person at the host asked, where a call may cost more than the settings let pass.

        Raises:
            ConsentNeeded: They did not allow it while the host waits, or are to be asked by the host.
        """
        most = self.settings.ask_above_cost
        worst = self._generations.limits.worst_cost(job) if most else None
        if worst is None or worst[0] <= most:
            return
        what = f"This call of {job.call.model} may cost up to {worst[0]:,.4f} {worst[1]}"
        question = f"{what}. Make it?"
        allowed: bool | None = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._say_again, f"waiting for consent: {what[0].lower()}{what[1:]}")
            with anyio.move_on_after(self._hold(None)) as waited:
                allowed = await self._consent(question)
            tasks.cancel_scope.cancel()
        if allowed is None:
            raise ConsentNeeded(f"{what}.", question=question)
        if not allowed:
            why = "nobody answered" if waited.cancelled_caught else "the person at the host did not allow it"
            raise ConsentNeeded(f"{what}: {why}, so nothing was sent.")

    async def _say_again(self, line: str) -> None:
        """Report a line as often as a silent call is to be heard of."""
        while True:
            await self._say(line)
            await anyio.sleep(HEARTBEAT)

    def _watch(self, job: Job, *, fresh: bool) -> AbstractContextManager[bool]:
        """Watch whether this client gives up, where that must be learned; the value says that it just did."""
        if self._learned is None or fresh or self._caller.wants_progress:
            return nullcontext(enter_result=False)
        return self._learned.ask(job.same_as, self._clock)

    def _hold(self, wait: float | None) -> float:
        if wait is not None:
            return wait
        setting, caller = self.settings.hold, self._caller
        seconds = hold_seconds(setting, caller.host, wants_progress=caller.wants_progress)
        if caller.declares_tasks:
            seconds = min(seconds, task_seconds(self.settings.task_after, caller.host))
        if setting == "auto" and self._learned is not None and self._learned.hold is not None:
            seconds = min(seconds, self._learned.hold)
        return seconds

    def _seconds_left(self, until: float) -> float:
        return max(until - self._clock(), 0.0)

    async def _follow(self, generation: Followable, until: float) -> View:
        self._followed = generation
        async with generation.follow():
            while generation.status == "running" and (left := until - self._clock()) > 0:
                if pause := await self._tell(generation):
                    with anyio.move_on_after(min(pause, left)):
                        await generation.changed()
            # Whatever its result is, it names the handle: it is owed until all of it was given.
            await self._generations.hand_over(generation)
        return generation.view()

    async def _tell(self, generation: Followable) -> float:
        """Report if it is time; return the seconds until the next look."""
        if not self._caller.wants_progress:
            return 3600.0
        evidence = generation.evidence()
        news = (evidence.phase, evidence.characters, evidence.ahead)
        now = self._clock() - self._began
        due = self._cadence.due(now, news=news != self._told, pressing=evidence.phase not in PATIENT)
        if due > 0:
            return min(due, _GLANCE)
        self._told = news
        await self._say(progress_line(evidence))
        # What changed while the line was written wakes nobody any more: an ended call would wait a second.
        if generation.status != "running" or generation.evidence().phase != evidence.phase:
            return 0.0
        # When the pace allows the next line: where many calls are followed, each look that is in vain tells.
        return self._cadence.due(self._clock() - self._began, news=True, pressing=True) or _GLANCE

    async def _say(self, line: str) -> None:
        if self._caller.wants_progress:
            await self._report(self._cadence.spoke(self._clock() - self._began), line)

"""Which model a generation asks: the first of those it may ask that is not known to be gone.

Where RunAPI refuses that one before anything of an answer came, the next that its free live list has is
asked. That is for models that this server chose: one that the caller named, or a setting, is never left
for another, and its refusal says what would do instead.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Final, TypeAlias

from pydantic import SecretStr

from runapi_mcp.errors import ModelRefused, ModelRetired, NotFound, UpstreamError
from runapi_mcp.generations.values import Job
from runapi_mcp.models import AUTO, choose_dialect, find, has_ended, likely_meant, others_than
from runapi_mcp.printable import one_line
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.model_list import Listing
from runapi_mcp.wire.types import Call, DialectName

OfTheModel: TypeAlias = NotFound | ModelRefused
"""A refusal that another model may not meet; nothing was billed."""

_MOST_NAMED: Final = 2
_MOST_UNKNOWN: Final = 5
_NAME_CHARS: Final = 80
_STATIC: Final = "RunAPI's list of models could not be had: this goes by the built-in table."


class Choice:
    """The model of one generation, and why it is that one.

    Args:
        job: What was asked, of the model that comes first; see :attr:`Job.others`.
        upstream: RunAPI.
        key: Whose key pays.
        trace: Counts what looking for a model adds to the call.

    Attributes:
        model: The model that is asked.
        notices: What must be said of the choice, and whatever else of the job.
    """

    def __init__(self, job: Job, upstream: Upstream, key: SecretStr, trace: Trace) -> None:
        self.model = job.call.model
        self.notices = job.notices
        self._job = job
        self._upstream = upstream
        self._key = key
        self._trace = trace
        self._standing = upstream.standing(key)
        self._asked_before = self._standing.asked
        self._tried: list[str] = []
        effort = job.call.effort
        self._want = (*job.needs, *([f"effort {effort}"] if effort else []))

    @property
    def dialect(self) -> DialectName:
        """The dialect in which the model is asked."""
        job = self._job
        if self.model == job.call.model:
            return job.dialect
        return choose_dialect(self.model, job.needs, job.dialect)

    def call(self, call: Call) -> Call:
        """Return a call of the job's as one of the model that is asked."""
        return call if call.model == self.model else replace(call, model=self.model)

    async def begin(self) -> None:
        """Choose the model to ask first. No request is made for that, but where the model's day has passed.

        Then the free list is asked, once: what RunAPI does with an id that its vendor has ended nobody has
        said, so what it still lists is used.
        """
        if not self._job.wish:
            return
        today, standing = self._upstream.today().date(), self._standing
        first = next(self._open(), self.model)
        listed = standing.listed_on is not None and has_ended(first, standing.listed_on)
        if has_ended(first, today) and not listed and standing.asked_on != today:
            await self._ask_list()
        offered = (model for model in self._open() if standing.offers(model, self._job.wish, today))
        self._take(next(offered, first), today)

    async def turn_from(self, refused: OfTheModel) -> None:
        """Choose another model than the one that RunAPI has just refused.

        Raises:
            NotFound, ModelRefused: There is none that may be asked now; it says whose choice this one was,
                and what would do. Or it is the route that RunAPI lacks, which it lacks for every model.
        """
        if isinstance(refused, NotFound) and refused.lacking == "route":
            raise refused
        self._tried.append(self.model)
        if not self._asked and self._trace.detours_left > bool(self._job.others):  # room for the next as well
            await self._ask_list()
        listing = self._listing
        if not isinstance(refused, NotFound) or refused.lacking == "model" or listing is not None:
            # A 404 that says nothing, where there is no list either, may be the path's.
            self._standing.note_refusal(self.model, self._want, refused)
        following = next((m for m in self._open() if listing is None or listing.has(m)), "")
        if not following or not self._trace.detours_left:
            raise self.explain(refused, following)
        self._trace.detours += 1
        self._take(following, self._upstream.today().date())

    def note_answer(self) -> None:
        """Note that the model answers."""
        self._standing.note_answer(self.model, self._want)

    def explain(self, refused: OfTheModel, following: str = "") -> OfTheModel:
        """Return a refusal that says whose choice the model was, and what to do.

        `following` is the model that a next call would be answered by.
        """
        name = one_line(self.model, _NAME_CHARS)
        error = type(refused)(
            f"{refused.what} The model was {name}, {self._whose}.",
            advice=" ".join(self._advice(refused, following)),
            status=refused.status,
            request_id=refused.request_id,
            retry_after=refused.retry_after,
            hopeless=refused.hopeless,
        )
        error.following = following
        if isinstance(error, NotFound) and isinstance(refused, NotFound):
            error.lacking = refused.lacking
        return error

    # ------------------------------------------------------------ which

    def _open(self) -> Iterator[str]:
        """Yield the models that may be asked, but for those that were refused."""
        for model in (self._job.call.model, *self._job.others):
            if model not in self._tried and not self._standing.refuses(model, self._want):
                yield model

    @property
    def _listing(self) -> Listing | None:
        """The live list, if it could be had for this generation."""
        return self._standing.listing if self._asked else None

    @property
    def _asked(self) -> bool:
        return self._standing.asked > self._asked_before

    async def _ask_list(self) -> None:
        self._trace.detours += 1
        with suppress(UpstreamError):
            await self._upstream.listing(key=self._key)

    def _take(self, model: str, today: date) -> None:
        """Take a model, and write down what must be said of that."""
        job, row = self._job, find(model)
        self.model = model
        said = []
        if model != job.call.model:
            said.append(f"Answered by {model}: {self._why_not(job.call.model)}.")
            if job.call.temperature is not None and row is not None and not row.temperature:
                said.append(f"{model} ignores temperature.")
        elif job.wish != AUTO:
            said.append(f"Answered by {model}, the {job.wish} that can do this.")
        if row is not None and has_ended(model, today):
            said.append(f"The day on which {model} ends was {row.ends}: another may answer in its name.")
        if self._asked and self._standing.listing is None:
            said.append(_STATIC)
        self.notices = tuple(dict.fromkeys((*said, *job.notices)))

    def _why_not(self, first: str) -> str:
        whose = "this server's default" if self._job.wish == AUTO else f"the {self._job.wish}"
        if first in self._standing.gone:
            return f"RunAPI does not serve {first}, {whose}, any more"
        if self._standing.refuses(first, self._want):
            return f"RunAPI refuses {first}, {whose}, what this call needs"
        if first in self._tried:
            return f"RunAPI did not find {first}, {whose}"
        return f"the day on which {first}, {whose}, ends has passed, and RunAPI does not list it"

    # ------------------------------------------------------------ what to do

    @property
    def _named(self) -> bool:
        return bool(self._job.arguments.get("model"))

    @property
    def _goes_on(self) -> bool:
        """Whether the model is the one of an earlier turn, whoever chose it then."""
        return bool(self._job.arguments.get("continue_from")) and not self._named

    @property
    def _whose(self) -> str:
        job = self._job
        if self._named:
            return f"the {job.wish} that can do this" if job.wish else "as the call named it"
        if self._goes_on:
            return "which answered before"
        return f"this server's default for {job.tool}: the call named none"

    def _advice(self, refused: OfTheModel, following: str) -> Iterator[str]:
        """Yield what to do, a sentence each."""
        listing, row, others = self._listing, find(self.model), self._others()
        if following:
            yield f"Call again: {following} is next; name it where each call starts this server anew."
            if isinstance(refused, NotFound) and not refused.lacking and listing is None:
                yield refused.advice
            return
        if listing is not None and not listing.has(self.model):
            meant = likely_meant(self.model, (*listing.ids, *listing.others)) if row is None else ""
            if meant:
                yield f"Did you mean {meant}?"
        if row is not None and row.successor and isinstance(refused, NotFound | ModelRetired):
            listed = listing is None or listing.has(row.successor)
            yield f"Its successor is {row.successor}{'' if listed else ', which RunAPI does not list'}."
        setting = "RUNAPI_MCP_SEARCH_MODEL" if "search" in self._job.needs else "RUNAPI_MCP_MODEL"
        if others:
            such = f"Name another model, such as {' or '.join(others[:_MOST_NAMED])}"
            rest = "leave model out" if self._named else f"set {setting}={others[0]}"
            yield f"{such}." if self._goes_on else f"{such}, or {rest}."
        else:
            yield "Name another model; this server knows none that can do all that was asked for."
            unknown = [model for model in listing.ids if find(model) is None] if listing else []
            if unknown:
                yield (
                    f"RunAPI lists {', '.join(unknown[:_MOST_UNKNOWN])}, whose abilities are not known here: "
                    f"name one, or set {setting}."
                )
        if listing is None and self._asked:
            yield _STATIC
        elif isinstance(refused, NotFound):
            yield refused.advice

    def _others(self) -> tuple[str, ...]:
        """Return other models that can do all that is wanted, those that are listed if there is a list."""
        able = others_than(self.model, self._job.needs, self._job.call.effort)
        listing = self._listing
        return tuple(
            model
            for model in able
            if model not in self._tried
            and not self._standing.refuses(model, self._want)
            and (listing is None or listing.has(model))
        )

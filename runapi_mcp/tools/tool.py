"""What a tool is: a value that names it, describes it, and turns arguments into a reply."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from runapi_mcp.beside import beside
from runapi_mcp.errors import InputError, RunapiError
from runapi_mcp.files import is_binary, reattach
from runapi_mcp.generations.policy import PLAIN, Plain, Policy
from runapi_mcp.generations.values import Job, Receipt, View
from runapi_mcp.logs import shorten
from runapi_mcp.models import (
    AUTO,
    WISHES,
    Ability,
    Effort,
    can,
    candidates,
    check_effort,
    choose_dialect,
    find,
)
from runapi_mcp.request import Run
from runapi_mcp.tools.coercion import Args
from runapi_mcp.wire.grounding import is_redirect
from runapi_mcp.wire.types import Answer, Call, DialectName, FunctionCall, JsonObject, Part, Text, Turn

A = TypeVar("A", bound=Args)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a long text to give: at most `limit` characters, from `offset`."""

    limit: int
    offset: int = 0
    joined: bool = False
    """Whether the call was joined to a generation that ran already."""
    evidence: bool = False
    """Whether it is to be of the evidence alone."""

    @property
    def characters(self) -> range:
        """The characters that it may have."""
        return range(self.offset, self.offset + self.limit)


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool's result before it becomes MCP: text, facts for those who read facts, a receipt."""

    body: str
    """What it gives. Strangers wrote it, unless it is nothing but an error's words."""
    structured: JsonObject | None = None
    is_error: bool = False
    receipt: Receipt | None = None
    handle: str | None = None
    more: bool = False
    """Whether this is a page of a longer text, with more to come after it."""
    code: str = ""
    """The stable code of an error of ours, for programs."""
    answer: str = ""
    """What it has to give, alone and whole: for those who say the rest in words of their own."""
    notes: tuple[str, ...] = ()
    """What must be said beside that, but for what is said of the generation and its handle."""
    meta: JsonObject = field(default_factory=dict)
    """Facts for programs alone, which models do not see, by their keys in `_meta`."""
    error: RunapiError | None = None
    """Why it has less to give than was asked for, if an error of ours is why."""
    listed: str = ""
    """What this server lists beside it, under a line that says what: sources, violations."""
    said: tuple[str, ...] = ()
    """All that must be said beside it, a sentence or two each."""
    onward: str = ""
    """How to ask on from it, in a line of its own."""

    @property
    def own(self) -> str:
        """This server's own words: what it lists, then one line in brackets of what must be said.

        Whoever writes the body can write such lines too. These hold the handle or its start, which the
        upstream never sees: so they can be told apart even where a host joins all text to one.
        """
        line = f"[{' '.join(sentence.replace(chr(10), ' ') for sentence in self.said)}]" if self.said else ""
        mark = f" ({shorten(self.handle)})" if self.handle and self.handle not in line else ""
        if line:
            return "\n\n".join(block for block in (self.listed, f"{line[:-1]}{mark}]") if block)
        title, end, lines = self.listed.partition("\n")
        return f"{title.removesuffix(':')}{mark}{':' * title.endswith(':')}{end}{lines}" if title else ""

    @property
    def blocks(self) -> tuple[str, ...]:
        """Its text: the body, and last this server's own words; either may be missing, not both."""
        own = "\n".join(line for line in (self.own, self.onward) if line)
        return tuple(block for block in (self.body, own) if block) or ("",)

    @property
    def text(self) -> str:
        """All of its text, but for how to ask on."""
        return "\n\n".join(block for block in (self.body, self.own) if block)

    def say(self, sentence: str) -> "Reply":
        """Return it with one more sentence that must be said, in each half that it has; an error says all."""
        if not sentence or self.is_error:
            return self
        facts = self.structured
        if facts is not None:
            notes = facts.get("notes")
            facts = facts | {"notes": [*(notes if isinstance(notes, list) else []), sentence]}
        return replace(self, said=(*self.said, sentence), structured=facts, notes=(*self.notes, sentence))

    @property
    def running(self) -> bool:
        """Whether it stands for a generation that goes on, behind `handle`."""
        return self.receipt is not None and self.receipt.status == "running"


class Searching(Plain):
    """The policy of a search: one call, and then where Google's links lead."""

    def links(self, answer: Answer) -> tuple[str, ...]:
        """Return the links of sources that say nothing of where they lead."""
        return tuple(source.url for source in answer.grounding.sources if is_redirect(source.url))


SEARCHING: Final = Searching()


def _plain(_job: Job) -> Policy:
    return PLAIN


@dataclass(frozen=True)
class Tool(Generic[A]):
    """One tool.

    Attributes:
        name: What hosts and models call it.
        title: What people see.
        description: When to use it, when not, and what comes back.
        args: The model of its arguments.
        perform: Carries it out.
        render: Makes the reply of a generation that this tool started, now or later; `None` for a
            tool that starts none.
        apart: Whether a page of its reply needs no more of the text than stands on it.
        policy: Gives the policy of a job of this tool, wherever the job comes from.
        output: JSON Schema of the structured half of its result, if it has one.
        idempotent: Whether calling it twice changes nothing and costs nothing.
        opening: Its first line of progress, reported before anything is done.
        use: What the server's introduction says of it: what it is for and when to choose it.
        example: Arguments that are right, by which tests and pages call it.
        read_only: Whether it changes nothing anywhere.
        hint: Words by which a host that hides tools finds it, beside its name.
    """

    name: str
    title: str
    description: str
    args: type[A]
    perform: Callable[[A, Run], Awaitable[Reply]]
    render: Callable[[View, Page], Reply] | None = None
    apart: Callable[[View], bool] = lambda _view: False
    policy: Callable[[Job], Policy] = _plain
    output: JsonObject | None = None
    idempotent: bool = False
    opening: str = "connecting"
    use: str = ""
    example: JsonObject = field(default_factory=dict)
    read_only: bool = True
    hint: str = ""


_MOST_HERE: Final = 4_000
"""Characters of an answer whose reply is made on the event loop: 40 ms at worst, of nothing but line ends."""


async def make_reply(render: Callable[[View, Page], Reply], view: View, page: Page) -> Reply:
    """Return the reply of a generation; of a long one beside the event loop, where others are answered."""
    written = sum(map(len, (view.answer.text, view.answer.thoughts, *view.earlier)))
    if written <= _MOST_HERE:
        return render(view, page)
    return await beside(render, view, page)


_CONTROL = {"wait_seconds", "fresh", "max_cost"}
_WRITTEN: Final = frozenset({"structured", "functions"})
"""Abilities whose schemas are written for one dialect, before the call is made."""
_QUESTION = ("prompt", "system", "messages", "files", "query", "text", "instructions")
"""Arguments, of whichever tool, that are for the model alone."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model that a call begins with, and how it came to be that one; see :class:`Job`."""

    model: str
    wish: str = ""
    others: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def choose_model(
    asked: str | None,
    setting: str,
    defaults: Sequence[str],
    needs: Iterable[Ability],
    effort: Effort | None = None,
) -> Chosen:
    """Return the model of a call.

    One that was named is used. A wish stands for the first that can do what is needed, and auto for the
    first such of `defaults`; the others may be asked in its place. A setting names one too, but where it
    lacks something that the call needs, the first that has it all is used.
    """
    needs, name = tuple(needs), asked or setting
    first, *others = candidates(name, defaults, needs, effort)
    if name in (AUTO, *WISHES):
        return Chosen(first, name, tuple(others))
    row = find(name)
    if asked or row is None or all(row.able(need) for need in needs):
        return Chosen(name)
    able = candidates(AUTO, defaults, needs, effort)
    if not can(able[0], needs):
        return Chosen(name)
    said = f"Answered by {able[0]}: the default model, {name}, cannot do this."
    return Chosen(able[0], notices=(said,))


def job_for(
    tool: str,
    args: Args,
    call: Call,
    run: Run,
    chosen: Chosen,
    *,
    needs: Iterable[Ability] = (),
    notices: tuple[str, ...] = (),
    prefer: DialectName | None = None,
) -> Job:
    """Return the job for a call, on a dialect that can carry it; on `prefer`, if given, rather than another.

    Raises:
        InputError: The model lacks something the call needs, or does not take its effort.
    """
    if call.effort:
        check_effort(call.model, call.effort)
    needs = tuple(needs)
    dialect = choose_dialect(call.model, needs, prefer or run.settings.dialect)
    arguments: JsonObject = args.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_CONTROL)
    others = chosen.others
    if _WRITTEN.intersection(needs):
        others = tuple(model for model in others if choose_dialect(model, needs, dialect) == dialect)
    if run.remark:
        notices = (*notices, run.remark)
    max_cost: float | None = getattr(args, "max_cost", None)
    return Job(
        tool,
        arguments,
        call,
        dialect,
        run.owner,
        chosen.notices + notices,
        question=_QUESTION,
        max_cost=max_cost,
        wish=chosen.wish,
        others=others,
        needs=needs,
    )


# ---------------------------------------------------------------- going on from an earlier answer


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a conversation goes on from.

    Attributes:
        job: What was asked last, with the contents of its files.
        turns: All that was said, the last answer included.
        given: Files that came anew, without those that stand for a missing one.
        notices: What must be said of its files.
    """

    job: Job
    turns: tuple[Turn, ...]
    given: tuple[Part, ...]
    notices: tuple[str, ...]

    @property
    def call(self) -> Call:
        """What was asked of the model last."""
        return self.job.call

    @property
    def calls_functions(self) -> bool:
        """Whether the last answer waits for what comes of functions."""
        return any(isinstance(part, FunctionCall) for part in self.turns[-1].parts)

    @property
    def needs(self) -> list[Ability]:
        """What a model must be able to do to go on."""
        parts = [part for turn in self.turns for part in turn.parts]
        needs: list[Ability] = ["files"] if any(is_binary(part) for part in parts) else []
        needs += ["search"] if self.call.search else []
        return [*needs, "functions"] if self.call.functions else needs

    def choose(
        self,
        asked: str | None,
        setting: str,
        defaults: Sequence[str],
        needs: Iterable[Ability],
        effort: Effort | None,
    ) -> Chosen:
        """Return the model to go on with: the one that answered, unless one is named now.

        One that nobody named, and that lacks what is needed from now on, gives way to another.
        """
        needs, last = tuple(needs), self.call.model
        if asked:
            return choose_model(asked, setting, defaults, needs, effort)
        others = tuple(model for model in self.job.others if model != last and can(model, needs, effort))
        if not others or can(last, needs, effort):
            return Chosen(last, self.job.wish, others)
        said = f"Answered by {others[0]}: {last}, which answered before, cannot do this."
        return Chosen(others[0], self.job.wish, others[1:], (said,))


async def look_back(handle: str, given: Sequence[Part], run: Run) -> Earlier:
    """Return what to go on from.

    Raises:
        HandleError: There is no such generation that the caller may see.
        InputError: It still runs, came to nothing, or what was asked is not kept; what to do instead.
    """
    generation = await run.find(handle)
    view = generation.view()
    if view.status == "running":
        raise InputError(
            "continue_from: that answer is still being written.",
            advice=f'Wait for it with get_result and handle "{handle}".',
        )
    answer, job, receipt = view.answer, await run.asked(generation), view.receipt
    offered = answer.function_calls if job.call.functions else ()
    if not answer.text and not offered:
        raise InputError("continue_from: there is no answer to go on from.", advice="Ask the question again.")
    asked = job.call.turns[:-2] if job.begin else job.call.turns
    if not asked:
        raise InputError(
            "continue_from: its question was too long to be kept.", advice="Ask anew, with all context."
        )
    turns, rest, notices = await reattach(asked, given, await run.reading())
    # It is that of one stream's text, and not of several rounds'.
    signature = "" if job.begin or view.earlier else answer.signature
    said: tuple[Part, ...] = (Text(answer.text, signature=signature),) if answer.text else ()
    # It was written down before the model that it names gave way to another.
    model = receipt.model_asked or job.call.model
    job = replace(job, call=replace(job.call, model=model), dialect=receipt.dialect)
    return Earlier(job, (*turns, Turn("model", (*said, *offered))), rest, notices)


def go_on(earlier: Earlier, last: Turn, **anew: Any) -> Call:  # noqa: ANN401  # the fields of a Call, by name
    """Return the call of the next turn: as the last one was, but for what is given anew."""
    call = replace(earlier.call, turns=(*earlier.turns, last), schema=None, **anew)
    return call if call.model == earlier.call.model else call.unsigned()

"""Going on from an earlier answer by its handle: its turns, byte for byte, and what else holds on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, WithJsonSchema

from runapi_mcp.errors import InputError
from runapi_mcp.files import is_binary
from runapi_mcp.generations.values import Job
from runapi_mcp.models import Ability
from runapi_mcp.request import Run
from runapi_mcp.tools.coercion import Meant, read_word
from runapi_mcp.tools.tool import Chosen, choose_model
from runapi_mcp.wire.types import Call, FunctionCall, Part, Text, Turn

_MOST_CHARS: Final = 200
_MOST_AROUND: Final = 2_000
_HANDLES: Final = re.compile(r"\bg_[A-Za-z0-9_-]+")


def read_handle(handle: str) -> str:
    """Return a handle without what may stand around it: its resource's address, or words."""
    found = _HANDLES.findall(handle[:_MOST_AROUND])
    bare: str = found[0] if len({*found}) == 1 else handle.removeprefix("generation://")
    if not bare or len(bare) > _MOST_CHARS:
        raise ValueError("must be the handle that an earlier result gave, as it stands there")
    return bare


ContinueFrom: TypeAlias = Annotated[
    str,
    Meant(read_word),
    AfterValidator(read_handle),
    WithJsonSchema({"type": "string"}),
]


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

    def choose(self, asked: str | None, setting: str, defaults: Sequence[str]) -> Chosen:
        """Return the model to go on with: the one that answered, unless one is named now."""
        if asked:
            return choose_model(asked, setting, defaults, self.needs)
        return Chosen(self.call.model, self.job.wish, self.job.others)


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
    from runapi_mcp.files.attach import reattach

    answer, job = view.answer, await run.asked(generation)
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
    return Earlier(job, (*turns, Turn("model", (*said, *offered))), rest, notices)


def go_on(earlier: Earlier, last: Turn, **anew: Any) -> Call:  # noqa: ANN401  # the fields of a Call, by name
    """Return the call of the next turn: as the last one was, but for what is given anew."""
    call = replace(earlier.call, turns=(*earlier.turns, last), schema=None, **anew)
    return call if call.model == earlier.call.model else call.unsigned()

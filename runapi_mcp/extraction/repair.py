"""What one extraction wants: the schema that is sent, what follows a wrong answer, what came of it all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.material import read_material
from runapi_mcp.extraction.partial import Path, describe_progress, fields_of, hopeless, kinds_of
from runapi_mcp.extraction.verdict import Verdict, verdict_of
from runapi_mcp.extraction.worker import Checked, check_elsewhere
from runapi_mcp.generations.policy import Plain, Policy, find_loop, shorten_loops
from runapi_mcp.generations.values import Job
from runapi_mcp.wire.types import Answer, Call, JsonObject, Text, Turn

_SHOWN_BACK: Final = 400_000
"""Characters of a wrong answer that a repair shows to the model."""
_MOST_TOLD: Final = 40
_MOST_CHECKED: Final = 50
_MOST_MATERIAL: Final = 4_000_000
_NO_TEXT: Final = "the material is no text"


@dataclass(frozen=True)
class Extraction:
    """What one call of extract_json wants.

    Attributes:
        schema: The caller's schema, which judges.
        many: Whether a list of such values is wanted.
        max_repairs: How often a wrong answer may be sent back.
        evidence: Whether it is to be looked for where the values stand.
    """

    schema: JsonObject
    many: bool
    max_repairs: int
    evidence: bool = False

    async def prepare(self, job: Job) -> Job:
        """Return a job with the schema in its call, and what of it cannot be sent.

        Raises:
            InputError: It is no schema that answers can be judged by, or too intricate to be checked.
        """
        checked = await check_elsewhere({"schema": self._written, "dialect": job.dialect}, job.owner)
        if refused := _find_refusal(checked):
            raise refused
        if checked.why:
            raise InputError(
                f"schema: it could not be checked: {checked.why}.",
                advice="Make it smaller: fewer subschemas, references and regular expressions.",
            )
        made = checked.answers[-1]
        wire, left_out = cast("JsonObject", made["schema"]), cast("list[str]", made["checked_here"])
        call = replace(job.call, schema=_of_many(wire) if self.many else wire)
        return replace(job, call=call, checked_here=tuple(left_out[:_MOST_CHECKED]))

    async def judge(self, texts: Sequence[str], begin: str, owner: str) -> Verdict:
        """Return the verdict on the texts of all rounds, oldest first; `begin` is what the first continues.

        What takes too long is told as not checked.
        """
        about: JsonObject = {"texts": list(texts), "begin": begin, "many": self.many}
        checked = await check_elsewhere({"schema": self._written, **about}, owner)
        if refused := _find_refusal(checked):
            return Verdict("", unchecked=refused.what)
        verdict = verdict_of(checked.answers[-1]) if checked.answers else Verdict("")
        return replace(verdict, unchecked=checked.why)

    async def locate(self, verdict: Verdict, asked: Call, owner: str) -> Verdict:
        """Return a verdict with where its values stand in the material that was `asked` about."""
        if not self.evidence or not verdict.document or verdict.violations:
            return verdict
        material = read_material(asked)
        if not material.sources:
            return replace(verdict, evidence={"why": _NO_TEXT})
        if sum(len(source.text) for source in material.sources) > _MOST_MATERIAL:
            return replace(
                verdict, evidence={"why": f"the material has more than {_MOST_MATERIAL:,} characters"}
            )
        about: JsonObject = {"document": verdict.document, "sources": [list(one) for one in material.sources]}
        checked = await check_elsewhere({"schema": self._written, **about}, owner)
        if checked.why:
            return replace(verdict, evidence={"why": checked.why})
        return replace(verdict, evidence=checked.answers[-1] | {"others": material.others})

    @property
    def _written(self) -> str:
        try:
            return json.dumps(self.schema)
        except RecursionError:
            raise InputError("schema: nested too deeply.") from None

    def policy(self, job: Job) -> Policy:
        """Return the policy of a job that :meth:`prepare` returned."""
        return self.policy_of(job.call, job.owner)

    def policy_of(self, call: Call, owner: str) -> Policy:
        """Return the policy of a call with a schema as it is sent."""
        wire = call.schema or {}
        return _Policy(self, owner, call, () if self.many else fields_of(wire), kinds_of(wire))


@dataclass(frozen=True)
class _Policy(Plain):
    """Repairs of wrong answers, progress by fields, and an early end where no JSON can come of it."""

    extraction: Extraction
    owner: str
    call: Call
    fields: tuple[Path, ...]
    kinds: frozenset[str]

    async def judge(self, texts: Sequence[str], begin: str) -> JsonObject:
        """Return the verdict on the texts."""
        verdict = await self.extraction.judge(texts, begin, self.owner)
        return (await self.extraction.locate(verdict, self.call, self.owner)).kept()

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        """Return the same question with a wrong answer, and what is wrong with it."""
        cut = answer.finish is not None and answer.finish.reason not in ("stop", "unknown")
        if len(earlier) >= self.extraction.max_repairs or cut or not answer.text or not verdict:
            return None
        wrong = self._wrong(verdict_of(verdict))
        if not wrong:
            return None
        # A run of blanks sent to a model is answered with another.
        shown = shorten_loops(answer.text)[:_SHOWN_BACK]
        turns = (*self.call.turns, Turn("model", (Text(shown),)), Turn("user", (Text(wrong),)))
        return replace(self.call, turns=turns)

    def describe(self, text: str) -> str:
        """Return how many of the fields are there."""
        return describe_progress(text, self.fields)

    def hopeless(self, text: str) -> str:
        """Return why no JSON of the right kind can come of the text."""
        return hopeless(text, self.kinds) or find_loop(text)

    def is_whole(self, text: str) -> bool:
        """Whether the text holds JSON that is closed."""
        # What reads answers is loaded by the workers; here it is seldom needed.
        from runapi_mcp.extraction.find_json import is_closed

        return is_closed(text)

    def _wrong(self, found: Verdict) -> str:
        """Return what to tell the model of its answers; empty if nothing is known to be wrong."""
        if not self.extraction.many:
            return _tell(found.violations, "Answer again with the whole corrected JSON and nothing else.")
        if found.violations:
            return _tell(found.violations, "Answer again with the whole list as a JSON array.")
        lines = [f"item {place}: {line}" for place, wrong in found.rejected.items() for line in wrong]
        how = "Answer with a JSON array of these items alone, corrected, in this order."
        return _tell(lines[:_MOST_TOLD], how)


def _of_many(schema: JsonObject) -> JsonObject:
    """Return the schema of a list of what a schema describes."""
    item = {key: value for key, value in schema.items() if key != "$defs"}
    whole: JsonObject = {"type": "array", "items": item}
    return whole | {"$defs": schema["$defs"]} if "$defs" in schema else whole


def _find_refusal(checked: Checked) -> InputError | None:
    """Return what is wrong with the schema, if that is the answer."""
    last = checked.answers[-1] if checked.answers else {}
    return InputError(str(last["refused"]), advice=str(last["advice"])) if "refused" in last else None


def _tell(wrong: Sequence[str], how: str) -> str:
    if not wrong:
        return ""
    listed = "\n".join(f"- {line}" for line in wrong)
    return f"Your answer does not conform to the schema:\n{listed}\n{how}"

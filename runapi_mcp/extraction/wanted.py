"""What one extraction wants: the schema that is sent, what follows a wrong answer, what came of it all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.checking import Check
from runapi_mcp.extraction.exact import NotJson, parse
from runapi_mcp.extraction.partial import Path, described, fields_of, hopeless, kinds_of
from runapi_mcp.extraction.verdict import Verdict, verdict_of
from runapi_mcp.generations.loops import find_loop, shorten_loops
from runapi_mcp.generations.policy import Course, Plain
from runapi_mcp.generations.values import Job, View
from runapi_mcp.wire.schema import Rewritten, rewritten
from runapi_mcp.wire.types import Answer, Call, DialectName, JsonObject, Text, Turn

_SHOWN_BACK: Final = 400_000
"""Characters of a wrong answer that a repair shows to the model."""
_MOST_CHECKED: Final = 50


@dataclass(frozen=True)
class Extraction:
    """What one call of extract_json wants.

    Attributes:
        schema: The caller's schema, which judges.
        many: Whether a list of such values is wanted.
        max_repairs: How often a wrong answer may be sent back.
    """

    schema: JsonObject
    many: bool
    max_repairs: int

    @property
    def check(self) -> Check:
        """What answers are checked by."""
        return Check(self.schema, self.many)

    def on_wire(self, dialect: DialectName) -> Rewritten:
        """Return the schema to send.

        Raises:
            InputError: It is nested too deeply.
        """
        try:
            made = rewritten(self.schema, dialect)
        except RecursionError:
            raise InputError("schema: nested too deeply.") from None
        return made

    def verdict(self, view: View) -> Verdict:
        """Return what came of it so far, whatever the state the generation is in."""
        if view.verdict is not None:
            return verdict_of(view.verdict)
        texts = [*view.earlier, view.answer.text] if view.answer.text else [*view.earlier]
        return self.check.at_once(texts, view.job.begin)

    def asked(self, job: Job) -> Job:
        """Return a job with the schema in its call, and what of it cannot be sent."""
        return self._with(job, self.on_wire(job.dialect))

    async def prepared(self, job: Job) -> Job:
        """Return the same, with the schema checked first.

        Raises:
            InputError: It is no schema that answers can be judged by.
        """
        made = await self.check.rewritten(job.dialect)
        return self.asked(job) if made is None else self._with(job, made)

    def _with(self, job: Job, made: Rewritten) -> Job:
        call = replace(job.call, schema=_of_many(made.schema) if self.many else made.schema)
        return replace(job, call=call, checked_here=made.checked_here[:_MOST_CHECKED])

    def course(self, job: Job) -> Course:
        """Return the course of a job that :meth:`asked` returned."""
        wire = job.call.schema or {}
        return _Course(self, job.call, () if self.many else fields_of(wire), kinds_of(wire))


@dataclass(frozen=True)
class _Course(Plain):
    """Repairs of wrong answers, progress by fields, and an early end where no JSON can come of it."""

    extraction: Extraction
    call: Call
    fields: tuple[Path, ...]
    kinds: frozenset[str]

    async def judged(self, texts: Sequence[str], begin: str) -> JsonObject:
        """Return the verdict on the texts."""
        return (await self.extraction.check.verdict(texts, begin)).kept()

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        """Return the same question with a wrong answer, and what is wrong with it."""
        cut = answer.finish is not None and answer.finish.reason not in ("stop", "unknown")
        if len(earlier) >= self.extraction.max_repairs or cut or not answer.text:
            return None
        texts = [*earlier, answer.text]
        wrong = self._wrong(verdict_of(verdict) if verdict else self.extraction.check.at_once(texts, ""))
        if not wrong:
            return None
        shown = shorten_loops(answer.text)[:_SHOWN_BACK]
        turns = (*self.call.turns, Turn("model", (Text(shown),)), Turn("user", (Text(wrong),)))
        return replace(self.call, turns=turns)

    def describe(self, text: str) -> str:
        """Return how many of the fields are there."""
        return described(text, self.fields)

    def hopeless(self, text: str) -> str:
        """Return why no JSON of the right kind can come of the text."""
        return hopeless(text, self.kinds) or find_loop(text)

    def is_whole(self, text: str) -> bool:
        """Whether the text holds JSON that is closed."""
        try:
            parse(text)
        except NotJson:
            return False
        return True

    def _wrong(self, found: Verdict) -> str:
        """Return what to tell the model of its answers; empty if nothing is known to be wrong."""
        if not self.extraction.many:
            return _told(found.violations, "Answer again with the whole corrected JSON and nothing else.")
        if found.violations:
            return _told(found.violations, "Answer again with the whole list as a JSON array.")
        lines = [f"item {place}: {line}" for place, wrong in found.rejected.items() for line in wrong]
        how = "Answer with a JSON array of these items alone, corrected, in this order."
        return _told(lines[:40], how)


def _of_many(schema: JsonObject) -> JsonObject:
    """Return the schema of a list of what a schema describes."""
    item = {key: value for key, value in schema.items() if key != "$defs"}
    whole: JsonObject = {"type": "array", "items": item}
    return whole | {"$defs": schema["$defs"]} if "$defs" in schema else whole


def _told(wrong: Sequence[str], how: str) -> str:
    if not wrong:
        return ""
    listed = "\n".join(f"- {line}" for line in wrong)
    return f"Your answer does not conform to the schema:\n{listed}\n{how}"

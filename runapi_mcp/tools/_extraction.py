"""One extraction: what is asked of the model, what comes next after an answer, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from runapi_mcp.errors import InputError
from runapi_mcp.generations import Job, View
from runapi_mcp.tools._json import NotJson, items, parse
from runapi_mcp.tools._judge import Judge
from runapi_mcp.tools._partial import described, fields_of, hopeless, kinds_of, read_partial
from runapi_mcp.wire.schema import Rewritten, rewritten
from runapi_mcp.wire.types import Answer, Call, DialectName, JsonObject, JsonValue, Text, Turn

_SHOWN_BACK: Final = 400_000
"""Characters of a wrong answer that a repair shows to the model."""


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
    def judge(self) -> Judge:
        """What the value, or each item, is judged by."""
        return Judge(self.schema)

    def on_wire(self, dialect: DialectName) -> Rewritten:
        """Return the schema to send.

        Raises:
            InputError: It is nested too deeply.
        """
        try:
            made = rewritten(self.schema, dialect)
        except RecursionError:
            raise InputError("schema: nested too deeply.") from None
        if not self.many:
            return made
        item = {key: value for key, value in made.schema.items() if key != "$defs"}
        whole: JsonObject = {"type": "array", "items": item}
        if "$defs" in made.schema:
            whole["$defs"] = made.schema["$defs"]
        return replace(made, schema=whole)

    def prepared(self, job: Job) -> Job:
        """Return a job with the schema, the repairs, the progress and the early end of this extraction."""
        wire = self.on_wire(job.dialect).schema
        call = replace(job.call, schema=wire)
        fields = () if self.many else fields_of(wire)
        return replace(
            job,
            call=call,
            follow_up=_Repairs(self, call),
            describe=partial(described, fields=fields),
            hopeless=partial(hopeless, kinds=kinds_of(wire)),
        )


@dataclass(frozen=True)
class Outcome:
    """What came of an extraction.

    Attributes:
        value: What conforms: the value, or the items that do; of a wrong value, the part that does.
        violations: What is wrong, a line each.
        rejected: Of many, the items left out, by their place in the list, with what is wrong with each.
        closed: Whether a list was written to its end.
    """

    value: JsonValue
    violations: tuple[str, ...] = ()
    rejected: dict[int, list[str]] = field(default_factory=dict)
    closed: bool = True


def outcome(view: View, extraction: Extraction) -> Outcome:
    """Return what came of an extraction so far, whatever the state it is in."""
    texts = [*view.earlier, view.answer.text] if view.answer.text else [*view.earlier]
    if extraction.many:
        return _list_outcome(texts, view.job.begin, extraction.judge)
    return _outcome(texts[-1] if texts else "", view.job.begin, extraction.judge)


@dataclass(frozen=True)
class _Repairs:
    """The next call after a wrong answer: the same question, the answer, and what is wrong with it."""

    extraction: Extraction
    call: Call
    texts: list[str] = field(default_factory=list)

    def __call__(self, answer: Answer, rounds: int) -> Call | None:
        if rounds == 1:
            self.texts.clear()
        self.texts.append(answer.text)
        cut = answer.finish is not None and answer.finish.reason not in ("stop", "unknown")
        if rounds > self.extraction.max_repairs or cut or not answer.text:
            return None
        wrong = self._wrong()
        if not wrong:
            return None
        shown = answer.text[:_SHOWN_BACK]
        turns = (*self.call.turns, Turn("model", (Text(shown),)), Turn("user", (Text(wrong),)))
        return replace(self.call, turns=turns)

    def _wrong(self) -> str:
        """Return what to tell the model; empty if its answer is right."""
        judge = self.extraction.judge
        if not self.extraction.many:
            found = _outcome(self.texts[-1], "", judge)
            return _told(found.violations, "Answer again with the whole corrected JSON and nothing else.")
        listed = _list_outcome(self.texts, "", judge)
        if listed.violations:
            return _told(listed.violations, "Answer again with the whole list as a JSON array.")
        lines = [f"item {place}: {line}" for place, wrong in listed.rejected.items() for line in wrong]
        how = "Answer with a JSON array of these items alone, corrected, in this order."
        return _told(lines[:40], how)


def _told(wrong: Sequence[str], how: str) -> str:
    if not wrong:
        return ""
    listed = "\n".join(f"- {line}" for line in wrong)
    return f"Your answer does not conform to the schema:\n{listed}\n{how}"


def _outcome(text: str, begin: str, judge: Judge) -> Outcome:
    problem = NotJson("nothing was written")
    # A model asked to go on may have begun anew, instead of where it had stopped.
    anew = [text[len(begin) :]] if begin and text.startswith(begin) else []
    for candidate in (text, *anew):
        try:
            value = parse(candidate)
        except NotJson as error:
            problem = error
            continue
        wrong = judge.violations(value)
        return Outcome(judge.valid_part(value) if wrong else value, tuple(wrong))
    found = read_partial(text)
    part = None if found is None else judge.valid_part(found)
    return Outcome(part, (f"(root): not JSON: {problem}",))


def _list_outcome(texts: Sequence[str], begin: str, judge: Judge) -> Outcome:
    values: list[JsonValue] = []
    closed = False
    problem = "nothing was written"
    for text in texts:
        try:
            found, ended = _items(text, begin)
        except NotJson as error:
            problem = str(error)
            continue
        problem = ""
        wrong = [place for place, value in enumerate(values) if not judge.conforms(value)]
        if values and ended and len(found) == len(wrong) != len(values):
            for place, value in zip(wrong, found, strict=True):
                values[place] = value
        elif ended or len(found) >= len(values):
            values, closed = found, ended
    judged = ((place, judge.violations(value)) for place, value in enumerate(values))
    rejected = {place: lines for place, lines in judged if lines}
    good = [value for place, value in enumerate(values) if place not in rejected]
    said = (f"(root): not a JSON array: {problem}",) if problem and not values else ()
    return Outcome(good, said, rejected, closed)


def _items(text: str, begin: str) -> tuple[list[JsonValue], bool]:
    found, closed = items(text)
    rest = text[len(begin) :].lstrip() if begin and text.startswith(begin) else ""
    if not closed and rest.startswith("["):
        # A model asked to go on may have written the rest as a list of its own.
        known, _ = items(begin)
        more, closed = items(rest)
        return [*known, *more], closed
    return found, closed

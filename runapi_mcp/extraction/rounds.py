"""The rounds of one extraction: what is put to the model, how far its answer is, what follows a wrong one.

All that depends on the caller's schema is asked of :mod:`runapi_mcp.extraction.worker`. How the material is
put to the model, and which texts of it can be quoted, is known here alone, so that an offset counts from
where the caller's own text begins, and a file's from the beginning of that file.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, cast

from pydantic_core import from_json

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.model_json import is_closed
from runapi_mcp.extraction.verdict import Verdict, read_verdict
from runapi_mcp.extraction.worker import Checked, check_elsewhere
from runapi_mcp.generations.policy import Plain, Policy, find_loop, shorten_loops
from runapi_mcp.generations.values import Job
from runapi_mcp.wire.types import Answer, Call, JsonObject, JsonValue, Part, Text, Turn

Path: TypeAlias = tuple[str | int, ...]
"""Where something stands in a value."""

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
        call = replace(job.call, schema=_wrap_in_list(wire) if self.many else wire)
        return replace(job, call=call, checked_here=tuple(left_out[:_MOST_CHECKED]))

    async def judge(self, texts: Sequence[str], begin: str, owner: str) -> Verdict:
        """Return the verdict on the texts of all rounds, oldest first; `begin` is what the first continues.

        What takes too long is told as not checked.
        """
        about: JsonObject = {"texts": list(texts), "begin": begin, "many": self.many}
        checked = await check_elsewhere({"schema": self._written, **about}, owner)
        if refused := _find_refusal(checked):
            return Verdict("", unchecked=refused.what)
        verdict = read_verdict(checked.answers[-1]) if checked.answers else Verdict("")
        return replace(verdict, unchecked=checked.why)

    async def locate(self, verdict: Verdict, asked: Call, owner: str) -> Verdict:
        """Return a verdict with where its values stand in the material that was `asked` about."""
        if not self.evidence or not verdict.document or verdict.violations:
            return verdict
        material = read_material(asked)
        if not material.sources:
            return replace(verdict, evidence={"why": _NO_TEXT})
        if sum(len(text) for _, text in material.sources) > _MOST_MATERIAL:
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
        return _Policy(self, owner, call, () if self.many else list_fields(wire), list_kinds(wire))


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
        return (await self.extraction.locate(verdict, self.call, self.owner)).to_json()

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        """Return the same question with a wrong answer, and what is wrong with it."""
        cut = answer.finish is not None and answer.finish.reason not in ("stop", "unknown")
        if len(earlier) >= self.extraction.max_repairs or cut or not answer.text or not verdict:
            return None
        wrong = self._wrong(read_verdict(verdict))
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
        return why_hopeless(text, self.kinds) or find_loop(text)

    def is_whole(self, text: str) -> bool:
        """Whether the text holds JSON that is closed."""
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


def _wrap_in_list(schema: JsonObject) -> JsonObject:
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


# ---------------------------------------------------------------- the material

_MATERIAL: Final = "Material:\n"
_IN_FILES: Final = "The material is in the files."
_FILE: Final = re.compile(r"File ([^\n]{1,400}):\n\n")
_FOLDER: Final = re.compile(r"Files of [^\n]{1,400}:\n\n")
_DIFF: Final = re.compile(r"Diff ([^\n]{1,200}):\n\n")
_NEXT_FILE: Final = re.compile(r"\n(?=File [^\n]{1,400}:\n\n)")


@dataclass(frozen=True, slots=True)
class Material:
    """What can be quoted, and whether there is more.

    Attributes:
        sources: The texts, each with its name: its file's, none where it was given as such.
        others: Whether there are files that are no text.
    """

    sources: tuple[tuple[str, str], ...]
    others: bool


def write_material(text: str | None, instructions: str | None) -> tuple[Part, ...]:
    """Return what is put to the model behind the files: instructions, if any, and the text."""
    asked = f"Instructions: {instructions}" if instructions else ""
    if text is None:
        return (Text(f"{asked}\n\n{_IN_FILES}" if asked else _IN_FILES),)
    # Two parts, lest words of the instructions be taken for the beginning of the text.
    return (*((Text(asked),) if asked else ()), Text(f"{_MATERIAL}{text}"))


def read_material(call: Call) -> Material:
    """Return what can be quoted of the material in a call that :func:`write_material` took part in."""
    *files, last = call.turns[0].parts if call.turns else (Text(""),)
    sources: list[tuple[str, str]] = []
    others = False
    if isinstance(last, Text) and last.text.startswith(_MATERIAL):
        return Material((("", last.text.removeprefix(_MATERIAL)),), others=False)
    for part in files:
        if isinstance(part, Text):
            sources += _read_texts(part.text)
        else:
            others = True
    return Material(tuple(sources), others)


def _read_texts(written: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file, a folder or a diff, without what was written around them."""
    if folder := _FOLDER.match(written):
        for one in _NEXT_FILE.split(written[folder.end() :]):
            yield from _read_texts(one)
    elif head := _FILE.match(written):
        yield head[1], written[head.end() :].removesuffix("\n")
    elif head := _DIFF.match(written):
        yield head[1], written[head.end() :]


# ---------------------------------------------------------------- an answer that is still being written

_MOST_FIELDS: Final = 200
_DEEPEST: Final = 6
_PROSE: Final = 1_500
"""Characters without a bracket after which an answer is prose; a preface is shorter."""
_THOUGHTS: Final = re.compile(r"<(?:think|thinking|thought|reasoning)>")
_ALL_KINDS: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def read_partial(text: str) -> JsonValue:
    """Return the JSON that `text` begins with, as far as it goes; `None` if there is none."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        value: JsonValue = from_json(text[start:], allow_partial=True, allow_inf_nan=False)
    except ValueError:
        return None
    return value


def describe_progress(text: str, fields: tuple[Path, ...]) -> str:
    """Return how far an answer is: "7 of 12 fields: … invoice.lines[3]"; empty if that cannot be said."""
    value = read_partial(text)
    if value is None:
        return ""
    at = find_last_place(value)
    if isinstance(value, list):
        return f"{len(value)} items: … {spell_path(at)}"
    open_field = next((field for field in fields if at[: len(field)] == field and len(at) > len(field)), None)
    done = sum(field != open_field and _holds(value, field) for field in fields)
    where = f": … {spell_path(at)}" if at else ""
    return f"{done} of {len(fields)} fields{where}" if fields else spell_path(at)


def list_fields(schema: JsonObject) -> tuple[Path, ...]:
    """Return the fields of a rewritten schema, nested objects opened, at most 200; an array is one."""
    definitions = schema.get("$defs")
    found: list[Path] = []
    todo: list[tuple[Path, JsonValue]] = [((), schema)]
    while todo and len(found) < _MOST_FIELDS:
        path, part = todo.pop(0)
        part = _open(part, definitions) if len(path) < _DEEPEST else part
        properties = part.get("properties") if isinstance(part, dict) else None
        if isinstance(properties, dict) and len(path) < _DEEPEST:
            todo += [((*path, name), below) for name, below in properties.items()]
        elif path:
            found.append(path)
    return tuple(found)


def list_kinds(schema: JsonObject, depth: int = 0) -> frozenset[str]:
    """Return the JSON types that a rewritten schema allows at its top; all of them if it does not say."""
    kind, options = schema.get("type"), schema.get("anyOf")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(map(str, kind))
    if isinstance(options, list) and options and depth < _DEEPEST:
        parts = [list_kinds(o, depth + 1) if isinstance(o, dict) else _ALL_KINDS for o in options]
        return frozenset().union(*parts)
    return _ALL_KINDS


def why_hopeless(text: str, kinds: frozenset[str]) -> str | None:
    """Return why an answer that begins with `text` cannot become JSON of one of `kinds`, or `None`."""
    bare = text.lstrip("\ufeff \t\r\n")
    if kinds - {"object", "array"} or _THOUGHTS.match(bare):
        return None
    if bare.startswith("["):
        # A list of one may be read as its item.
        several = "array" not in kinds and len(cast("list[JsonValue]", read_partial(bare) or [])) > 1
        return "it is a list of several where the schema wants one object" if several else None
    if any(sign in bare for sign in ("{", "[", "```")):
        return None
    return "it is prose where JSON was asked for" if len(bare) > _PROSE else None


def find_last_place(value: JsonValue) -> Path:
    """Return the path of what was written last."""
    path: list[str | int] = []
    while value and len(path) < 50:
        if isinstance(value, dict):
            path.append(next(reversed(value)))
            value = value[str(path[-1])]
        elif isinstance(value, list):
            path.append(len(value) - 1)
            value = value[-1]
        else:
            break
    return tuple(path)


def spell_path(path: Path) -> str:
    """Return a path as people write it: `invoice.lines[3]`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:40]}" for part in path)
    return words.removeprefix(".")


def _open(part: JsonValue, definitions: JsonValue) -> JsonValue:
    reference = part.get("$ref") if isinstance(part, dict) else None
    if isinstance(reference, str) and isinstance(definitions, dict):
        return definitions.get(reference.removeprefix("#/$defs/"))
    return part


def _holds(value: JsonValue, path: Path) -> bool:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[str(part)]
    return True

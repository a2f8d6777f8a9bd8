"""How much of JSON Schema extract_json takes.

Three sets go through rewrite → an answer of the simulator → judgement by the original schema:

* the schemas in `real/`, written for this bench after what people use (OpenAPI components,
  schema.org types, tool configuration, Pydantic's and Zod's output), each one through the real
  tool, over a socket, to the simulated RunAPI; after them the metaschemas of the drafts, which the
  simulator's writer of examples is not made for;
* the schemas in `generated.json`, in the forms in which generators write them, each with values that
  conform and values that nearly do: is it taken, does the judge agree, is what conforms allowed by what
  is sent; and the same for `real_generators.json`, which pydantic, zod and twenty others wrote of models
  of ours, what means nothing as it stands among them;
* the JSON Schema Test Suite, from the source of PyPI's jsonschema, which `make bench-schemas` fetches.

A real schema is usable if the tool ends with a value that conforms to it: at once, or after one
repair. The simulator answers the schema it was sent first, and the original when asked again.
"""

import json
import shlex
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import anyio
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # it has no py.typed
from pydantic import SecretStr

from benchmarks.table import Row, Section
from runapi_mcp.errors import InputError, RunapiError
from runapi_mcp.extraction.check import Judge, check_schema
from runapi_mcp.extraction.model_json import NotJson, read_json
from runapi_mcp.generations.registry import Generations
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator, simulate
from runapi_mcp.sim.examples import conforms, example
from runapi_mcp.tools import TOOLS, Reply
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.schema.read import read_schema
from runapi_mcp.wire.schema.write import TAKEN, rewrite_schema

REAL = Path(__file__).parent / "real"
GENERATED = Path(__file__).parent / "generated.json"
GENERATORS = Path(__file__).parent / "real_generators.json"
SUITES = Path(__file__).parents[2] / "build" / "suite"
DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


@dataclass
class Real:
    """What became of the real-world schemas."""

    total: int = 0
    at_once: int = 0
    repaired: int = 0
    judged: int = 0
    unusable: dict[str, str] = field(default_factory=dict)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def usable(self) -> int:
        return self.at_once + self.repaired


@dataclass
class Keyword:
    """What became of one file of the Test Suite."""

    accepted: int = 0
    checked: int = 0
    refused: int = 0
    cases: int = 0
    agreed: int = 0
    conforming: int = 0


def real_schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(REAL.glob("*.json")):
        yield path.stem, json.loads(path.read_text())


def metaschemas() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, uri in DRAFTS.items():
        yield name, REGISTRY.contents(uri)


@dataclass
class Generated:
    """What became of the schemas that generators write."""

    total: int = 0
    taken: int = 0
    noted: int = 0
    values: int = 0
    judged: int = 0
    sent: int = 0
    conforming: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def measure_generators() -> Generated:
    """Count what real generators wrote."""
    rows = json.loads(GENERATORS.read_text(encoding="utf-8"))
    return _measure_generated(
        {**row, "generator": row["what"], "good": _values(row["good"]), "near": _values(row["near"])}
        for row in rows
    )


def _values(texts: list[str]) -> list[Any]:
    found = []
    for text in texts:
        with suppress(NotJson):
            found.append(read_json(text))
    return found


def measure_generated() -> Generated:
    """Count what is in the forms in which generators write."""
    return _measure_generated(json.loads(GENERATED.read_text(encoding="utf-8")))


def _measure_generated(rows: Iterable[dict[str, Any]]) -> Generated:
    found = Generated()
    for row in rows:
        found.total += 1
        try:
            reading = read_schema(row["schema"])
            check_schema(reading.schema)
            wire = rewrite_schema(reading.schema).schema
        except InputError as error:
            found.refused[row["generator"]] = str(error)
            continue
        found.taken += 1
        found.noted += bool(reading.notes)
        judge = Judge(reading.schema)
        found.values += len(row["good"]) + len(row["near"])
        found.judged += sum(map(judge.conforms, row["good"]))
        found.judged += sum(not judge.conforms(value) for value in row["near"])
        found.conforming += len(row["good"])
        found.sent += sum(conforms(value, wire) for value in row["good"])
    return found


async def measure_real(schemas: Iterator[tuple[str, dict[str, Any]]]) -> Real:
    found = Real()
    async with simulate() as sim:
        settings = Settings(key=SecretStr("bench-key"), base_url=sim.base_url)
        upstream = Upstream(settings)
        async with Generations(upstream, settings).open() as generations:
            for name, schema in schemas:
                run = Run(settings, upstream, generations, Caller(), _quiet)
                await _measure(found, name, schema, sim, run)
        await upstream.aclose()
    return found


async def _measure(found: Real, name: str, schema: dict[str, Any], sim: Simulator, run: Run) -> None:
    found.total += 1
    sim.reset()
    sim.play("default", f"default text={shlex.quote(json.dumps(example(schema)))}")
    try:
        reply = await _extract(run, name, schema)
    except RunapiError as error:
        found.unusable[name] = str(error)
        return
    facts: Any = reply.structured
    found.checked.update(pointer.rpartition("/")[2] for pointer in facts["receipt"].get("checked_here", ()))
    stray = _keywords(rewrite_schema(schema).schema) - TAKEN["chat"]
    if reply.is_error or stray:
        found.unusable[name] = ", ".join(stray) or "; ".join(facts.get("violations", [reply.text]))[:300]
        return
    found.judged += Judge(schema).conforms(facts["data"])
    if facts["receipt"]["repairs"]:
        found.repaired += 1
    else:
        found.at_once += 1


async def _extract(run: Run, name: str, schema: dict[str, Any]) -> Reply:
    tool = TOOLS["extract_json"]
    return await tool.perform(tool.args.model_validate({"schema": schema, "text": f"Material: {name}."}), run)


async def _quiet(_seconds: float, _line: str) -> None:
    return


def measure_suite(archive: Path) -> dict[str, Keyword]:
    found: dict[str, Keyword] = {}
    with tarfile.open(archive) as files:
        for member in sorted(files, key=lambda member: member.name):
            parts = Path(member.name).parts
            if len(parts) == 5 and parts[1:3] == ("json", "tests") and parts[3] in DRAFTS and member.isfile():
                held = files.extractfile(member)
                assert held is not None, "a file has content"
                _measure_groups(json.load(held), parts[3], found.setdefault(Path(parts[4]).stem, Keyword()))
    return found


def _measure_groups(groups: list[dict[str, Any]], draft: str, row: Keyword) -> None:
    for group in groups:
        # true and false are schemas too, but no description of anything to extract.
        if isinstance(schema := group["schema"], dict):
            _measure_group({"$schema": DRAFTS[draft], **schema}, group["tests"], row)


def _measure_group(schema: dict[str, Any], tests: list[dict[str, Any]], row: Keyword) -> None:
    try:
        schema = read_schema(schema).schema
        check_schema(schema)
        made = rewrite_schema(schema)
    except InputError:
        row.refused += 1
        return
    assert _keywords(made.schema) <= TAKEN["chat"], "only what the wire takes is sent"
    row.checked += bool(made.checked_here)
    row.accepted += not made.checked_here
    judge = Judge(schema)
    row.conforming += judge.conforms(example(made.schema))  # type: ignore[arg-type]  # an example is JSON
    for test in tests:
        row.cases += 1
        row.agreed += judge.conforms(test["data"]) == test["valid"]


def _keywords(schema: object) -> set[str]:
    """Every keyword of a rewritten schema, names of properties and definitions aside."""
    found: set[str] = set()
    for key, value in schema.items() if isinstance(schema, dict) else ():
        found.add(key)
        below = (
            value.values()
            if key in ("properties", "$defs")
            else value
            if key in ("anyOf", "prefixItems")
            else ()
        )
        for part in [*below, *([value] if key in ("items", "additionalProperties") else [])]:
            found |= _keywords(part)
    return found


def section() -> Section:
    made = Section("How much of JSON Schema extract_json takes")
    for kind, schemas in (
        ("real-world schemas", real_schemas()),
        ("metaschemas of the drafts", metaschemas()),
    ):
        made.rows.extend(_tell_real(kind, anyio.run(measure_real, schemas)))
    made.rows.extend(_tell_generated("as generators write them", measure_generated(), whole=True))
    made.rows.extend(_tell_generated("written by real generators", measure_generators(), whole=False))
    for archive in SUITES.glob("jsonschema-*.tar.gz"):
        made.rows.extend(_tell_suite(measure_suite(archive)))
    made.notes.append(
        "Of the Test Suite, a schema is refused if a reference leads out of it, or nowhere. The simulator's "
        "writer of examples is not made for the metaschemas."
    )
    return made


def _tell_real(kind: str, found: Real) -> list[Row]:
    for name, why in found.unusable.items():
        print(f"  not usable: {name}: {why}")
    bound = "≥ 95%, all conform" if kind.startswith("real") else ""
    holds = found.usable >= 0.95 * found.total and found.judged == found.usable
    return [
        Row(
            f"{kind}: usable",
            f"{found.usable} of {found.total}",
            [
                ("at once", f"{found.at_once}"),
                ("after a repair", f"{found.repaired}"),
                ("values that conform to the original", f"{found.judged} of {found.usable}"),
            ],
            bound,
            holds if bound else None,
        )
    ]


def _tell_generated(kind: str, found: Generated, *, whole: bool) -> list[Row]:
    for name, why in found.refused.items():
        print(f"  refused: {name}: {why}")
    judged, sent = found.judged == found.values, found.sent == found.conforming
    return [
        Row(
            f"{kind}: taken",
            f"{found.taken} of {found.total}",
            [("with a note", f"{found.noted}")],
            "all" if whole else "",
            found.taken == found.total if whole else None,
        ),
        Row(
            f"{kind}: values judged right",
            f"{found.judged} of {found.values}",
            [],
            "all" if whole else "",
            judged if whole else None,
        ),
        Row(
            f"{kind}: values that conform, and are allowed by what is sent",
            f"{found.sent} of {found.conforming}",
            [],
            "all" if whole else "",
            sent if whole else None,
        ),
    ]


def _tell_suite(found: dict[str, Keyword]) -> list[Row]:
    for name, row in found.items():
        if row.agreed < row.cases:
            print(f"  {name}: {row.agreed} of {row.cases} judged as the suite does")
    total = Keyword(
        **{
            counted.name: sum(getattr(row, counted.name) for row in found.values())
            for counted in fields(Keyword)
        }
    )
    taken = total.accepted + total.checked
    return [
        Row(
            "JSON Schema Test Suite: schemas taken",
            f"{taken:,} of {taken + total.refused:,}",
            [
                ("every rule is sent", f"{total.accepted:,}"),
                ("some are checked here only", f"{total.checked:,}"),
            ],
        ),
        Row("JSON Schema Test Suite: cases judged as it does", f"{total.agreed:,} of {total.cases:,}"),
        Row(
            "JSON Schema Test Suite: answers to what is sent that conform to the original at once",
            f"{total.conforming:,} of {taken:,}",
        ),
    ]

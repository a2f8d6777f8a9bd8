"""Asks the real server all of it, as a host does over stdio, and waits for what takes longer."""

import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client, StdioServerParameters

from benchmarks.eval.judge import Asked, judge_answer, judge_document, schema_of
from benchmarks.evidence.corpus import Document
from benchmarks.evidence.held_out import EACH, held_out
from runapi_mcp.sim import Simulator, simulate

QUESTIONS: Final[list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("questions.json").read_text(encoding="utf-8")
)
_LEFT_OUT: Final = ("subtitles", "thread of mails")
"""Kinds whose fields' names do not say what is wanted."""
_RECEIPT: Final = "ai.runapi/receipt"
_EVIDENCE: Final = "ai.runapi/evidence"
_HOW: Final = (
    "Names as they are usually written, without titles. Dates as YYYY-MM-DD, times as HH:MM of 24 hours, "
    "both together as YYYY-MM-DDTHH:MM. Numbers in full: 1.2 million is 1200000, 12 % is 12. Currencies by "
    "code."
)

Play = Callable[[Simulator], None]


@dataclass(frozen=True)
class Answered:
    """All questions and documents, as they went."""

    questions: Sequence[Asked]
    documents: Sequence[Asked]


def documents() -> list[Document]:
    """Return the documents: one of each kind that says of itself what is wanted."""
    return [one for one in held_out()[::EACH] if one.name.rpartition("-")[0] not in _LEFT_OUT]


async def ask_all(
    env: Mapping[str, str], *, together: int, say: Callable[[str], None], sim: Simulator | None = None
) -> Answered:
    """Ask every question and every document of a server with this environment, so many at once."""
    server = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=dict(env))
    questions: list[Asked | None] = [None] * len(QUESTIONS)
    read: list[Asked | None] = [None] * len(documents())
    turn = anyio.CapacityLimiter(together)

    async def question(client: Client, at: int) -> None:
        row = QUESTIONS[at]
        async with turn:
            if sim is not None:
                sim.play(_simulated_answer(at, row["accept"][0]))
            told = await _call(client, "search_web", {"query": row["ask"], "fresh": True})
            judged = judge_answer(row["ask"], row["accept"], told)
            questions[at] = replace(judged, receipt=told["receipt"])
            say(f"{judged.verdict:6} {row['ask']}")

    async def document(client: Client, at: int) -> None:
        one = documents()[at]
        async with turn:
            if sim is not None:
                sim.play(*_simulated_values(at, one))
            asked = {"schema": schema_of(one), "text": one.text, "instructions": _HOW, "fresh": True}
            told = await _call(client, "extract_json", asked)
            judged = judge_document(one, told, told["evidence"])
            read[at] = replace(judged, receipt=told["receipt"])
            say(f"{judged.verdict:6} {one.name} {judged.said}")

    async with Client(server) as client, anyio.create_task_group() as tasks:
        for at in range(len(QUESTIONS)):
            tasks.start_soon(question, client, at)
        for at in range(len(documents())):
            tasks.start_soon(document, client, at)
    return Answered([one for one in questions if one], [one for one in read if one])


async def _call(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool and wait for all of it; what it told, with its evidence and its receipt."""
    result = await client.call_tool(tool, arguments)
    while (receipt := (result.meta or {}).get(_RECEIPT, {})).get("status") == "running":
        result = await client.call_tool("get_result", {"handle": receipt["handle"]})
    told = dict(result.structured_content or {})
    if result.is_error:
        words = " ".join(block.text for block in result.content if block.type == "text")
        told |= {"status": "failed", "error": words[:200]}
    evidence = told.get("evidence")
    places = evidence if isinstance(evidence, dict) else (result.meta or {}).get(_EVIDENCE, {})
    return {"status": receipt.get("status"), **told, "evidence": places, "receipt": receipt}


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[Simulator, dict[str, str]]]:
    """Play RunAPI; its answers are the known ones, but for a few that are wrong, cut or refused."""
    async with simulate() as sim:
        own = {name: value for name, value in os.environ.items() if not name.startswith("RUNAPI")}
        yield sim, own | {"RUNAPI_BASE_URL": sim.base_url, "RUNAPI_TOKEN": "simulated-key"}


def _simulated_answer(at: int, known: str) -> str:
    match at:
        case 0:
            return f"default text={shlex.quote('It was long ago.')}"
        case 1:
            return "cut-clean"
        case 2:
            return "blocked-prompt"
        case _:
            return f"default text={shlex.quote(f'It is {known}. That is all.')}"


def _simulated_values(at: int, document: Document) -> list[str]:
    value = {name: one for name, one in document.value.items() if name in schema_of(document)["properties"]}
    nowhere = [pointer for pointer, place in document.places.items() if place is None]
    for pointer in nowhere:
        value[pointer.removeprefix("/")] = None
    match at:
        case 0:
            return [_json(value | {nowhere[0].removeprefix("/"): 7})]  # made up
        case 1:
            return [_json(value | {"shop": "Somewhere else"})]
        case 2:
            return [_json(value | {"customer": 5}), _json(value)]  # repaired
        case 3:
            return ["cut-clean"]
        case 4:
            return [_json(value | {"city": None})]
        case _:
            return [_json(value)]


def _json(value: object) -> str:
    return f"default text={shlex.quote(json.dumps(value, ensure_ascii=False))}"

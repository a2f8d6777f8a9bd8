"""Checks in processes of their own: how they end, whose turn it is, and what they know of the server."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.errors import InputError
from runapi_mcp.extraction import worker
from runapi_mcp.extraction.answers import judge_answers
from runapi_mcp.extraction.check import Judge, identify
from runapi_mcp.extraction.rounds import Extraction
from runapi_mcp.extraction.verdict import Verdict, read_verdict
from runapi_mcp.extraction.worker import check_elsewhere
from runapi_mcp.generations.values import Job
from runapi_mcp.wire.schema.write import rewrite_schema
from runapi_mcp.wire.types import Call, DialectName, JsonObject, Text, Turn

LINE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "what": {"type": "string", "minLength": 1},
        "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
        "price": {"type": "number", "multipleOf": 0.01},
    },
    "required": ["what", "price"],
    "additionalProperties": False,
}
INVOICE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "date": {"type": "string", "format": "date"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "uniqueItems": True},
    },
    "required": ["date", "lines"],
    "$defs": {"line": LINE},
}
ENDLESS: dict[str, Any] = {"properties": {"a": {"pattern": "^(a+)+$"}}}
LAUGHING: dict[str, Any] = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(26)} | {"d26": {}},
}


def invoice(lines: int, **first: Any) -> str:
    rows: list[Any] = [{"what": f"No. {n}", "code": f"ABC-{n}", "price": 19.99} for n in range(lines)]
    return json.dumps({"date": "2024-05-17", "lines": [rows[0] | first, *rows[1:]]})


async def judge(schema: JsonObject, *texts: str, many: bool = False, owner: str = "ann") -> Verdict:
    return await Extraction(schema, many, 1).judge(texts, "", owner)


async def prepare(schema: JsonObject, dialect: DialectName = "native") -> Job:
    job = Job("extract_json", {}, Call("gemini-2.5-flash", (Turn("user", (Text("?"),)),)), dialect, "ann")
    return await Extraction(schema, many=False, max_repairs=1).prepare(job)


@pytest.fixture
async def anew() -> AsyncIterator[None]:
    """No process is left of what was checked before, nor afterwards."""
    worker.end_workers()
    yield
    worker.end_workers()


# ---------------------------------------------------------------- what is answered


@pytest.mark.parametrize("many", [False, True])
async def test_a_verdict_is_the_same_wherever_it_is_reached(many: bool) -> None:
    good, bad = json.loads(invoice(2)), json.loads(invoice(2, code="abc", price=0.125, more=1))
    for texts in ([json.dumps([good, bad, 5])], [json.dumps(bad)], ["no JSON"], ['{"date": "2024-']):
        here = judge_answers(Judge(INVOICE), texts, "", many=many)
        there = await judge(INVOICE, *texts, many=many)
        assert there == here
        assert read_verdict(json.loads(json.dumps(there.to_json()))) == there


async def test_a_schema_is_checked_and_rewritten() -> None:
    made = rewrite_schema(INVOICE, "native")
    job = await prepare(INVOICE)
    assert (job.call.schema, job.checked_here) == (made.schema, made.checked_here)
    with pytest.raises(InputError, match="not a valid JSON Schema at /type"):
        await prepare({"type": "strng"})
    with pytest.raises(InputError, match="points outside the schema"):
        await prepare(INVOICE | {"$ref": "https://example.org/x"})


async def test_subschemas_that_name_their_draft_are_judged_by_the_same_rules() -> None:
    drafts: JsonObject = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"price": {"$schema": "http://json-schema.org/draft-07/schema#", "multipleOf": 0.01}},
    }
    assert (await judge(drafts, '{"price": 19.99}')).violations == ()


async def test_many_equal_looking_items_are_told_apart_in_time() -> None:
    rows = [{"id": n, "tags": [n, str(n)]} for n in range(5_000)]
    schema: dict[str, Any] = {"uniqueItems": True}
    assert not (await judge(schema, json.dumps(rows))).violations
    [told] = (await judge(schema, json.dumps([*rows, rows[0]]))).violations
    assert told == '(root): the item {"id": 0, "tags": [0, "0"]} stands in the list twice'


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (0, -0.0, True),
        ("1", 1, False),
        (None, "null", False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ([1, 2], [2, 1], False),
        (2**53 + 1, float(2**53), False),
        (10**400, 10**400 + 1, False),
        (["a", "b"], ["a,b"], False),
        ([], {}, False),
    ],
)
def test_items_are_equal_as_json_schema_says(one: Any, other: Any, same: bool) -> None:
    assert (identify(one) == identify(other)) is same


# ---------------------------------------------------------------- how it ends


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a check is over soon."""
    monkeypatch.setattr(worker, "SECONDS", 0.3)


LONG = json.dumps({"a": "a" * 60 + "!"})


@pytest.mark.usefixtures("soon", "anew")
@pytest.mark.parametrize("schema", [ENDLESS, LAUGHING], ids=["expression", "references"])
async def test_a_check_that_takes_too_long_says_so_and_gives_what_was_read(schema: Any) -> None:
    verdict = await judge(schema, LONG)
    assert verdict.unchecked == "it took more than 0.3 s and was stopped"
    assert json.loads(verdict.document) == json.loads(LONG)
    assert not verdict.violations


@pytest.mark.usefixtures("anew")
async def test_a_check_that_nobody_ends_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LATER", 0.3 - worker.SECONDS)
    if sys.platform != "win32":
        assert "took more than" in (await judge(ENDLESS, LONG)).unchecked


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of memory to set")
@pytest.mark.usefixtures("anew")
async def test_a_check_that_takes_too_much_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_MEMORY", 1 << 20)
    assert "memory" in (await judge({}, json.dumps(["x" * 100_000] * 20))).unchecked
    monkeypatch.undo()
    assert not (await judge({}, "1")).unchecked, "the next one has a process of its own"


@pytest.mark.usefixtures("anew")
async def test_a_process_serves_one_check_after_another() -> None:
    for number in range(5):
        assert not (await judge(INVOICE, invoice(number + 1), owner=str(number))).violations
    assert len(worker._ALL) == len(worker._IDLE) == 1


@pytest.mark.usefixtures("anew")
async def test_a_process_that_is_gone_is_replaced() -> None:
    await judge(INVOICE, invoice(1))
    worker._IDLE[0].process.kill()
    worker._IDLE[0].process.wait()
    assert not (await judge(INVOICE, invoice(1))).unchecked


@pytest.mark.usefixtures("anew")
async def test_nothing_stays_of_a_process_whose_caller_left_before_it_was_spoken_to() -> None:
    await judge(INVOICE, invoice(1))
    gone = worker._IDLE.pop()
    gone.process.kill()
    gone.process.wait()
    await judge(INVOICE, invoice(1))
    assert gone not in worker._ALL
    assert gone.process.stdout is not None
    assert gone.process.stdout.closed


class Leaving:
    """A worker that leaves in the moment when it is asked, because it had nothing to do for long."""

    def __init__(self) -> None:
        self.process = self
        self.returncode = 0

    def poll(self) -> None: ...

    def kill(self) -> None: ...

    def talk(self, request: bytes, answers: list[JsonObject]) -> None: ...


@pytest.mark.usefixtures("anew")
async def test_a_process_that_leaves_when_it_is_asked_is_replaced() -> None:
    idle: list[Any] = worker._IDLE
    idle.append(Leaving())
    assert (await judge(INVOICE, invoice(1))).unchecked == ""
    idle.append(Leaving())
    idle.append(Leaving())
    assert "just left" in (await judge(INVOICE, invoice(1))).unchecked, "it is asked for no more than twice"


@pytest.mark.usefixtures("anew")
async def test_a_cancelled_check_is_gone_at_once() -> None:
    await judge(INVOICE, invoice(1))
    [process] = [one.process for one in worker._ALL]
    with anyio.move_on_after(0.5) as scope:
        await judge(ENDLESS, LONG)
    assert scope.cancelled_caught
    await anyio.to_thread.run_sync(process.wait)
    assert not (await judge(ENDLESS, '{"a": "aa"}')).unchecked


async def test_where_no_process_can_be_started_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.end_workers()
    for executable in ("", "/nowhere/python"):
        monkeypatch.setattr("sys.executable", executable)
        assert (await judge(LAUGHING, "{}")).unchecked
    with pytest.raises(InputError, match="could not be checked"):
        await prepare(LAUGHING)


async def test_a_schema_without_an_end_is_told_as_not_checked() -> None:
    assert "without end" in (await judge({"$ref": "#"}, "{}")).unchecked


# ---------------------------------------------------------------- whose turn it is


@pytest.mark.usefixtures("anew")
async def test_a_caller_with_endless_checks_takes_no_turn_of_another() -> None:
    async with anyio.create_task_group() as endless:
        for _ in range(6):
            endless.start_soon(judge, ENDLESS, LONG)
        with anyio.fail_after(60):
            while not worker._ALL:  # noqa: ASYNC110  # a process that is started sets no event
                await anyio.sleep(0.01)
            assert not (await judge(INVOICE, invoice(1), owner="bob")).unchecked
        assert worker._room()._busy == {"ann"}
        assert len(worker._room()._waiting) == 5
        endless.cancel_scope.cancel()
    assert not worker._room()._busy
    assert not worker._room()._waiting


async def test_who_waits_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_ROOM_SECONDS", 0.05)
    room = worker._room()
    await room.enter("ann")
    try:
        assert (await judge(INVOICE, invoice(1))).unchecked == "too many checks were waiting"
    finally:
        room.leave("ann")
    assert not room._waiting


# ---------------------------------------------------------------- what it knows


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows it")
@pytest.mark.usefixtures("anew")
async def test_no_key_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNAPI_TOKEN", "RUNAPI_MCP_MODEL", "GOOGLE_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary")
    assert (await check_elsewhere({"schema": "{}", "dialect": "chat"}, "ann")).answers
    [process] = [one.process for one in worker._ALL]
    held = await anyio.Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"canary" not in held
    assert b"PYTHONPATH=" in held
    assert "RUNAPI_TOKEN" in os.environ


def test_it_starts_without_what_only_the_server_needs() -> None:
    loading = (
        "import sys; import runapi_mcp.extraction.worker, runapi_mcp.extraction.answers; "
        "import runapi_mcp.extraction.check, runapi_mcp.wire.schema.write; "
        "print({'pydantic', 'httpx', 'mcp'} & sys.modules.keys() or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", loading], capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"


async def test_in_more_material_than_can_be_searched_nothing_is_looked_for() -> None:
    asked = Call("gemini-2.5-flash", (Turn("user", (Text(f"File a:\n\n{'x' * 4_000_001}"), Text("?"))),))
    told = await Extraction({}, many=False, max_repairs=0, evidence=True).locate(Verdict("{}"), asked, "ann")
    assert told.evidence == {"why": "the material has more than 4,000,000 characters"}

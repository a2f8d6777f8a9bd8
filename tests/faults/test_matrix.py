"""Every fault the simulator can play × dialect × tool: a clear end, in time, and nothing lost."""

import io
import json
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import anyio
import jsonschema
import pytest
from logged import logged
from server.hosting import CANARY, Called, Host, in_process
from server.snapshots import ROOT, assert_same

from faults.matrix import ROWS, SCHEMA, Row
from faults.page import page
from faults.told import assert_kept, assert_only, told
from runapi_mcp.errors import RunapiError
from runapi_mcp.settings import from_env
from runapi_mcp.sim import SCENARIOS, Simulator, simulate
from runapi_mcp.sim.answers import plain_answer
from runapi_mcp.wire.types import DialectName

CASES = [(row, dialect) for row in ROWS for dialect in row.dialects]
SMALL = {
    "RUNAPI_MCP_HOLD": "30",
    "RUNAPI_MCP_MAX_EVENT_BYTES": "1048576",
    "RUNAPI_MCP_MAX_STREAM_BYTES": "4194304",
    "RUNAPI_MCP_MAX_RESULT_CHARS": "2000000",
}

HASTY = {"RUNAPI_MCP_IDLE_TIMEOUT": "1", "RUNAPI_MCP_DEADLINE": "2.5"}


def settings_for(dialect: DialectName) -> dict[str, str]:
    search = "gemini-3.7-flash" if dialect == "native" else "gemini-2.5-flash"
    # Set ones are never left for another: each fault is met to its end.
    models = {"RUNAPI_MCP_MODEL": "gemini-3-flash-preview", "RUNAPI_MCP_SEARCH_MODEL": search}
    return SMALL | models | {"RUNAPI_MCP_DIALECT": dialect}


@pytest.fixture(scope="module")
async def hosts(shared_sim: Simulator) -> AsyncIterator[dict[tuple[DialectName, bool], Host]]:
    dialects: tuple[DialectName, ...] = ("chat", "native")
    async with AsyncExitStack() as stack:
        yield {
            (dialect, hasty): await stack.enter_async_context(
                in_process(shared_sim.base_url, settings_for(dialect) | (HASTY if hasty else {}))
            )
            for dialect in dialects
            for hasty in (False, True)
        }


@pytest.fixture(scope="module", autouse=True)
def log() -> Iterator[io.StringIO]:
    """What all of these calls log, at its most talkative."""
    env = {"RUNAPI_TOKEN": CANARY, "RUNAPI_MCP_LOG": "debug", "RUNAPI_MCP_LOG_CONTENT": "1"}
    with logged(from_env(env)) as stream:
        yield stream
    assert CANARY not in stream.getvalue()
    assert all(json.loads(line)["event"] for line in stream.getvalue().splitlines())


async def _call(row: Row, host: Host) -> tuple[Called, RunapiError | None]:
    called = await host.call(row.tool, **row.arguments())
    assert host.app is not None
    generation = await host.app.generations.find(called.handle, "local")
    view = generation.view()
    chain = "".join(traceback.format_exception(view.error)) if view.error else ""
    shown = [repr(view), repr(vars(generation)), chain, repr(vars(view.error)) if view.error else ""]
    assert not [text for text in shown if CANARY in text]
    return called, view.error


@pytest.mark.parametrize(("row", "dialect"), CASES, ids=[f"{dialect}-{row.name}" for row, dialect in CASES])
async def test_a_fault_has_a_clear_end_in_time_and_loses_nothing(
    row: Row, dialect: DialectName, hosts: dict[tuple[DialectName, bool], Host], sim: Simulator
) -> None:
    if row.again:
        sim.play(row.cue, row.cue)
    with anyio.fail_after(row.bound):
        if row.alone:
            async with in_process(sim.base_url, settings_for(dialect)) as host:
                called, error = await _call(row, host)
        else:
            called, error = await _call(row, hosts[dialect, row.hasty])
    sees = row.native if dialect == "native" and row.native else row.sees
    assert sees in called.text
    assert called.receipt["status"] == row.status
    assert called.receipt["complete"] is (row.status == "complete")
    assert called.receipt["dialect"] == dialect
    assert called.failed is row.error, called.text
    assert called.code == (row.code or None)
    assert len(sim.calls) == called.receipt["requests"] == row.requests
    assert sim.calls[0].scenario == row.scenario
    assert "bug" not in called.text
    _assert_kept(row, called)
    assert_kept(f"{dialect}-{row.name}", told(called, error))


def _assert_kept(row: Row, called: Called) -> None:
    if row.tool == "extract_json":
        return _assert_extracted(row, called)
    if row.tool == "search_web":
        assert row.kept == "none" or called.facts["answer"]
        return None
    whole = plain_answer("Q", row.words())
    match row.kept:
        case "whole":
            assert whole.rstrip(".") in called.text
        case "part":
            assert called.handle in called.text
            text = called.text.rpartition("\n\n[")[0].rstrip()
            assert whole.startswith(text) or text.startswith(("simulated ", whole))
            assert text
        case "none":
            assert "simulated answer" not in called.text
    return None


def _assert_extracted(row: Row, called: Called) -> None:
    if row.status == "complete" and not row.error:
        jsonschema.validate(called.facts["data"], SCHEMA)
    elif row.kept == "part":
        assert called.facts["raw"]
        assert called.facts["handle"] == called.handle
    elif row.status == "complete":
        assert called.facts["violations"]
        assert called.facts["raw"]


def test_every_scenario_of_the_simulator_has_a_row() -> None:
    assert {row.scenario for row in ROWS} == SCENARIOS.keys()


def test_the_matrix_is_wide_enough() -> None:
    assert len({row.scenario for row in ROWS if len(row.dialects) == 2}) >= 60


@pytest.mark.parametrize("row", [row for row in ROWS if row.first_only], ids=lambda row: row.name)
async def test_a_simulator_that_always_fails_so_ends_as_the_row_for_twice(row: Row) -> None:
    again = next(other for other in ROWS if other.cue == row.cue and other.again)
    async with (
        simulate(scenario=row.scenario, bridge=True) as sim,
        in_process(sim.base_url, settings_for("chat")) as host,
    ):
        called = await host.call("extract_json", schema=SCHEMA, text="Q")
    assert again.sees in called.text
    assert called.failed is again.error


def test_the_documentation_of_faults_is_current() -> None:
    assert_only([f"{dialect}-{row.name}" for row, dialect in CASES])
    assert_same(ROOT / "docs" / "faults.md", page())

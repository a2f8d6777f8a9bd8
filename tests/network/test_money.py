"""What calls cost: in the receipt, the log, the metrics and what was used today; or said to be unknown."""

# the files are small

import json
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from server.hosting import in_process, server_env
from waiting import became

from network.raw_web import events, web
from network.test_joining import used
from network.web_host import served, web_server
from runapi_mcp import watched
from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.serve import serve_http


async def test_a_receipt_has_the_cost_by_a_file_of_prices(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prices"
    file.write_text("currency EUR\ngemini-2.5-flash 1 10\n")
    async with in_process(sim.base_url, RUNAPI_MCP_PRICES=str(file)) as host:
        known = (await host.call("ask_gemini", prompt="Dear", model="gemini-2.5-flash")).receipt
        unknown = (await host.call("ask_gemini", prompt="Free?", model="gemini-3.5-flash")).receipt
    tokens = known["tokens"]
    written = tokens["output"] + (tokens["thinking"] or 0)
    assert known["cost"] == pytest.approx((tokens["input"] + 10 * written) / 1e6)
    assert known["currency"] == "EUR"
    assert (unknown["cost"], unknown["currency"]) == (None, None)


async def test_without_prices_no_cost_is_made_up(sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        receipt = (await host.call("ask_gemini", prompt="Cost?", model="gemini-2.5-flash")).receipt
    assert receipt["tokens"]
    assert (receipt["cost"], receipt["currency"]) == (None, None)


async def test_prices_come_from_runapis_list_over_http(sim: Simulator) -> None:
    async with web_server(sim.base_url, RUNAPI_MCP_LOG="debug") as server, web(server.base_url) as http:
        await became(lambda: '"prices"' in server.log)
        answer = await http.call(1, "ask_gemini", prompt="Dear", model="gemini-2.5-flash")
        receipt = events(answer)[-1]["result"]["_meta"]["ai.runapi/receipt"]
        usage = await used(http.http, f"{server.base_url}/mcp")
        numbers = (await http.http.get("/metrics")).text
    assert receipt["currency"] == "USD"
    assert receipt["cost"] > 0
    assert usage["today"][0]["cost"] == {"USD": pytest.approx(receipt["cost"])}
    assert 'runapi_mcp_cost_total{currency="USD",principal="local"}' in numbers
    assert '"currency": "USD"' in server.log


async def test_a_model_without_a_price_is_said_once_and_so_is_the_line_that_is_wrong(
    sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "prices"
    file.write_text("gemini-2.5-flash 1 10\n")
    async with web_server(sim.base_url, RUNAPI_MCP_PRICES=str(file)) as server, web(server.base_url) as http:
        for number in range(3):
            await http.call(number, "ask_gemini", prompt="Cost?", model="gemini-3.5-flash", fresh=True)
        file.write_text("gemini-2.5-flash 1 10\ngemini-3.5-flash free\n")
        await became(lambda: "the prices stay as they were" in server.log)
        known = await http.call(4, "ask_gemini", prompt="Cost?", model="gemini-2.5-flash")
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert [line["model"] for line in lines if line["event"] == "no price"] == ["gemini-3.5-flash"]
    [stays] = [line for line in lines if line["event"] == "the prices stay as they were"]
    assert stays["why"].startswith("Line 2 of the prices is not MODEL INPUT OUTPUT")
    assert events(known)[-1]["result"]["_meta"]["ai.runapi/receipt"]["cost"] > 0


async def test_a_changed_file_counts_from_the_next_call_and_a_bad_one_does_not(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.02)
    file = tmp_path / "prices"
    file.write_text("gemini-2.5-flash 1 1\n")
    async with served(sim, env={"RUNAPI_MCP_PRICES": str(file)}) as url, web(url) as http:

        async def price() -> float:
            answer = await http.call(1, "ask_gemini", prompt="Dear", model="gemini-2.5-flash", fresh=True)
            receipt = events(answer)[-1]["result"]["_meta"]["ai.runapi/receipt"]
            tokens = receipt["tokens"]
            per_million = (
                receipt["cost"] * 1e6 / (tokens["input"] + tokens["output"] + (tokens["thinking"] or 0))
            )
            return float(round(per_million, 3))

        assert await price() == 1
        file.write_text("gemini-2.5-flash 3 3\n")

        async def is_three() -> bool:
            return await price() == 3

        await became(is_three)
        file.write_text("gemini-2.5-flash three\n")
        assert await price() == 3


async def test_a_server_does_not_start_on_a_bad_file(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "prices"
    file.write_text("gemini-2.5-flash 1 1\nno price\n")
    settings = from_env(server_env(sim.base_url, {"RUNAPI_MCP_PRICES": str(file)}))
    with pytest.raises(SettingsError, match="Line 2 of the prices"):
        await serve_http(settings, HttpOptions(port=0), None, announce=print)


@pytest.mark.parametrize("way", ["legacy", "auto", "sse", "stateless"])
async def test_a_host_over_the_network_asks_its_person_first(
    sim: Simulator, tmp_path: Path, way: str
) -> None:
    file = tmp_path / "prices"
    file.write_text("gemini-2.5-flash 1 10\n")
    asked: list[str] = []

    async def person(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        del context
        asked.append(params.message)
        return types.ElicitResult(action="decline" if len(asked) == 1 else "accept", content={})

    env = {"RUNAPI_MCP_PRICES": str(file), "RUNAPI_MCP_ASK_ABOVE_COST": "0.01"}
    async with served(sim, env=env, stateless=way == "stateless") as url:
        wire = sse_client(f"{url}/sse") if way == "sse" else streamable_http_client(f"{url}/mcp")
        mode: Any = "auto" if way == "auto" else "legacy"
        async with Client(wire, mode=mode, elicitation_callback=person) as client:
            arguments = {"prompt": "Dear?", "model": "gemini-2.5-flash", "max_output_tokens": 2_000}
            failed = [(await client.call_tool("ask_gemini", arguments)).is_error for _ in range(2)]
    # A 2025-era client of a stateless server cannot be asked, so it is not held.
    assert (failed, len(asked)) == (([False, False], 0) if way == "stateless" else ([True, False], 2))

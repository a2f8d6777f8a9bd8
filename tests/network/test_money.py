"""What calls cost: in the receipt, the log, the metrics and what was used today; or said to be unknown."""

# the files are small

from pathlib import Path

import pytest
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

"""What whoever runs a server sees of it: its first line, its log, and whether it is ready."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fleet.redis_server import free_port
from server.hosting import CANARY
from waiting import became

from network.raw_web import web
from network.web_host import WebServer, web_server
from runapi_mcp.sim import Simulator

TOKENS = "ann:token-of-ann-0123456789\nann:token-of-ann-9876543210\nbob:token-of-bob-0123456789"


def lines(server: WebServer) -> list[dict[str, Any]]:
    """What it logged, without its first line, which is for people."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]


async def ready(server: WebServer) -> tuple[int, Mapping[str, Any]]:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.base_url}/readyz")
    return answer.status_code, answer.json()


async def test_a_servers_first_line_says_who_may_call_and_what_is_on(sim: Simulator) -> None:
    async with web_server(sim.base_url, "--auth", "token", RUNAPI_MCP_TOKENS=TOKENS) as server:
        await became(lambda: "\n" in server.log)
        first = server.log.splitlines()[0]
    assert "who may call: 2 people by 3 tokens" in first
    assert "generations: of this process" in first
    assert "metrics: /metrics" in first
    assert "log: info" in first
    assert "MISSING" not in first


async def test_a_servers_first_line_says_where_handles_are_kept(sim: Simulator, tmp_path: Path) -> None:
    async with web_server(sim.base_url, RUNAPI_MCP_STORE=str(tmp_path / "kept")) as server:
        await became(lambda: "\n" in server.log)
        assert f"generations: in {tmp_path / 'kept'} · " in server.log.splitlines()[0]


async def test_a_servers_first_line_says_what_is_missing_and_no_password(sim: Simulator) -> None:
    store = f"redis://user:{CANARY}@127.0.0.1:{free_port()}/3"
    async with web_server(sim.base_url, RUNAPI_TOKEN="", RUNAPI_MCP_STORE=store) as server:
        await became(lambda: "log: info" in server.log)
        first = next(line for line in server.log.splitlines() if "log: info" in line)
    assert "MISSING: the RunAPI key (set RUNAPI_TOKEN); the store, which does not answer" in first
    assert f"shared at {store.replace(f'user:{CANARY}@', '')}" in first


async def test_a_server_for_others_logs_calls_unless_told_otherwise(sim: Simulator) -> None:
    async with web_server(sim.base_url) as server, web(server.base_url) as http:
        await http.call(1, "list_models")
        await became(lambda: any(line["event"] == "call" for line in lines(server)))
    async with web_server(sim.base_url, RUNAPI_MCP_LOG="off") as server, web(server.base_url) as http:
        await http.call(1, "list_models")
        assert lines(server) == []


async def test_a_server_without_a_key_is_not_ready_once_the_grace_is_over(sim: Simulator) -> None:
    async with web_server(sim.base_url, RUNAPI_TOKEN="") as server:
        assert (await ready(server))[0] == 200
    async with web_server(sim.base_url, "--ready-grace", "0", RUNAPI_TOKEN="") as server:
        code, facts = await ready(server)
        assert code == 503
        assert facts["status"] == "not ready"
        assert facts["reason"] == "Missing: the RunAPI key (set RUNAPI_TOKEN)."


async def test_a_server_whose_callers_bring_their_keys_needs_none(sim: Simulator) -> None:
    async with web_server(sim.base_url, "--auth", "key", "--ready-grace", "0", RUNAPI_TOKEN="") as server:
        assert (await ready(server))[0] == 200


async def test_a_server_whose_store_is_away_is_not_ready_until_it_is_back(sim: Simulator) -> None:
    pytest.importorskip("redis")
    store = f"redis://127.0.0.1:{free_port()}/0"
    async with web_server(sim.base_url, "--ready-grace", "0.2", RUNAPI_MCP_STORE=store) as server:

        async def is_not_ready() -> bool:
            return (await ready(server))[0] == 503

        await became(is_not_ready)
        code, facts = await ready(server)
        assert (code, facts["reason"]) == (503, "Missing: the store, which does not answer.")
        assert "127.0.0.1" not in str(facts), "a probe tells nothing about the network behind it"
        async with web(server.base_url) as http, anyio.create_task_group():
            assert (await http.call(1, "ask_gemini", prompt="All the same")).status_code == 200


async def test_failed_logins_are_logged_with_where_they_came_from_and_without_what_was_sent(
    sim: Simulator,
) -> None:
    async with web_server(sim.base_url, "--auth", "token", RUNAPI_MCP_TOKENS=TOKENS) as server:
        async with web(server.base_url, Authorization="Bearer wrong-canary-0123456789") as http:
            for _ in range(25):
                assert (await http.call(1, "list_models")).status_code == 401
        async with web(server.base_url) as http:
            assert (await http.call(1, "list_models")).status_code == 401
            numbers = (await http.http.get("/metrics")).text
        failed = [line for line in lines(server) if line["event"] == "login failed"]
        assert "wrong-canary" not in server.log
    assert len(failed) == 10, "ten a minute; the rest is counted"
    assert failed[0]["address"] == "127.0.0.1"
    assert 'runapi_mcp_failed_logins_total{reason="invalid"} 25.0' in numbers
    assert 'runapi_mcp_failed_logins_total{reason="missing"} 1.0' in numbers

"""Who asked what, and what it took: in every line of a call, and in metrics for a bounded number of names."""

import json
import re
from typing import Any

import pytest
from logged import logged
from server.hosting import server_env
from waiting import became

from network.raw_web import web
from network.web_host import served
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from runapi_mcp.telemetry import MOST_PRINCIPALS, OTHERS
from runapi_mcp.transports.http.auth import Auth, CallersKeys
from runapi_mcp.transports.http.tokens import TokenList

QUESTION = "What does the canary sing?"
ANN, BOB = "token-of-ann-0123456789", "token-of-bob-0123456789"


def tokens(*names: str) -> TokenList:
    return TokenList.read("\n".join(f"{name}:token-of-{name}-0123456789" for name in names))


async def scraped(sim: Simulator, auth: Auth, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """The metrics of a server after these calls, each a token and the arguments of a question."""
    async with served(sim, auth) as url:
        for token, arguments in calls:
            async with web(url, Authorization=f"Bearer {token}") as http:
                await http.call(1, "ask_gemini", **arguments)
        async with web(url) as http:
            return (await http.http.get("/metrics")).text.splitlines()


async def test_every_line_of_a_call_says_whose_it_is_and_of_which_tool(sim: Simulator) -> None:
    settings = from_env(server_env(sim.base_url, {"RUNAPI_MCP_LOG": "debug"}))
    with logged(settings) as log:
        async with (
            served(sim, tokens("ann", "bob")) as url,
            web(url, Authorization=f"Bearer {ANN}") as ann,
            web(url, Authorization=f"Bearer {BOB}") as bob,
        ):
            await ann.call(1, "ask_gemini", prompt=QUESTION)
            await bob.call(1, "search_web", query=QUESTION)
            await became(lambda: log.getvalue().count('"event": "generation"') == 2)
        assert "canary" not in log.getvalue()
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    ours = [line for line in found if line["event"] in {"call begun", "phase", "call", "generation"}]
    assert {(line["principal"], line["tool"]) for line in ours} == {
        ("ann", "ask_gemini"),
        ("bob", "search_web"),
    }
    [call] = [line for line in ours if line["event"] == "call" and line["principal"] == "ann"]
    assert call["outcome"] == "ok"
    assert call["model"]
    assert call["seconds"] > 0
    assert call["tokens_input"] > 0
    assert call["tokens_output"] > 0


async def test_calls_tokens_searches_and_errors_are_counted_by_name(sim: Simulator) -> None:
    found = await scraped(
        sim,
        tokens("ann", "bob"),
        (ANN, {"prompt": QUESTION, "model": "gemini-2.5-flash"}),
        (BOB, {"prompt": "No [[sim:bad-key-401]]"}),
    )
    text = "\n".join(found)
    ask = 'tool="ask_gemini"'
    assert f'runapi_mcp_calls_total{{outcome="answered",principal="ann",{ask}}} 1.0' in text
    assert f'runapi_mcp_calls_total{{outcome="error",principal="bob",{ask}}} 1.0' in text
    assert f'runapi_mcp_errors_total{{code="key_refused",{ask}}} 1.0' in text
    ours = 'model="gemini-2.5-flash",principal="ann"'
    assert f'runapi_mcp_tokens_total{{kind="output",{ours}}}' in text
    assert "canary" not in text


async def test_a_search_is_counted(sim: Simulator) -> None:
    async with served(sim, tokens("ann")) as url, web(url, Authorization=f"Bearer {ANN}") as http:
        await http.call(1, "search_web", query=QUESTION)
        text = (await http.http.get("/metrics")).text
    assert 'runapi_mcp_searches_total{principal="ann"} 1.0' in text


async def test_more_names_than_are_told_apart_are_counted_together(sim: Simulator) -> None:
    names = [f"user{number}" for number in range(MOST_PRINCIPALS + 5)]
    async with served(sim, tokens(*names)) as url, web(url) as http:
        for name in names:
            http.http.headers["Authorization"] = f"Bearer token-of-{name}-0123456789"
            await http.call(1, "get_result", handle="g_unknown")
        text = (await http.http.get("/metrics")).text
    counted = [line for line in text.splitlines() if line.startswith("runapi_mcp_calls_total{")]
    assert len(counted) == MOST_PRINCIPALS + 1
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == len(names)
    assert any(f'principal="{OTHERS}"' in line for line in counted)


async def test_keys_that_runapi_never_took_and_models_that_nobody_knows_make_no_series(
    sim: Simulator,
) -> None:
    good = "sk-good-0123456789abcdef"
    junk = [(f"sk-junk-{number}-0123456789", {"prompt": "No [[sim:bad-key-401]]"}) for number in range(5)]
    named = [(good, {"prompt": QUESTION, "model": f"gemini-made-up-{number}"}) for number in range(5)]
    well = (good, {"prompt": QUESTION, "model": "gemini-2.5-flash"})
    found = await scraped(sim, CallersKeys(), *junk, well, *named)
    text = "\n".join(found)
    assert len(set(re.findall(r'principal="([^"]*)"', text)) - {OTHERS}) == 1
    assert set(re.findall(r'model="([^"]*)"', text)) == {"gemini-2.5-flash"}


@pytest.mark.parametrize(
    ("owner", "shown"),
    [
        ("token:ann", "ann"),
        ("jwt:https://idp.example.com#auth0|77", "auth0|77"),
        ("jwt:https://idp.example.com#bob#ann", "bob#ann"),
        ("key:0123456789abcdef", "key:01234567"),
        ("local", "local"),
        ("jwt:https://idp.example.com#a\nb", "a b"),
    ],
)
def test_a_principal_has_a_name_for_people(owner: str, shown: str) -> None:
    from runapi_mcp.logs import principal

    assert principal(owner) == shown

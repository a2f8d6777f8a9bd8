"""search_web over the real upstream path."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from pydantic import ValidationError

from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import teach
from runapi_mcp.tools.search import SearchArgs
from tools.calling import Desk, desk, facts

QUESTION = "Which libraries and lighthouses are there? Νάξος 苏州 garden"
NATIVE = {"model": "gemini-3.7-flash"}
DIALECTS: dict[str, dict[str, Any]] = {"chat": {}, "native": NATIVE}

Asking = tuple[Desk, dict[str, Any]]


@pytest.fixture(params=DIALECTS)
async def asking(
    request: pytest.FixtureRequest, sim: Simulator
) -> AsyncIterator[tuple[Desk, dict[str, Any]]]:
    sim.bridge = True
    async with desk(sim) as at:
        yield at, DIALECTS[request.param]


@asynccontextmanager
async def redirecting(pages: dict[str, bytes], seen: list[bytes]) -> AsyncIterator[str]:
    """A host that answers each path with these bytes, after noting the request; unknown paths stay silent."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            request = await stream.receive()
            seen.append(request)
            answer = pages.get(request.split(b" ")[1].decode())
            if answer is None:
                await anyio.sleep_forever()
            else:
                await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


def moved(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_a_grounded_answer_has_markers_sources_and_claims(asking: Asking) -> None:
    at, model = asking
    reply = await at.call("search_web", query=QUESTION, **model)
    found = facts(reply)
    assert found["status"] == "complete"
    assert found["answer_grounded"] == "partly", "the simulator's last sentence has no source"
    assert [s["number"] for s in found["sources"]] == [1, 2, 3]
    assert len(found["supports"]) == 3
    assert found["uncited_sentences"] == ["(A simulated search over a dozen made-up pages.)"]
    for claim in found["supports"]:
        marks = "".join(f"[{n}]" for n in claim["sources"])
        assert f"{claim['text']}{marks}" in reply.text, "a marker stands right behind its claim"
    assert "Sources:\n[1] " in reply.text


@pytest.mark.parametrize(
    ("scenario", "model", "origin", "grounded"),
    [
        ("annotations", {}, "annotation", "partly"),
        ("grounding-on-chat", {}, "grounding", "partly"),
        ("grounding-on-chat at=delta", {}, "grounding", "partly"),
        ("search-reasoning-content", {}, "relay", "partly"),
        ("links-in-text", {}, "link", False),
        ("links-in-text", NATIVE, "link", False),
        ("offset-off-by-one", NATIVE, "grounding", "partly"),
    ],
)
async def test_sources_are_read_from_wherever_they_come_and_labelled(
    sim: Simulator, scenario: str, model: dict[str, Any], origin: str, grounded: object
) -> None:
    sim.bridge = True
    sim.play(scenario)
    async with desk(sim) as at:
        reply = await at.call("search_web", query=QUESTION, **model)
    found = facts(reply)
    assert {s["origin"] for s in found["sources"]} == {origin}
    assert found["answer_grounded"] == grounded
    assert "card_content" not in reply.text


@pytest.mark.parametrize(
    ("scenario", "model"), [("no-sources", {}), ("no-sources", NATIVE), ("grounding-no-chunks", NATIVE)]
)
async def test_no_sources_is_said_plainly_in_both_halves(
    sim: Simulator, scenario: str, model: dict[str, Any]
) -> None:
    sim.bridge = True
    sim.play(scenario)
    async with desk(sim) as at:
        reply = await at.call("search_web", query=QUESTION, **model)
    found = facts(reply)
    assert found["answer_grounded"] is False
    assert not {"sources", "supports"} & {*found}, "what is empty is not given"
    assert "No sources came back" in reply.text
    assert any("No sources came back" in note for note in found["notes"])
    assert "[1]" not in reply.text
    assert "Sources:" not in reply.text


async def test_redirects_become_the_pages_they_lead_to(sim: Simulator) -> None:
    sim.bridge = True
    seen: list[bytes] = []
    root = "/grounding-api-redirect/"
    pages = {
        f"{root}SUZHOUSIMULATED": moved("https://library.example.org/suzhou"),
        f"{root}NAXOSSIMULATED": moved("javascript:alert(1)"),
        f"{root}LIGHTHOUSESIMULATED": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    }
    async with redirecting(pages, seen) as host, desk(sim, redirects_at=host) as at:
        reply = await at.call("search_web", query="苏州新图书馆 Νάξου φεστιβάλ lighthouses Merrow", **NATIVE)
        again = await at.call("get_result", handle=reply.handle)
    sources = {s["url"]: s for s in facts(reply)["sources"]}
    resolved = sources["https://library.example.org/suzhou"]
    assert (resolved["domain"], resolved.get("redirect")) == ("library.example.org", None)
    assert sum(s.get("redirect", False) for s in sources.values()) == 2, (
        "those that lead nowhere safe are kept and labelled"
    )
    assert "a Google redirect link; it expires" in reply.text
    assert facts(again)["sources"] == facts(reply)["sources"], "the links are remembered"
    assert len(seen) == 3
    for request in seen:
        assert request.startswith(b"HEAD /grounding-api-redirect/")
        assert b"canary" not in request, "the key goes to RunAPI only"


async def test_redirects_that_do_not_answer_cost_two_seconds_in_all(sim: Simulator) -> None:
    sim.bridge = True
    seen: list[bytes] = []
    async with redirecting({}, seen) as host, desk(sim, redirects_at=host) as at:
        with anyio.fail_after(4):
            reply = await at.call("search_web", query=QUESTION, **NATIVE)
    assert len(seen) == 3, "they are asked in parallel"
    assert all(s.get("redirect", False) for s in facts(reply)["sources"])


async def test_only_https_links_of_googles_redirect_host_are_asked(sim: Simulator) -> None:
    seen: list[bytes] = []
    links = (
        "http://vertexaisearch.cloud.google.com/a",
        "https://vertexaisearch.cloud.google.com.evil.org/b",
        "https://vertexaisearch.cloud.google.com:8443/c",
        "https://user@vertexaisearch.cloud.google.com/d",
        "https://example.org/e",
        "https://[broken",
    )
    async with redirecting({}, seen) as host, desk(sim, redirects_at=host) as at:
        assert await at.upstream.redirects(links) == {}
    assert seen == []


async def test_filters_are_asked_of_the_model_and_enforced_on_the_sources(
    asking: Asking, sim: Simulator
) -> None:
    at, model = asking
    reply = await at.call(
        "search_web",
        query="roof gardens and the regatta",
        include_domains=["https://garden.example.org/x"],
        recency="week",
        language="de",
        **model,
    )
    asked = json.dumps(sim.calls[-1].body)
    assert "garden.example.org" in asked
    assert "last week" in asked
    assert "language: de" in asked
    found = facts(reply)
    # On chat the simulator's pages are all of example.org, so none is left.
    assert {s["domain"] for s in found.get("sources", [])} == ({"garden.example.org"} if model else set())
    gone = "3 sources came back and are of no site that was asked for"
    assert (gone in reply.text) is not bool(model)
    assert "No sources came back" not in reply.text
    assert set(found["filters"]) == {"recency", "language", "include_domains"}
    assert ("2 removed" if model else "3 removed") in found["filters"]["include_domains"]
    assert "not checked" in found["filters"]["recency"]
    for name, how in found["filters"].items():
        assert f"{name}: {how}" in reply.text, "both halves say it"


@pytest.mark.parametrize(("depth", "effort"), [("quick", "low"), ("thorough", "high"), (None, None)])
async def test_depth_sets_effort_and_instructions(
    asking: Asking, sim: Simulator, depth: str | None, effort: str | None
) -> None:
    at, model = asking
    await at.call("search_web", query=QUESTION, **model, **({"depth": depth} if depth else {}))
    body: Any = sim.calls[-1].body
    config = body.get("generationConfig", {}).get("thinkingConfig", {})
    assert body.get("reasoning_effort", config.get("thinkingLevel")) == effort


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"include_domains": ["not a domain"]}, "include_domains[0]: must be a domain"),
        ({"exclude_domains": ["localhost"]}, "exclude_domains[0]: must be a domain"),
        ({"recency": "decade"}, "recency: must be 'day', 'week', 'month' or 'year'"),
        ({"language": "x\ny"}, "language: must be one language"),
        ({"depth": "deep"}, "depth: must be"),
        ({"exclude_domains": ["example.org"] * 51}, "exclude_domains: must have at most 50 domains, not 51"),
    ],
)
def test_a_bad_filter_is_taught(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SearchArgs.model_validate({"query": "x", **arguments})
    assert said in str(teach(caught.value, SearchArgs))


async def test_a_running_search_says_so_in_both_halves_and_does_not_judge(sim: Simulator) -> None:
    sim.play("slow seconds=0.6")
    async with desk(sim) as at:
        reply = await at.call("search_web", query=QUESTION, wait_seconds=0.1)
        found = facts(reply)
        assert found["status"] == "running"
        assert "answer_grounded" not in found
        assert found["handle"] in reply.text
        rest = await at.call("get_result", handle=found["handle"])
    assert facts(rest)["status"] == "complete"
    assert "answer_grounded" in facts(rest)


async def test_a_model_without_search_is_refused_with_those_that_have_it(sim: Simulator) -> None:
    async with desk(sim) as at:
        with pytest.raises(InputError, match=r"gemini-3-flash-preview.*Google Search.*gemini-2.5-flash"):
            await at.call("search_web", query=QUESTION, model="gemini-3-flash-preview")
    assert sim.calls == []


async def test_hostile_titles_and_urls_are_harmless(sim: Simulator) -> None:
    text = "Read ([see [x](here)](https://a.org/" + quote("<b>") + ")) and javascript:alert(1) now."
    sim.play(f"default text={json.dumps(text)}")
    async with desk(sim) as at:
        reply = await at.call("search_web", query=QUESTION)
    assert all(s["url"].startswith("https://") for s in facts(reply)["sources"])

"""One error boundary: whatever breaks in a handler, the host is told in words of ours, and no more."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, NoReturn, TypeAlias

import mcp_types as types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from runapi_mcp.errors import RunapiError, StoreDown, Unavailable
from runapi_mcp.generations.registry import Generations
from runapi_mcp.request import Run
from runapi_mcp.server import app
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS, Args, Reply
from runapi_mcp.wire.fold import Fold
from server.hosting import Host, in_process, server_env

Asked: TypeAlias = Callable[[Client], Awaitable[object]]

ASKED: dict[str, tuple[str, Asked]] = {
    "resources/list": ("list_resources", lambda client: client.list_resources()),
    "resources/templates/list": ("list_templates", lambda client: client.list_resource_templates()),
    "resources/read": ("read", lambda client: client.read_resource("models://catalogue")),
    "prompts/list": ("list_prompts", lambda client: client.list_prompts()),
    "prompts/get": ("write_prompt", lambda client: client.get_prompt("research", {"topic": "Tides"})),
    "completion/complete": (
        "complete_argument",
        lambda client: client.complete(
            types.PromptReference(name="research"), {"name": "depth", "value": ""}
        ),
    ),
}
"""Methods with what each is answered by, and how a client asks."""


def _bug(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError("a secret detail")


def _invalid(*_: object, **__: object) -> NoReturn:
    """Fail as a model of our own does, which is nothing the host did."""
    TypeAdapter(int).validate_python("a secret detail")
    raise AssertionError("it was invalid")


@pytest.fixture(params=["legacy", "2026-07-28"])
def mode(request: pytest.FixtureRequest) -> str:
    era: str = request.param
    return era


@pytest.mark.parametrize("broken", [_bug, _invalid])
@pytest.mark.parametrize("method", ASKED)
async def test_a_bug_in_any_method_is_an_internal_error_in_words_of_ours(
    sim: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    method: str,
    broken: Callable[..., NoReturn],
) -> None:
    answered_by, ask = ASKED[method]
    monkeypatch.setattr(app, answered_by, broken)
    async with in_process(sim.base_url, mode=mode) as host:
        with pytest.raises(MCPError) as refused:
            await ask(host.client)
    told = refused.value.error
    assert told.code == types.INTERNAL_ERROR
    assert told.message.startswith(f"{method} failed because of a bug in runapi-mcp.")
    assert "secret" not in told.model_dump_json()


async def test_what_is_no_longer_there_is_said_to_be_with_what_helps(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv cleans its cache under servers that run (basicmachines-co/basic-memory#1579)."""

    def gone(*_: object) -> NoReturn:
        raise ModuleNotFoundError("a secret detail")

    monkeypatch.setattr(app, "_read", gone)
    async with in_process(sim.base_url) as host:
        called = await host.call("search_web", query="x")
    assert called.failed
    assert called.text.startswith("search_web failed: a part of runapi-mcp is no longer there.")
    assert called.text.endswith("restart this MCP server in the host.")


async def test_a_bug_is_logged_with_its_traceback(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "list_prompts", _bug)
    async with in_process(sim.base_url) as host:
        with pytest.raises(MCPError):
            await host.client.list_prompts()
    (line,) = [record for record in caplog.records if record.message == "prompts/list failed"]
    assert line.exc_info is not None
    assert line.exc_info[0] is ZeroDivisionError


async def _crashed(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """The handle of a generation that a bug has ended."""
    with monkeypatch.context() as patched:
        patched.setattr(Fold, "feed", _bug)
        handle = (await host.call("ask_gemini", prompt="Broken", wait_seconds=0)).handle
        await host.call("get_result", handle=handle)
    return handle


async def test_the_text_of_a_generation_that_a_bug_ended_is_an_internal_error(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    async with in_process(sim.base_url, mode=mode) as host:
        handle = await _crashed(host, monkeypatch)
        with pytest.raises(MCPError) as refused:
            await host.client.read_resource(f"generation://{handle}")
    assert refused.value.error.code == types.INTERNAL_ERROR
    assert "secret" not in refused.value.error.message


async def test_the_result_of_a_generation_that_a_bug_ended_is_a_result_that_says_so(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_process(sim.base_url) as host:
        handle = await _crashed(host, monkeypatch)
        again = await host.call("get_result", handle=handle)
    assert again.failed
    assert again.code == "bug"
    assert "secret" not in again.text


async def _performed(sim: Simulator, perform: Callable[[Any, Run], Awaitable[Reply]]) -> types.CallToolResult:
    """The result of a tool that does this."""
    tools = {"ask_gemini": replace(TOOLS["ask_gemini"], perform=perform)}
    settings = from_env(server_env(sim.base_url, {}))
    async with (
        open_app(settings) as app,
        Client(build_server(app, tools=tools), mode="legacy") as client,
    ):
        return await client.call_tool("ask_gemini", {"prompt": "Hello?"})


async def test_a_model_of_ours_that_is_broken_is_not_blamed_on_the_arguments(sim: Simulator) -> None:
    async def perform(_args: Args, _run: Run) -> Reply:
        _invalid()

    result = await _performed(sim, perform)
    assert result.is_error
    assert result.meta == {"ai.runapi/error": "bug"}
    (said,) = result.content
    assert isinstance(said, types.TextContent)
    assert "not caused by the arguments" in said.text


async def test_halves_of_surrogate_pairs_in_facts_are_replaced(sim: Simulator) -> None:
    async def perform(_args: Args, _run: Run) -> Reply:
        return Reply("half \ud83d", structured={"half \ud83d": ["half \ude00", 1, None]})

    result = await _performed(sim, perform)
    assert result.structured_content == {"half \ufffd": ["half \ufffd", 1, None]}


@pytest.mark.parametrize(
    "error", [StoreDown("handle: the store cannot be reached."), Unavailable("RunAPI is down (503).")]
)
async def test_what_is_not_the_requests_fault_is_not_told_as_its_fault(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, error: RunapiError
) -> None:
    async def down(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(Generations, "find", down)
    async with in_process(sim.base_url) as host:
        with pytest.raises(MCPError) as refused:
            await host.client.read_resource("generation://g_any")
    assert refused.value.error.code == types.INTERNAL_ERROR
    assert refused.value.error.message == str(error)
    assert refused.value.error.data == {"ai.runapi/error": error.code}


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("generation://g_nobody", "'g_nobody'"),
        ("generation://", "no generation"),
        ("file:///etc/passwd", "Unknown resource: 'file:///etc/passwd'. Resources: models://catalogue"),
    ],
)
async def test_a_resource_that_is_none_is_the_requests_fault_and_is_named(
    host: Host, uri: str, named: str
) -> None:
    with pytest.raises(MCPError) as refused:
        await host.client.read_resource(uri)
    assert refused.value.error.code == types.INVALID_PARAMS
    assert refused.value.error.data == {"uri": uri}
    assert named in refused.value.error.message


async def test_a_handle_alone_is_no_uri_of_its_generation(host: Host) -> None:
    called = await host.call("ask_gemini", prompt="Alone.")
    with pytest.raises(MCPError) as refused:
        await host.client.read_resource(called.handle)
    assert refused.value.error.code == types.INVALID_PARAMS

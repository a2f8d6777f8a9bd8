"""Above a cost that whoever runs the server sets, a host that can ask its person does so first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.session import ElicitationFnT
from pydantic import SecretStr

from runapi_mcp import request
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator

MODEL = "gemini-2.5-flash"
ERAS = pytest.mark.parametrize("mode", ["legacy", "auto"])


@asynccontextmanager
async def host(
    sim: Simulator,
    tmp_path: Path,
    mode: Literal["legacy", "auto"],
    person: ElicitationFnT | None,
    **settings: Any,
) -> AsyncIterator[Client]:
    prices = tmp_path / "prices"
    prices.write_text(f"{MODEL} 1 10\n")  # it is small
    values = {
        "key": SecretStr("sk-canary-consent"),
        "ask_above_cost": 0.01,
        "prices": str(prices),
        **settings,
    }
    async with (
        open_app(Settings(base_url=sim.base_url, **values)) as app,
        Client(build_server(app), mode=mode, elicitation_callback=person) as client,
    ):
        yield client


class Asked:
    """A person at a host, and what they were asked."""

    def __init__(self, action: Literal["accept", "decline", "cancel"]) -> None:
        self.action = action
        self.questions: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult:
        del context
        self.questions.append(params.message)
        return types.ElicitResult(action=self.action, content={} if self.action == "accept" else None)


async def call(client: Client, cap: int, **more: Any) -> tuple[bool, str]:
    asked = {"prompt": "How tall?", "model": MODEL, "max_output_tokens": cap, **more}
    result = await client.call_tool("ask_gemini", asked)
    assert isinstance(result.content[-1], types.TextContent)
    return bool(result.is_error), " ".join(b.text for b in result.content if isinstance(b, types.TextContent))


@ERAS
async def test_a_dear_call_is_made_once_the_person_allows_it(
    sim: Simulator, tmp_path: Path, mode: Literal["legacy", "auto"]
) -> None:
    person = Asked("accept")
    async with host(sim, tmp_path, mode, person) as client:
        assert not (await call(client, 900))[0]
        assert person.questions == []
        failed, text = await call(client, 2_000, fresh=True)
    assert not failed
    assert "simulated" in text
    assert person.questions == [f"This call of {MODEL} may cost up to 0.0200 USD. Make it?"]
    assert len(sim.calls) == 2


@ERAS
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_one_that_is_not_allowed_is_not_sent(
    sim: Simulator, tmp_path: Path, mode: Literal["legacy", "auto"], action: Literal["decline", "cancel"]
) -> None:
    async with host(sim, tmp_path, mode, Asked(action)) as client:
        failed, text = await call(client, 2_000)
    assert failed
    assert "0.0200 USD: the person at the host did not allow it, so nothing was sent" in text
    assert "max_output_tokens" in text
    assert sim.calls == []


@ERAS
async def test_a_host_that_cannot_ask_is_not_held(
    sim: Simulator, tmp_path: Path, mode: Literal["legacy", "auto"]
) -> None:
    async with host(sim, tmp_path, mode, None) as client:
        assert not (await call(client, 2_000))[0]


@ERAS
async def test_what_has_no_price_or_a_limit_of_its_own_below_it_is_not_asked_about(
    sim: Simulator, tmp_path: Path, mode: Literal["legacy", "auto"]
) -> None:
    person = Asked("decline")
    async with host(sim, tmp_path, mode, person) as client:
        assert not (await call(client, 2_000, model="gemini-3.5-flash"))[0]
        assert not (await call(client, 2_000, max_cost=0.005))[0]
    assert person.questions == []


async def test_a_host_that_fails_to_ask_has_not_been_allowed(sim: Simulator, tmp_path: Path) -> None:
    async def fails(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ErrorData:
        del context, params
        return types.ErrorData(code=types.INTERNAL_ERROR, message="Nobody here.")

    async with host(sim, tmp_path, "legacy", fails) as client:
        assert (await call(client, 2_000))[0]
    assert sim.calls == []


async def test_a_person_who_does_not_answer_holds_the_host_no_longer_than_it_waits(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "HEARTBEAT", 0.02)

    async def silent(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        del context, params
        await anyio.sleep_forever()
        raise AssertionError("it sleeps for ever")

    lines: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        lines.append(message or "")

    async with host(sim, tmp_path, "legacy", silent, hold=0.5) as client:
        arguments = {"prompt": "How tall?", "model": MODEL, "max_output_tokens": 2_000}
        result = await client.call_tool("ask_gemini", arguments, progress_callback=note)
    assert result.is_error
    assert "nobody answered, so nothing was sent" in str(result.content)
    assert lines.count(f"waiting for consent: this call of {MODEL} may cost up to 0.0200 USD") > 2
    assert sim.calls == []

"""A team on three real servers with one Redis: who may call, what each may use, and who used what."""

import json
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import anyio
from messages import ENVELOPE, tool_call
from server.hosting import server_env
from waiting import became

from fleet.processes import Fleet, Said, fleet
from fleet.redis_server import RedisServer
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.tokens import add_token, list_tokens, revoke_tokens

MODEL = "gemini-2.5-flash"
LIMIT, CAP = 20_000, 3_000
CANARY = "what-ann-wanted-to-know"
TODAY = date(2026, 11, 28)


async def test_a_team_shares_three_servers_while_tokens_change_and_a_limit_is_reached(
    sim: Simulator, redis: RedisServer, tmp_path: Path
) -> None:
    file, prices = tmp_path / "tokens", tmp_path / "prices"
    prices.write_text(f"{MODEL} 1 10\n")
    old, bob = add_token(file, "ann", TODAY), add_token(file, "bob", TODAY, admin=True)
    settings = {"RUNAPI_MCP_MAX_TOKENS_PER_DAY": str(LIMIT), "RUNAPI_MCP_PRICES": str(prices)}
    team = fleet(sim.base_url, redis.url, "--auth", "token", "--tokens", str(file), env=settings)
    async with team as three:
        said: dict[str, list[Said]] = {"ann": [], "bob": []}

        async def ask(name: str, token: str, prompt: str, cap: int = CAP) -> Said:
            done = await three.call(
                *("ask_gemini", token),
                prompt=prompt,
                model=MODEL,
                max_output_tokens=cap,
                fresh=True,
                wait_seconds=25,
            )
            said[name].append(done)
            return done

        async with anyio.create_task_group() as tasks:
            # All through what follows bob has an answer under way.
            tasks.start_soon(ask, "bob", bob, "Long? [[sim:slow seconds=15]]")
            await sim.wait_for_call()

            # Ten calls at once, on all three, of which six fit into ann's day.
            async with anyio.create_task_group() as crowd:
                for number in range(10):
                    crowd.start_soon(ask, "ann", old, f"{CANARY} {number} [[sim:slow seconds=6]]")
            refused = [one for one in said["ann"] if one.is_error]
            assert len(refused) == 10 - LIMIT // (CAP + 60)
            assert all("Today's 20,000 tokens leave" in one.text for one in refused)
            assert all("00:00 UTC" in one.text and "Whoever runs this server" in one.text for one in refused)
            assert len(set(three.served)) == 3

            # What they did not use was given back; one that goes on past its cap is closed, its text kept.
            closed = await ask("ann", old, f"{CANARY} beyond [[sim:huge-event mb=1]]", 150)
            assert closed.status == "partial"
            assert "went past the 150 tokens" in closed.text
            assert len(closed.answer) > 150 * 4

            # Ann's token is exchanged while an answer of hers is on its way.
            new = add_token(file, "ann", TODAY)
            await _all_answer(three, new, 200)
            ends: list[Any] = []

            async def cut() -> None:
                message = tool_call(
                    1, "ask_gemini", modern=True, prompt="Cut [[sim:slow seconds=20]]", max_output_tokens=500
                )
                try:
                    ends.append((await three.post(message, old)).status_code)
                except anyio.BrokenResourceError:  # pragma: no cover  # how a connection ends is the system's
                    ends.append("broken")

            asked = len(sim.calls)
            tasks.start_soon(_noted, cut, ends)
            await sim.wait_for_call(asked + 1)
            revoke_tokens(file, "ann", list_tokens(file)[0].id)
            await _all_answer(three, old, 401)
            await became(lambda: bool(ends))
            again = await ask("ann", new, f"{CANARY} with the new one?")
            assert again.status == "complete"
        assert [one.status for one in said["bob"]] == ["complete"], "nobody else's call was dropped"

        # Who used what, as bob may see it of whichever server he asks, is what the receipts say.
        answered = {name: [one for one in them if not one.is_error] for name, them in said.items()}
        for _ in three.servers:
            await became(lambda: _agrees(three, bob, answered))
        assert "Unknown resource" in (await _read(three, new, "usage://team"))["error"]["message"]
        rows = json.loads((await _read(three, new, "usage://me"))["result"]["contents"][0]["text"])["today"]
        assert {row["principal"] for row in rows} == {"ann"}
        logs = [b"".join(server.log).decode() for server in three.servers]
    assert CANARY not in "".join(logs)
    calls = [json.loads(line) for log in logs for line in log.splitlines() if '"event": "call"' in line]
    assert {line["principal"] for line in calls} == {"ann", "bob"}
    # All of them are gone, and it is still known.
    shown = await anyio.run_process(
        [sys.executable, "-m", "runapi_mcp", "usage", "ann", "--json", "--store", redis.url],
        env=server_env(sim.base_url, {}),
    )
    total = _sum(json.loads(shown.stdout))
    assert total["output_tokens"] == sum(
        (one.receipt["tokens"] or {}).get("output", 0) for one in answered["ann"]
    )
    assert total["cost"] > 0


async def _noted(end: Any, ends: list[Any]) -> None:
    try:
        await end()
    except Exception as error:  # noqa: BLE001  # however the connection of a revoked token ends
        ends.append(error)


async def _all_answer(three: Fleet, token: str, status: int) -> None:
    """Wait until every server answers a token so."""
    message = tool_call(1, "list_models", modern=True)

    async def all_do() -> bool:
        return {(await three.post(message, token)).status_code for _ in three.servers} == {status}

    await became(all_do)


async def _read(three: Fleet, token: str, uri: str) -> dict[str, Any]:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "resources/read",
        "params": {"uri": uri, "_meta": ENVELOPE},
    }
    read: dict[str, Any] = (await three.post(message, token)).json()
    return read


async def _agrees(three: Fleet, token: str, answered: dict[str, list[Said]]) -> bool:
    read = json.loads((await _read(three, token, "usage://team"))["result"]["contents"][0]["text"])["days"]
    for name, them in answered.items():
        total = _sum([row for row in read if row["principal"] == name])
        wanted = sum((one.receipt["tokens"] or {}).get("output", 0) for one in them)
        if total["output_tokens"] != wanted or total["partial"] != (1 if name == "ann" else 0):
            return False
    return True


def _sum(rows: list[dict[str, Any]]) -> Counter[str]:
    """Add up what was used, but for the call that was cut: its receipt came to nobody."""
    total: Counter[str] = Counter()
    for row in [row for row in rows if row["model"] == MODEL]:
        total.update({name: count for name, count in row.items() if isinstance(count, int)})
        total["cost"] += row.get("cost", {}).get("USD", 0)
    return total

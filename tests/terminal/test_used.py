"""usage and token: who used what, from the store, and who may see that of everybody."""

import json
import sys
from pathlib import Path

import pytest
from fleet.redis_server import free_port

from runapi_mcp.transports.http.tokens import TokenList
from terminal.typed import typed


def test_what_was_used_is_shown_by_day_caller_and_model_after_its_processes_have_ended(
    env: dict[str, str], tmp_path: Path
) -> None:
    prices = tmp_path / "prices"
    prices.write_text("gemini-2.5-flash 1 10\n")
    env = env | {"RUNAPI_MCP_STORE": str(tmp_path / "state"), "RUNAPI_MCP_PRICES": str(prices)}
    assert "Nothing was used, or by another key or base URL." in typed(["usage"], env).stderr
    for question, model in (
        ("One", "gemini-2.5-flash"),
        ("Two", "gemini-2.5-flash"),
        ("Three", "gemini-2.5-pro"),
    ):
        typed(["ask", question, "-m", model], env)
    shown = typed(["usage"], env)
    head, flash, pro = (line.split() for line in shown.stdout.splitlines())
    assert head == ["DAY", "WHO", "MODEL", "CALLS", "READ", "WRITTEN", "SEARCHES", "COST"]
    assert (flash[1:4], flash[-1]) == (["local", "gemini-2.5-flash", "2"], "USD")
    assert (pro[1:4], pro[-1]) == (["local", "gemini-2.5-pro", "1"], "-")
    assert "Of 1 of these calls the cost is not known." in shown.stderr
    told = json.loads(typed(["usage", "local", "--json"], env).stdout)
    assert [(row["model"], row["generations"]) for row in told] == [
        ("gemini-2.5-flash", 2),
        ("gemini-2.5-pro", 1),
    ]
    assert told[0]["cost"]["USD"] > 0
    assert json.loads(typed(["usage", "ann", "--json"], env).stdout) == []


def test_where_nothing_is_kept_or_can_be_read_usage_says_so(env: dict[str, str]) -> None:
    assert "Nothing is kept" in typed(["usage", "--store", "memory"], env, code=2).stderr
    away = f"redis://127.0.0.1:{free_port()}/0"
    assert "cannot be read" in typed(["usage", "--store", away], env, code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="tokens are a server's")
async def test_a_token_is_made_for_one_who_sees_what_everybody_used(
    env: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    token = typed(["token", "add", "ann", "--admin", "--tokens", str(file)], env).stdout.strip()
    typed(["token", "add", "bob", "--tokens", str(file)], env)
    found = await TokenList.read(file.read_text()).verify_token(token)
    assert found is not None
    assert found.scopes == ["usage:team"]
    ann, bob = typed(["token", "list", "--tokens", str(file)], env).stdout.splitlines()
    assert ("admin" in ann, "admin" in bob) == (True, False)

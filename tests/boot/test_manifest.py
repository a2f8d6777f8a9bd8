"""The manifest is what the real server answers; the prologue says nothing else."""

import json
from pathlib import Path

import anyio
import pytest

from runapi_mcp.boot.answers import MODERN
from runapi_mcp.boot.manifest import HANDSHAKES, LISTS, dump, live
from runapi_mcp.boot.prologue import MANIFEST
from runapi_mcp.settings import Settings, from_env

STALE = "runapi_mcp/boot/manifest.json is not what the server answers: run `make manifest`"
METHODS = {
    **dict.fromkeys(HANDSHAKES, ("initialize", "ping", *LISTS)),
    MODERN: ("server/discover", *LISTS),
}

# One value for each setting, all of them other than the default.
OTHERWISE = {
    "RUNAPI_TOKEN": "sk-canary-0123456789",
    "RUNAPI_BASE_URL": "http://127.0.0.1:9",
    "RUNAPI_CHAT_PATH": "/v1",
    "RUNAPI_MCP_MODEL": "gemini-2.5-pro",
    "RUNAPI_MCP_SEARCH_MODEL": "gemini-2.5-pro",
    "RUNAPI_MCP_DIALECT": "native",
    "RUNAPI_MCP_HOLD": "5",
    "RUNAPI_MCP_MAX_RESULT_CHARS": "2000",
    "RUNAPI_MCP_LOG": "debug",
    "MAX_MCP_OUTPUT_TOKENS": "1000",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, object]]:
    return anyio.run(live, Settings())


@pytest.mark.parametrize("revision", METHODS)
def test_the_manifest_holds_what_the_real_server_answers(
    answers: dict[str, dict[str, object]], revision: str
) -> None:
    made = json.loads(Path(MANIFEST).read_text(encoding="utf-8"))["answers"][revision]
    assert tuple(made) == METHODS[revision]
    for method, result in made.items():
        assert result == answers[revision][method], f"{method} in {revision}: {STALE}"


def test_the_file_is_the_generator_s_own(answers: dict[str, dict[str, object]]) -> None:
    assert Path(MANIFEST).read_text(encoding="utf-8") == dump(answers), STALE


def test_no_setting_changes_what_the_manifest_holds(answers: dict[str, dict[str, object]]) -> None:
    assert anyio.run(live, from_env(OTHERWISE)) == answers, (
        "a setting changes a list: turn the prologue off for it, in `_boots_fast` of cli.py"
    )

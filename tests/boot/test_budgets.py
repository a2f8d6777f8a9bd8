"""What must not creep up: bytes every host reads, modules it waits for, steps a chunk takes. No clock here.

The bounds stand here and nowhere else. One that breaks is a change to think about, not a flaw of the test.
"""

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from types import FrameType
from typing import Final

import httpx
import pytest
from pydantic import SecretStr
from streams import Pieces

from runapi_mcp.boot.prologue import MANIFEST
from runapi_mcp.server import app
from runapi_mcp.tools import TOOLS
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.stream import Answering, Body, Limits, Readers
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import DialectName, Request

MOST_LIST_BYTES: Final = 1_600 * len(TOOLS)
"""Of all tools in any revision, as compact JSON: 400 tokens a tool, which every conversation pays for."""
MOST_MODULES: Final = {"version": 50, "help": 120, "prologue": 50, "prologue with settings": 82}
"""Beyond what Python itself has loaded; ours included."""
MOST_CALLS: Final[dict[DialectName, int]] = {"chat": 32, "native": 37}
"""Python functions entered for a chunk, from the bytes of the body to the fold, where many arrive at once."""

RUNS: Final = {
    "version": "from runapi_mcp.cli.main import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    "help": "from runapi_mcp.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    "prologue": "import runapi_mcp.cli.main, runapi_mcp.boot.prologue, runapi_mcp.boot.prologue",
    "prologue with settings": "import runapi_mcp.cli.main, runapi_mcp.boot.prologue\n"
    "runapi_mcp.cli.main._boots_fast({'RUNAPI_MCP_FAST_BOOT': '1'})",
}


def modules(code: str) -> set[str]:
    code = f"import sys\n{code}\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    return modules("")


@pytest.mark.parametrize("run", RUNS)
def test_what_is_asked_first_waits_for_the_standard_library_only(bare: set[str], run: str) -> None:
    loaded = modules(RUNS[run]) - bare
    strangers = {name.partition(".")[0] for name in loaded} - {"runapi_mcp"} - sys.stdlib_module_names
    assert not strangers
    assert len(loaded) <= MOST_MODULES[run], sorted(loaded)


@pytest.mark.parametrize("run", ["prologue"])
def test_the_prologue_does_without_what_is_slow_to_import(bare: set[str], run: str) -> None:
    slow = {"argparse", "asyncio", "dataclasses", "inspect", "logging", "pathlib", "urllib.parse"}
    assert not (modules(RUNS[run]) - bare) & slow


SERVER: Final = """
from runapi_mcp.boot.prologue import quick_imports
with quick_imports():
    import runapi_mcp.transports.stdio.serve
"""
CLIENT: Final = """
import mcp.server
from mcp import Client
from mcp.server import MCPServer
assert hasattr(mcp, "__path__") and not hasattr(mcp, "no_such_name")
"""


def test_the_server_is_imported_without_the_sdks_client_which_is_there_for_whoever_asks() -> None:
    unneeded = {"mcp.client.session", "mcp.server.mcpserver"}
    assert not modules(SERVER) & unneeded
    assert modules(SERVER + CLIENT) >= unneeded


LATER: Final = {
    "sqlite3",
    *("runapi_mcp.citations.annotate", "runapi_mcp.extraction.rounds", "runapi_mcp.files.folders"),
    *("runapi_mcp.files.git", "runapi_mcp.tools.research", "runapi_mcp.tools.search_schema"),
}
"""What a first question does not need, and another may."""


def test_a_first_question_waits_for_no_module_that_it_does_not_need() -> None:
    assert not modules(SERVER) & LATER


MODELS: Final = """
from mcp_types import Tool
from pydantic import BaseModel
from runapi_mcp.tools.search import SearchArgs
models = Tool, SearchArgs
assert not any(model.__pydantic_complete__ for model in models)
Tool(name="x", input_schema={"type": "object"})
SearchArgs(query="x")
assert all(model.__pydantic_complete__ for model in models)
assert "defer_build" not in BaseModel.model_config
"""


def test_what_validates_a_model_is_built_when_that_is_first_used() -> None:
    assert modules(SERVER + MODELS)


WARM: Final = """
from mcp_types.methods import CLIENT_REQUESTS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from runapi_mcp.server.app import warm_up
from runapi_mcp.tools import TOOLS
from runapi_mcp.wire import chat, gemini
revisions = HANDSHAKE_PROTOCOL_VERSIONS + MODERN_PROTOCOL_VERSIONS
requests = [CLIENT_REQUESTS["tools/call", revision] for revision in revisions]
models = [chat.ChatChunk, gemini.NativeChunk, *(tool.args for tool in TOOLS.values()), *requests]
assert not any(model.__pydantic_complete__ for model in models)
warm_up()
assert all(model.__pydantic_complete__ for model in models)
"""


def test_a_call_that_comes_later_waits_for_no_model_and_no_module() -> None:
    assert modules(SERVER + WARM) >= LATER


def test_a_python_without_sqlite_is_no_reason_to_complain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_NEEDED_LATER", ("no_such_module",))
    app.warm_up()


def test_the_tools_take_no_more_than_their_share_of_a_conversation() -> None:
    answers = json.loads(Path(MANIFEST).read_text(encoding="utf-8"))["answers"]
    for revision, methods in answers.items():
        text = json.dumps(methods["tools/list"]["tools"], ensure_ascii=False, separators=(",", ":"))
        assert len(text.encode()) <= MOST_LIST_BYTES, revision


CHUNKS: Final = 2_000
CHAT: Final = {
    "id": "c",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}],
}
NATIVE: Final = {
    "candidates": [{"content": {"parts": [{"text": "word "}], "role": "model"}, "index": 0}],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10},
    "modelVersion": "m",
}
USUAL: Final[dict[DialectName, object]] = {"chat": CHAT, "native": NATIVE}


async def folded(dialect: DialectName, pieces: list[bytes]) -> Fold:
    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(pieces))
    roomy = Limits(event_bytes=1 << 20, stream_bytes=1 << 30, silence=60)
    key = SecretStr("simulated-key")
    body = Body(response, roomy, Trace(), lambda: 0.0, Readers(), key)
    decoder = dialects("/v1")[dialect].decoder()
    fold = Fold()
    answering = Answering(body, decoder, Request("/x", "bearer", {}), key, fold.ending)
    async with aclosing(body), aclosing(answering.events()) as events:
        async for several in events:
            for event in several:
                fold.feed(event)
    return fold


def calls(dialect: DialectName, chunks: int) -> int:
    """Count the Python functions entered while `chunks` chunks are folded, 64 of them in each piece."""
    event = b"data: " + json.dumps(USUAL[dialect]).encode() + b"\n\n"
    pieces = [event * 64] * (chunks // 64) + [event * (chunks % 64)]
    entered = 0

    def count(_frame: FrameType, what: str, _argument: object) -> None:
        nonlocal entered
        entered += what == "call"

    async def run() -> None:
        sys.setprofile(count)
        try:
            fold = await folded(dialect, pieces)
        finally:
            sys.setprofile(None)
        assert fold.characters == 5 * chunks

    asyncio.run(run())
    return entered


@pytest.mark.parametrize("dialect", MOST_CALLS)
def test_a_chunk_takes_few_steps_and_no_more_of_them_in_a_long_stream(dialect: DialectName) -> None:
    few, many = calls(dialect, CHUNKS), calls(dialect, 4 * CHUNKS)
    each = (many - few) / (3 * CHUNKS)
    assert each <= MOST_CALLS[dialect]
    assert many - few <= 3 * few + CHUNKS, "a chunk costs more, the longer the stream"

"""Calls as one makes them who has read the list of tools and nothing else: each is right at once.

They were written before anything else was looked at, for tasks that people have; what had to be guessed at a
first round went into the list's words.
"""

import base64
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from server.hosting import Host, in_process

from runapi_mcp.sim import Simulator

INVOICE: Final = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "total": {"type": "number"}},
    "required": ["number", "total"],
}
NAME: Final = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
METRES: Final = {"type": "object", "properties": {"metres": {"type": "number"}}}
PRIORITY: Final = {
    "type": "object",
    "properties": {"priority": {"enum": ["low", "high"]}},
    "required": ["priority"],
}
FACTS: Final = {
    "type": "object",
    "properties": {"facts": {"type": "array", "items": {"type": "string"}}},
}
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Final = [{"name": "get_weather", "description": "Weather of a city", "parameters": CITY}]
OSLO: Final = {"name": "get_weather", "arguments": {"city": "Oslo"}}
BERGEN: Final = {"name": "get_weather", "arguments": {"city": "Bergen"}}
PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WHEN: Final = "When was the Example Observatory opened?"

ASKED: Final[dict[str, dict[str, Any]]] = {
    "two files that I changed": {"prompt": "Review.", "files": ["src/app.py", "src/util.py"]},
    "a PDF here": {"prompt": "Summarise.", "files": ["report.pdf"]},
    "a file below home": {"prompt": "What fails?", "files": ["~/notes/app.log"]},
    "the last commit": {"prompt": "Review this change.", "files": ["git:HEAD~1..HEAD"]},
    "a branch": {"prompt": "Review.", "files": ["git:HEAD~1...HEAD"]},
    "all Python": {"prompt": "Review.", "files": ["src/**/*.py"]},
    "a folder": {"prompt": "Explain.", "files": ["src"]},
    "a picture": {"prompt": "What is on it?", "files": ["shot.png"]},
    "a picture of the web": {"prompt": "What is on it?", "files": ["https://example.org/a.png"]},
    "bytes": {"prompt": "What?", "files": ["data:image/png;base64," + base64.b64encode(PNG).decode()]},
    "a video": {"prompt": "What is said?", "files": ["https://youtu.be/dQw4w9WgXcQ"]},
    "the strongest": {"prompt": "Is it proved?", "model": "strongest", "reasoning_effort": "high"},
    "the cheapest": {"prompt": "Translate: good morning", "model": "cheapest"},
    "a model by its id": {"prompt": "Is it proved?", "model": "gemini-2.5-pro"},
    "little thought": {"prompt": "2+2?", "reasoning_effort": "low"},
    "its thoughts": {"prompt": "Is 91 prime?", "include_thoughts": True},
    "a role": {"prompt": "Explain TLS.", "system": "You speak like a pirate."},
    "repeatable": {"prompt": "Name a colour.", "temperature": 0, "seed": 7},
    "an end": {"prompt": "List, then END", "stop": ["END"]},
    "no waiting": {"prompt": "A story.", "wait_seconds": 0},
    "a talk": {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "What is 2+2?"},
        ]
    },
    "a function": {"prompt": "The weather in Oslo?", "functions": WEATHER},
    "a function's result": {
        "functions": WEATHER,
        "messages": [
            {"role": "user", "content": "The weather in Oslo?"},
            {"role": "assistant", "function_calls": [OSLO]},
            {"role": "function", "content": {"temp": 3}},
        ],
    },
    "results in turn": {
        "functions": WEATHER,
        "messages": [
            {"role": "user", "content": "The weather in Oslo and Bergen?"},
            {"role": "assistant", "function_calls": [OSLO, BERGEN]},
            {"role": "function", "content": "3"},
            {"role": "function", "content": "5"},
        ],
    },
    "all arguments": {
        "prompt": "2+2?", "model": "", "system": "", "files": [], "messages": [], "continue_from": "",
        "functions": [], "reasoning_effort": "any", "include_thoughts": False, "max_output_tokens": 0,
        "temperature": 1, "stop": [], "max_cost": 0, "seed": 0, "wait_seconds": -1, "fresh": False,
    },
}  # fmt: skip
SOUGHT: Final[dict[str, dict[str, Any]]] = {
    "today": {"query": "What are today's headlines?", "recency": "day"},
    "a page": {"query": "Summarise https://example.org/stars", "include_domains": ["example.org"]},
    "a fact": {"query": WHEN, "depth": "quick"},
    "several searches": {"query": WHEN, "depth": "thorough"},
    "a report": {"query": "How is the Example Observatory financed?", "depth": "research", "max_searches": 5},
    "between days": {"query": "Python?", "since": "2026-01-01", "until": "2026-03-31"},
    "not from there": {"query": WHEN, "exclude_domains": ["wikipedia.org"], "max_sources": 3},
    "a language": {"query": WHEN, "language": "pt-BR"},
    "as JSON": {"query": WHEN, "schema": FACTS},
    "all arguments": {
        "query": WHEN, "continue_from": "", "model": "", "depth": "any", "schema": {}, "recency": "any",
        "since": "", "until": "", "include_domains": [], "exclude_domains": [], "language": "",
        "max_searches": 0, "max_sources": 10, "wait_seconds": -1, "fresh": False,
    },
}  # fmt: skip
DRAWN: Final[dict[str, dict[str, Any]]] = {
    "an invoice": {"text": "number 2026-117, total 129.50 EUR", "schema": INVOICE},
    "rows": {"files": ["sales.csv"], "many": True, "schema": NAME},
    "receipts": {"files": ["receipts/r0.png", "receipts/r1.png"], "many": True, "schema": INVOICE},
    "a choice": {"text": "It is urgent.", "schema": PRIORITY},
    "a unit": {"text": "3 km", "instructions": "In metres.", "schema": METRES},
    "once": {"text": "number 3 total 4", "schema": INVOICE, "max_repairs": 0, "evidence": False},
    "all arguments": {
        "schema": INVOICE, "text": "number 1 total 2", "files": [], "instructions": "", "many": False,
        "max_repairs": 1, "evidence": True, "model": "", "wait_seconds": -1, "fresh": False,
    },
}  # fmt: skip
CALLS: Final = [
    pytest.param(tool, arguments, id=f"{tool}: {task}")
    for tool, tasks in (("ask_gemini", ASKED), ("search_web", SOUGHT), ("extract_json", DRAWN))
    for task, arguments in tasks.items()
]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder such as people work in, below their home."""
    work = tmp_path / "notes"
    for folder in ("src", "receipts"):
        (work / folder).mkdir(parents=True)
    (work / "report.pdf").write_bytes(b"%PDF-1.4\ntrailer<</Root 1 0 R>>\n%%EOF\n")
    for name in ("shot.png", "receipts/r0.png", "receipts/r1.png"):
        (work / name).write_bytes(PNG)
    (work / "sales.csv").write_text("name,total\nAda,3\nBob,4\n")
    (work / "app.log").write_text("ERROR x\n" * 50)
    (work / "src/util.py").write_text("import os\n")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for text in ("def f(x): return x\n", "def f(x): return x + 1\n"):
        (work / "src/app.py").write_text(text)
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "Change")):
            subprocess.run([*git, *words], cwd=work, check=True)  # our own words
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    return work


@pytest.fixture(params=["auto", "legacy"])
async def host(request: pytest.FixtureRequest, work: Path, sim: Simulator) -> AsyncIterator[Host]:
    del work
    sim.bridge = False
    async with in_process(sim.base_url, mode=request.param) as host:
        yield host


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
async def test_a_call_that_the_list_suggests_is_right_at_once(
    host: Host, tool: str, arguments: dict[str, Any]
) -> None:
    called = await host.call(tool, **arguments)
    assert not called.failed, called.text
    assert "Ignored" not in called.text


async def test_what_a_result_says_next_is_right_at_once(host: Host) -> None:
    started = await host.call("ask_gemini", prompt="A story. [[sim:slow seconds=1]]", wait_seconds=0)
    running = re.search(r'Call get_result with handle "(g_[\w-]+)"', started.text)
    assert running, started.text
    neutral: dict[str, Any] = {
        "wait_seconds": -1,
        "offset": 0,
        "cancel": False,
        "resume": False,
        "evidence": False,
    }
    assert not (await host.call("get_result", handle=running[1], **neutral)).failed
    searched = await host.call("search_web", query=WHEN)
    onward = re.search(r'continue_from "(g_[\w-]+)"', searched.text)
    assert onward, searched.text
    for tool, asked in (("search_web", "query"), ("ask_gemini", "prompt")):
        further: dict[str, Any] = {asked: "And who built it?", "continue_from": onward[1]}
        again = await host.call(tool, **further)
        assert not again.failed, again.text
    assert not (await host.call("list_models")).failed

"""demo and sim, as they are typed: what they say of themselves, and how they fail."""

import json
import re
import socket

import anyio
import pytest
from forked import forked

from runapi_mcp.cli.demo import _describe_price, _report_progress
from runapi_mcp.sim import Simulator
from terminal.typed import shell, typed


def test_a_scenario_that_is_none_is_a_wrong_call(env: dict[str, str]) -> None:
    done = typed(["sim", "--scenario", "nope", "--port", "0"], env, code=2)
    assert done.stderr.startswith("runapi-mcp: no scenario 'nope'; runapi-mcp sim --list shows all.")
    assert "Did you mean cut-clean?" in typed(["sim", "--scenario", "cut-clena"], env, code=2).stderr
    assert "has no parameter 'x'" in typed(["sim", "--scenario", "cut-clean x=1"], env, code=2).stderr


def test_a_port_that_is_taken_is_said(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = typed(["sim", "--port", str(port)], env, code=1)
    assert done.stderr == f"runapi-mcp: port {port} is in use; --port 0 takes a free one\n"


@pytest.mark.parametrize("port", ["x", "-1", "65536", "99999", "1e3"])
def test_a_port_that_is_none_is_a_wrong_call(env: dict[str, str], port: str) -> None:
    told = typed(["sim", f"--port={port}"], env, code=2).stderr
    assert f"'{port}' is not a whole number from 0 to 65535." in told


@pytest.mark.parametrize("pace", ["x", "-1", "nan", "inf", "1e999"])
def test_a_pace_that_is_none_is_a_wrong_call(env: dict[str, str], pace: str) -> None:
    told = typed(["sim", "--port=0", f"--pace={pace}"], env, code=2).stderr
    assert f"'{pace}' is not a number from 0 to 60." in told


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--gone", "gemini-x", "is not a model of the simulator: gemini-2.5-flash, "),
        ("--gone", "gemini-2.5-flash=500", "is not a model, alone or with =404 or =410 behind it."),
        ("--swapped", "gemini-2.5-flash", "is not a model, =, and what answers in its name."),
        ("--searchless", "flash", "is not a model of the simulator"),
        ("--only-at", "/v2", "is none of /v1beta/openai, /v1."),
    ],
)
def test_what_is_not_of_the_simulators_roster_is_a_wrong_call(
    env: dict[str, str], flag: str, value: str, said: str
) -> None:
    assert said in typed(["sim", "--port=0", flag, value], env, code=2).stderr


async def test_the_simulators_models_are_set_as_it_is_started(env: dict[str, str]) -> None:
    flags = "--gone gemini-3-flash-preview --gone gemini-3.6-flash=404 --swapped gemini-3.5-flash=gemini-9"
    command = [*forked(), "sim", "--port=0", "--only-at=/v1", *flags.split()]
    async with await anyio.open_process(command, env=env, stderr=None) as process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(60):
                said = (await process.stdout.receive()).decode()
            url = said.split()[5].rstrip(".")
            at = env | {"RUNAPI_BASE_URL": url}
            done = await anyio.to_thread.run_sync(typed, ["ask", "Q", "--model", "latest", "--json"], at)
            assert json.loads(done.stdout)["receipt"]["model_asked"] == "gemini-3.7-flash"
            listed = await anyio.to_thread.run_sync(typed, ["models", "--json"], at)
        finally:
            process.terminate()
    ids = {row["id"] for row in json.loads(listed.stdout)["structured"]["models"]}
    assert "gemini-2.5-flash" in ids
    assert not ids & {"gemini-3-flash-preview", "gemini-3.6-flash"}


def test_the_demo_says_where_it_goes_and_what_it_costs(env: dict[str, str], sim: Simulator) -> None:
    done = typed(["demo"], env)
    first, *rest = done.stdout.splitlines()
    assert first == f"A key is set: this asks {sim.base_url}, on this machine."
    assert rest[-1] == "6 calls, 0 failed."
    assert _describe_price("https://runapi.ai") == ", and costs a few tokens"
    assert typed(["demo"], env | {"RUNAPI_TOKEN": "two words"}, code=2).stdout == ""


async def test_a_reader_that_leaves_during_progress_is_met_at_the_next_line() -> None:
    def broken(_line: str) -> None:
        raise BrokenPipeError

    await _report_progress(broken)(1.0, None, "writing")


def test_the_demo_leaves_when_its_reader_has_seen_enough(env: dict[str, str]) -> None:
    done = shell("R demo | head -3", env)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3
    assert re.match("A key is set", done.stdout)

"""The prologue on a real process and raw pipes, with the SDK's import held up for as long as a test likes."""

import json
import os
import re
import select
import signal
import sys
import time
from pathlib import Path

import pytest
from messages import INITIALIZED, line, request

from boot.boot_host import BootHost, call, envelope, initialize
from runapi_mcp.boot.manifest import LISTS

if sys.platform == "win32":
    pytest.skip("signals and inherited descriptors are POSIX", allow_module_level=True)


def test_a_host_is_answered_before_the_sdk_is_imported() -> None:
    with BootHost() as host:
        host.send(initialize(), INITIALIZED, request("p", "ping"), *(request(each, each) for each in LISTS))
        assert host.ids(6) == [0, "p", *LISTS]


def test_a_host_of_2026_is_answered_before_the_sdk_is_imported() -> None:
    with BootHost() as host:
        host.send(request(0, "server/discover", envelope()), request(1, "tools/list", envelope()))
        assert host.ids(2) == [0, 1]


def test_the_open_session_goes_on_with_the_server_and_no_answer_comes_twice() -> None:
    with BootHost() as host:
        host.send(initialize(), INITIALIZED, request(1, "tools/list"), call(2, "no_such_tool"))
        assert host.ids(2) == [0, 1]
        host.let_in()
        refused = host.receive()
        assert (refused["id"], refused["error"]["code"]) == (2, -32602)
        host.send(request(3, "tools/list"), call(4, "ask_gemini", prompt="x"))
        rest = [host.receive(), host.receive()]
        assert [each["id"] for each in rest] == [3, 4]
        assert "RUNAPI_TOKEN" in rest[1]["result"]["content"][0]["text"]
        host.stdin.close()
        assert host.leaves() == (0, "")
        assert host.remaining() == []


def test_a_modern_session_goes_on_as_modern() -> None:
    with BootHost() as host:
        host.send(request(0, "server/discover", envelope()))
        assert host.ids(1) == [0]
        host.let_in()
        host.send(request(1, "tools/list", envelope()), request(2, "initialize", initialize()["params"]))
        answers = [host.receive(), host.receive()]
        assert {each["id"]: "result" in each for each in answers} == {1: True, 2: False}


def test_a_host_that_writes_one_byte_at_a_time_is_answered() -> None:
    with BootHost() as host:
        for byte in line(initialize()) + line(INITIALIZED) + line(request(1, "tools/list")):
            host.write(bytes([byte]))
        assert host.ids(2) == [0, 1]


def test_a_line_cut_by_the_hand_over_is_served() -> None:
    with BootHost() as host:
        whole = line(request(1, "tools/list"))
        host.write(line(initialize()) + whole[:20])
        assert host.ids(1) == [0]
        host.let_in()
        host.send()
        host.write(whole[20:] + line(request(2, "nix/list")))
        assert sorted(host.ids(2), key=str) == [1, 2]


def test_a_first_line_of_two_megabytes_is_served_by_the_server() -> None:
    with BootHost() as host:
        host.send(initialize(0, title="x" * 2_000_000))
        host.send(request(1, "ping"))
        host.let_in()
        assert host.ids(2) == [0, 1]


def test_what_cannot_be_read_is_answered_by_the_server() -> None:
    with BootHost() as host:
        host.send(initialize())
        host.write(b"garbage\n")
        host.send([request(1, "ping")], request(2, "ping"))
        assert host.ids(1) == [0]
        host.let_in()
        answers = [host.receive() for _ in range(3)]
        assert {each["id"] for each in answers} == {None, 2}
        assert sorted(each["error"]["code"] for each in answers if "error" in each) == [-32700, -32600]


def test_a_host_that_goes_during_the_import_is_not_waited_for() -> None:
    with BootHost() as host:
        host.send(initialize(), request(1, "tools/list"))
        host.stdin.close()
        assert host.leaves() == (0, "")
        assert [each["id"] for each in host.remaining()] == [0, 1]


def test_a_last_line_without_a_line_end_is_answered() -> None:
    with BootHost() as host:
        host.write(line(request(0, "ping")).rstrip())
        host.stdin.close()
        assert host.leaves() == (0, "")
        assert [each["id"] for each in host.remaining()] == [0]


def test_what_was_asked_before_the_end_of_the_input_is_answered_by_the_server() -> None:
    with BootHost() as host:
        host.send(initialize(), call(1, "no_such_tool"), request(2, "nix/list"))
        host.stdin.close()
        host.let_in()
        assert host.leaves() == (0, "")
        assert sorted(each["id"] for each in host.remaining()) == [0, 1, 2]


def test_a_host_that_no_longer_reads_ends_the_process() -> None:
    with BootHost() as host:
        host.stdout.close()
        host.send(initialize())
        assert host.leaves() == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_import_ends_the_process_cleanly(number: signal.Signals) -> None:
    with BootHost() as host:
        host.send(initialize())
        assert host.ids(1) == [0]
        host.wait_at_the_gate()
        host.signal(number)
        assert host.leaves() == (0, "")


def test_a_host_that_writes_more_than_is_held_waits_and_loses_nothing() -> None:
    with BootHost() as host:
        host.send(initialize())
        assert host.ids(1) == [0]
        os.set_blocking(host.stdin.fileno(), False)
        sent, pad = 0, line(request(1, "nix/list", {"pad": "x" * 1_000_000}))
        rest, stuck = memoryview(pad), time.monotonic() + 5.0
        while sent < 40 and time.monotonic() < stuck:
            try:
                rest = rest[os.write(host.stdin.fileno(), rest) :]
            except BlockingIOError:
                if sent >= 8:
                    break
                continue
            if not rest:
                sent, rest = sent + 1, memoryview(pad)
        assert sent < 40, "the prologue held everything"
        host.let_in()
        os.set_blocking(host.stdin.fileno(), True)
        host.write(bytes(rest))
        host.send(request("last", "nix/list"))
        assert host.ids(sent + 2).count(1) == sent + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("RUNAPI_MCP_HOLD", "soon"), ("RUNAPI_MCP_MAX_RUNNING", "${MOST}"), ("RUNAPI_MCP_KEYRING", "maybe")],
)
def test_a_server_with_a_bad_setting_comes_up_and_refuses_every_call_with_it(name: str, value: str) -> None:
    with BootHost(env={name: value, "RUNAPI_TOKEN": "sk-x"}) as host:
        host.send(initialize(), INITIALIZED, request(1, "tools/list"))
        assert host.ids(2) == [0, 1]
        host.let_in()
        tools = ("ask_gemini", "search_web", "list_models", "get_result")
        host.send(*(call(number, tool) for number, tool in enumerate(tools, 2)))
        for _ in tools:
            refused = host.receive()["result"]
            assert refused["isError"]
            assert refused["content"][0]["text"].startswith(f"{name} is '{value}'. It takes")
        host.stdin.close()
        status, noise = host.leaves()
        assert (status, name in noise) == (0, True)


def test_a_good_setting_does_not_keep_the_host_waiting() -> None:
    with BootHost("--hold", "5", env={"RUNAPI_MCP_DIALECT": "native"}) as host:
        host.send(initialize())
        assert host.ids(1) == [0]


def test_an_installation_that_is_not_whole_tells_whoever_waits_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("raise ImportError('no such package')", encoding="utf-8")
    with BootHost(env={"PYTHONPATH": str(tmp_path)}) as host:
        host.send(initialize(), INITIALIZED, request(1, "tools/list"), call(2, "list_models"))
        host.let_in()
        assert host.ids(2) == [0, 1]
        refused = host.receive()
        mend = "Install it anew; or take PYTHONPATH out of its environment."
        why = f"runapi-mcp: it cannot start: no such package. {mend}"
        assert (refused["id"], refused["error"]) == (2, {"code": -32603, "message": why})
        assert host.leaves() == (1, f"{why}\n")


def test_a_log_tells_what_the_first_call_waited_for_stage_by_stage() -> None:
    with BootHost(env={"RUNAPI_MCP_LOG": "debug"}) as host:
        host.send(initialize(), call(1, "list_models"))
        host.let_in()
        assert host.ids(2) == [0, 1]
        host.stdin.close()
        _, log = host.leaves()
    lines = [json.loads(each) for each in log.splitlines()]
    assert [each["event"] for each in lines[:4]] == ["imported", "opened", "serving", "call begun"]
    stages = ("interpreter", "prologue", "settings", "sdk", "ours")
    assert all(lines[0][f"seconds_{stage}"] > 0 for stage in stages)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in lines)


@pytest.mark.parametrize("switch", ["1", "on"])
def test_a_key_that_is_in_a_keyring_does_not_keep_the_host_waiting(switch: str) -> None:
    with BootHost(env={"RUNAPI_MCP_KEYRING": switch}) as host:
        host.send(initialize(), request(1, "tools/list"))
        assert host.ids(2) == [0, 1]


@pytest.mark.parametrize(
    ("flags", "env"), [((), {"RUNAPI_MCP_FAST_BOOT": "0"}), (("--fast-boot", "off"), {})]
)
def test_turned_off_nobody_answers_before_the_import(flags: tuple[str, ...], env: dict[str, str]) -> None:
    with BootHost(*flags, env=env) as host, BootHost() as other:
        host.wait_at_the_gate()
        other.wait_at_the_gate()
        host.send(initialize())
        other.send(initialize())
        assert other.ids(1) == [0]
        # Asked before the other was, and silent long after the other has answered.
        assert not select.select([host.stdout], [], [], 1.0)[0]
        host.let_in()
        assert host.ids(1) == [0]

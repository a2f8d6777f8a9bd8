"""stdio, through a real process and raw pipes: what no host must be able to do to the server."""

import json
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from forked import forked_script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    TextContent,
)
from messages import INITIALIZE, INITIALIZED, Message, lines

from runapi_mcp.transports.messages import MAX_OPEN_CALLS
from runapi_mcp.transports.stdio import serve
from runapi_mcp.transports.stdio.serve import serve_stdio
from transports.echo_server import server
from transports.stdio_host import SERVER, Host, call, request, text_of, wait_for

MIB = 1 << 20
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and poll are POSIX")


@pytest.fixture(scope="module", params=[False, True], ids=["2025-11-25", "2026-07-28"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """One server for all tests that must leave it in good health."""
    with Host(modern=request.param) as host:
        yield host.open()


@pytest.fixture(scope="module")
def starting(request: pytest.FixtureRequest) -> Iterator[Iterator[Host]]:
    """Servers, one for each test that takes one; two more import meanwhile, which takes them a second."""
    takers = sum("starting" in getattr(item, "fixturenames", ()) for item in request.session.items)
    hosts: deque[Host] = deque()

    def take() -> Iterator[Host]:
        for number in range(takers):
            hosts.extend(Host() for _ in range(min(3, takers - number) - len(hosts)))
            yield hosts.popleft()

    yield take()
    for host in hosts:
        host.close()


@pytest.fixture
def fresh(starting: Iterator[Host]) -> Iterator[Host]:
    """A server for one test to end."""
    with next(starting) as host:
        yield host.open()


# What the host may write


def test_a_line_that_is_not_json_is_answered_with_a_parse_error(host: Host) -> None:
    host.write(b'{"jsonrpc": "2.0", "id": 1, "method":\n')
    assert host.answer(None)["error"]["code"] == PARSE_ERROR


def test_a_batch_is_answered_with_one_error_that_says_so(host: Host) -> None:
    host.write(b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]\n')
    error = host.answer(None)["error"]
    assert error["code"] == INVALID_REQUEST
    assert "batches" in error["message"]


def test_json_that_is_not_json_rpc_is_refused_under_its_own_id(host: Host) -> None:
    host.write(b'{"id":"mine","method":"tools/list"}\n')
    assert host.answer("mine")["error"]["code"] == INVALID_REQUEST


def test_a_request_holding_half_a_surrogate_pair_is_answered(host: Host) -> None:
    line = json.dumps(call(2, "echo", host.meta, text="cut \ud83d here, whole \U0001f600, literal \\ud83d"))
    host.write(line.encode() + b"\n")
    assert text_of(host.answer(2)) == "cut � here, whole \U0001f600, literal \\ud83d"


def test_a_request_holding_invalid_utf8_is_answered(host: Host) -> None:
    line = json.dumps(call(3, "echo", host.meta, text="HERE")).encode().replace(b"HERE", b"a\xffb")
    host.write(line + b"\n")
    assert text_of(host.answer(3)) == "a�b"


def test_an_answer_holding_half_a_surrogate_pair_is_written(host: Host) -> None:
    assert text_of(host.ask(call(4, "torn", host.meta, text="cut "))) == "cut ?"


def test_windows_line_ends_and_blank_lines_are_fine(host: Host) -> None:
    line = json.dumps(call(5, "echo", host.meta, text="crlf")).encode()
    host.write(b"\r\n\n  \n" + line + b"\r\n")
    assert text_of(host.answer(5)) == "crlf"


def test_a_line_of_8_mb_is_answered_in_linear_time(host: Host) -> None:
    text = "m" * 7_900_000
    begun = time.monotonic()
    host.send(call(6, "echo", host.meta, text=text))
    assert text_of(host.answer(6)) == text
    assert time.monotonic() - begun < 5  # 0.2 s; quadratic buffering took over 2 s for reading alone


def test_stray_output_of_a_tool_and_its_children_stays_off_the_wire(host: Host) -> None:
    assert text_of(host.ask(call(7, "noisy", host.meta, text="clean"))) == "clean"


def test_a_cancelled_request_is_stopped_and_never_answered(host: Host, tmp_path: Path) -> None:
    host.send(call(8, "slow", host.meta, trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 8}})
    wait_for(tmp_path / "cancelled")
    assert text_of(host.ask(call(9, "echo", host.meta, text="next"))) == "next"


@pytest.mark.parametrize("other", ["81", "081", " 81", 81.0, True, None])
def test_a_cancellation_stops_no_request_but_the_one_it_names(
    host: Host, tmp_path: Path, other: object
) -> None:
    host.send(call(81, "slow", host.meta, trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    host.send({**cancel, "params": {"requestId": other}})
    assert text_of(host.ask(call(82, "echo", host.meta, text="next"))) == "next"
    assert not (tmp_path / "cancelled").exists()
    host.send({**cancel, "params": {"requestId": 81}})
    wait_for(tmp_path / "cancelled")


def test_an_id_that_the_sdk_takes_for_an_open_one_is_refused_and_the_open_one_goes_on(
    host: Host, tmp_path: Path
) -> None:
    host.send(call(83, "slow", host.meta, trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    refused = host.ask(call("83", "echo", host.meta, text="mine"))
    assert refused["error"]["code"] == -32600
    assert "in progress" in refused["error"]["message"]
    host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 83}})
    wait_for(tmp_path / "cancelled")
    assert text_of(host.ask(call("83", "echo", host.meta, text="free again"))) == "free again"


def test_progress_arrives_in_order_and_before_its_answer(host: Host) -> None:
    meta = (host.meta or {}) | {"progressToken": "p"}
    host.send(call(10, "flood", meta, notes="50"))
    notes = []
    while "method" in (message := host.receive()):
        notes.append(message["params"]["progress"])
    assert text_of(message) == "50 reported"
    assert notes == sorted(set(notes))
    assert notes[-1] == 49


def test_a_host_that_only_writes_is_made_to_wait(host: Host) -> None:
    if sys.platform == "win32":
        pytest.skip("poll is POSIX")
    line = b"not a message at all\n"
    written = 0
    os.set_blocking(host.stdin.fileno(), False)
    while written < 4 * MIB and select.select([], [host.stdin], [], 0.2)[1]:
        written += os.write(host.stdin.fileno(), line * 200)
    os.set_blocking(host.stdin.fileno(), True)
    assert written < MIB
    for _ in range(written // len(line)):
        assert host.receive()["error"]["code"] == PARSE_ERROR
    host.write(b"\n")
    if written % len(line):
        host.receive()
    assert text_of(host.ask(call(11, "echo", host.meta, text="well"))) == "well"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"")))
def test_no_line_makes_the_server_deaf(host: Host, line: bytes) -> None:
    host.write(line + b"\n")
    host.send(call("still there?", "echo", host.meta, text="yes"))
    while (message := host.receive()).get("id") != "still there?":
        assert message["error"]["code"] in (PARSE_ERROR, INVALID_REQUEST)
    assert text_of(message) == "yes"


# How the host may stop


def test_answers_to_requests_just_before_the_end_of_stdin_are_written(starting: Iterator[Host]) -> None:
    with next(starting) as host:
        host.send(
            INITIALIZE, request(1, "tools/list"), call(2, "echo", text="x"), call(3, "big", size="300000")
        )
        host.stdin.close()
        answers = {message["id"]: "result" in message for message in host.remaining()}
        assert answers == dict.fromkeys(range(4), True)
        host.leaves()


def test_the_end_of_stdin_cancels_what_is_running_and_the_process_leaves(fresh: Host, tmp_path: Path) -> None:
    fresh.send(call(1, "slow", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    fresh.stdin.close()
    fresh.leaves()
    assert (tmp_path / "cancelled").exists()


@posix_only
def test_sigterm_cancels_what_is_running_and_the_process_leaves(fresh: Host, tmp_path: Path) -> None:
    fresh.send(call(1, "slow", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    fresh.signal(signal.SIGTERM)
    fresh.leaves()
    assert (tmp_path / "cancelled").exists()


@posix_only
def test_sigint_does_the_same_and_a_sigterm_on_its_heels_is_no_crash(fresh: Host, tmp_path: Path) -> None:
    fresh.ask(call(1, "linger", trace=str(tmp_path)))
    fresh.send(call(2, "slow", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    fresh.signal(signal.SIGINT)
    wait_for(tmp_path / "served")
    fresh.signal(signal.SIGTERM)  # Claude Code's comes 100 ms after the SIGINT
    fresh.leaves()
    assert (tmp_path / "cancelled").exists()


def test_neither_a_blocked_thread_nor_an_unread_answer_keeps_the_process(fresh: Host, tmp_path: Path) -> None:
    fresh.send(call(1, "big", size=str(4 * MIB)), call(2, "stuck", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    fresh.stdin.close()
    fresh.leaves()


@posix_only
@pytest.mark.parametrize("end", ["stdin", "stdout"])
def test_a_computation_on_the_event_loop_does_not_outlive_the_host(
    fresh: Host, tmp_path: Path, end: str
) -> None:
    fresh.send(call(1, "spin", trace=str(tmp_path), on="python"))
    wait_for(tmp_path / "begun")
    fresh.send(request(2, "ping"))  # what the event loop does not take keeps the reader from stdin's end
    getattr(fresh, end).close()
    fresh.leaves()


@posix_only
@pytest.mark.parametrize("on", ["python", "regex"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_computation_on_the_event_loop(
    fresh: Host, tmp_path: Path, on: str, number: signal.Signals
) -> None:
    fresh.send(call(1, "spin", trace=str(tmp_path), on=on))
    wait_for(tmp_path / "begun")
    fresh.signal(number)
    fresh.leaves()


@posix_only
def test_a_closed_stdout_ends_the_session_even_when_there_is_nothing_to_write(
    fresh: Host, tmp_path: Path
) -> None:
    fresh.send(call(1, "slow", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    fresh.stdout.close()
    fresh.leaves()
    assert (tmp_path / "cancelled").exists()


@posix_only
def test_a_stdout_closed_while_an_answer_is_written_ends_the_session(fresh: Host) -> None:
    fresh.send(call(1, "big", size=str(4 * MIB)))
    assert os.read(fresh.stdout.fileno(), 1) == b"{"
    fresh.stdout.close()
    fresh.leaves()


def test_a_host_that_does_not_read_costs_no_memory_and_loses_no_answer() -> None:
    with Host(fresh=True) as host:
        _flood(host.open())


def _flood(fresh: Host) -> None:
    before = fresh.resident_bytes()
    fresh.send(
        call(1, "big", size=str(2 * MIB)),  # fills the pipe and the queue
        call(2, "flood", {"progressToken": 2}, notes="100000"),
        call(3, "big", size=str(2 * MIB)),
    )
    fresh.send(*(call(number, "echo", text="e") for number in range(4, 54)))
    while _cpu_seconds(fresh) < 0.2 or _is_busy(fresh):
        pass
    assert fresh.resident_bytes() - before < 24 * MIB
    messages = [fresh.receive()]
    while len([message for message in messages if "result" in message]) < 53:
        messages.append(fresh.receive())
    assert sorted(message["id"] for message in messages if "result" in message) == list(range(1, 54))
    assert len(messages) < 10_000


def _cpu_seconds(host: Host) -> float:
    if sys.platform != "linux":
        pytest.skip("the time of a process is looked up in /proc")
    fields = Path(f"/proc/{host.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_busy(host: Host) -> bool:
    """Whether the server still does something, seen over a tenth of a second."""
    before = _cpu_seconds(host)
    time.sleep(0.1)
    return _cpu_seconds(host) > before


@posix_only
def test_pipes_left_non_blocking_by_the_parent_work() -> None:
    with Host(non_blocking=True) as host:
        host.open()
        assert len(text_of(host.ask(call(1, "big", size=str(MIB))))) == MIB
        assert text_of(host.ask(call(2, "echo", text="again"))) == "again"


# Inside another program


@asynccontextmanager
async def serving(preread: bytes = b"", answered: Collection[int] = ()) -> AsyncGenerator[tuple[int, int]]:
    """The echo server in this process: where to write to it, and where to read from it."""
    stdin, to_server = os.pipe()
    from_server, stdout = os.pipe()
    with ExitStack() as stack, anyio.fail_after(10):
        for fd in (stdin, stdout, from_server):
            stack.callback(os.close, fd)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                partial(
                    serve_stdio,
                    server,
                    stdin_fd=stdin,
                    stdout_fd=stdout,
                    preread=preread,
                    answered=answered,
                    owns_process=False,
                )
            )
            try:
                yield to_server, from_server
            finally:
                os.close(to_server)


async def read_messages(fd: int, count: int) -> list[Message]:
    content = b""
    while content.count(b"\n") < count:
        await anyio.wait_readable(fd)
        content += os.read(fd, 1 << 16)
    return [json.loads(line) for line in content.splitlines()]


async def test_a_session_begun_by_another_reader_goes_on_where_it_was() -> None:
    whole = lines(INITIALIZE, INITIALIZED, call(1, "echo", text="first"))
    async with serving(preread=whole[:-20], answered=[0]) as (to_server, from_server):
        os.write(to_server, whole[-20:])
        (answer,) = await read_messages(from_server, 1)
        assert text_of(answer) == "first"
        os.write(to_server, lines(request(0, "tools/list")))
        (answer,) = await read_messages(from_server, 1)
        assert answer["id"] == 0


async def test_requests_beyond_the_limit_are_refused_until_others_end(tmp_path: Path) -> None:
    waiting = [call(number, "slow", trace=str(tmp_path)) for number in range(1, MAX_OPEN_CALLS + 1)]
    async with serving(lines(INITIALIZE, INITIALIZED), answered=[0]) as (to_server, from_server):
        await anyio.to_thread.run_sync(os.write, to_server, lines(*waiting, call("over", "echo", text="x")))
        (refusal,) = await read_messages(from_server, 1)
        assert refusal["id"] == "over"
        assert refusal["error"]["code"] == INTERNAL_ERROR
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        os.write(to_server, lines(cancel, call("again", "echo", text="x")))
        (answer,) = await read_messages(from_server, 1)
        assert text_of(answer) == "x"


# Hosts that others wrote


async def test_the_sdk_client_lists_calls_and_closes() -> None:
    command, *args = forked_script(str(SERVER))
    parameters = StdioServerParameters(command=command, args=args)
    reports: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append(progress)

    with anyio.fail_after(10):
        async with Client(stdio_client(parameters)) as client:
            assert "echo" in {tool.name for tool in (await client.list_tools()).tools}
            answer = await client.call_tool("flood", {"notes": "20"}, progress_callback=note)
    assert answer.content == [TextContent(text="20 reported")]
    assert reports == sorted(reports)


# What it does while nobody asks


def test_what_a_later_call_needs_is_built_once_the_host_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    built = threading.Event()
    monkeypatch.setattr(serve, "warm_up", built.set)
    with serve._warm_meanwhile():
        assert built.wait(30)


def test_a_server_that_leaves_at_once_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    built = threading.Event()
    monkeypatch.setattr(serve, "warm_up", built.set)
    monkeypatch.setattr(serve, "_WARM_AFTER", 3600)
    before = set(threading.enumerate())
    with serve._warm_meanwhile():
        [timer] = set(threading.enumerate()) - before
    timer.join(30)
    assert not timer.is_alive()
    assert not built.is_set()

"""What stdio does where there is no poll, no alarm and no event loop that receives signals: on Windows."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import forked_script
from piped import PipedHost

from runapi_mcp.cli.outlet import has_reader_left
from transports.stdio_host import SERVER, Host, call, text_of, wait_for

PLAYED = Path(__file__).with_name("as_on_windows.py")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the other tests are of Windows")


class WindowsHost(Host):
    def __init__(self) -> None:
        self.meta = None
        PipedHost.__init__(self, forked_script(str(PLAYED), str(SERVER)))


@pytest.fixture
def host() -> Iterator[WindowsHost]:
    with WindowsHost() as host:
        yield host.open()


def test_calls_are_answered_and_the_wire_stays_clean(host: WindowsHost) -> None:
    assert text_of(host.ask(call(1, "echo", text="zwei\r\nZeilen"))) == "zwei\r\nZeilen"
    host.ask(call(2, "noisy", text="x"))
    host.stdin.close()
    assert not host.remaining()
    host.leaves()


def test_the_end_of_stdin_ends_it_although_nothing_else_tells_that_the_host_is_gone(
    host: WindowsHost, tmp_path: Path
) -> None:
    host.send(call(1, "slow", trace=str(tmp_path)), call(2, "stuck", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    host.stdin.close()
    host.leaves()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_what_is_running_and_the_process_leaves(
    host: WindowsHost, tmp_path: Path, number: signal.Signals
) -> None:
    host.send(call(1, "slow", trace=str(tmp_path)))
    wait_for(tmp_path / "begun")
    host.signal(number)
    host.leaves()
    assert (tmp_path / "cancelled").exists()


def test_a_stdout_that_nobody_reads_any_more_is_found_out_by_the_next_answer(host: WindowsHost) -> None:
    host.stdout.close()
    host.send(call(1, "echo", text="x"))
    host.leaves()


def test_a_pipe_without_a_reader_is_told_by_either_of_its_names() -> None:
    assert has_reader_left(BrokenPipeError(), "nt")
    assert has_reader_left(OSError(22, "Invalid argument"), "nt")
    assert not has_reader_left(OSError(22, "Invalid argument"), "posix")
    assert not has_reader_left(OSError(28, "No space left"), "nt")

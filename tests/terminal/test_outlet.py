"""Output that cannot be written as it is: full disks, closed streams, early readers, poor encodings."""

import json
import os
import sys
from pathlib import Path

import anyio
import pytest
from forked import FRESH

from runapi_mcp.cli.outlet import Outlet, plain, widen
from runapi_mcp.sim import Simulator
from terminal.typed import PATIENCE, Screen, shell

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
SCHEMA = '{"properties": {"name": {"type": "string"}}, "required": ["name"]}'
GREETING = "default text='Grüße … → 🌱'"


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(("into", "why"), [("/dev/full", "No space left on device"), ("&-", "it is closed")])
def test_an_answer_that_stdout_does_not_take_is_on_stderr(
    sim: Simulator, env: dict[str, str], into: str, why: str, buffered: str
) -> None:
    env |= {"PYTHONUNBUFFERED": buffered}
    sim.play("default text=forty-two")
    asked = shell(f"R ask Hello? >{into}", env)
    told = f"runapi-mcp: stdout could not be written ({why}); this was meant for it:\n"
    assert (asked.returncode, asked.stderr) == (1, f"{told}forty-two\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("models", "gemini-3-flash-preview"),
        ("models --json", '"list_models"'),
        ("completion bash", "complete -o "),
        ("sim --list", "cut-clean"),
        ("install --list", "codex"),
        ("--version", "runapi-mcp "),
        ("--help", "usage: "),
        ("ask --help", "exit codes"),
    ],
)
@pytest.mark.parametrize("into", ["/dev/full", "&-"])
def test_whatever_stdout_does_not_take_is_on_stderr(
    env: dict[str, str], words: str, said: str, into: str
) -> None:
    ended = shell(f"R {words} >{into}", env)
    assert ended.returncode == 1
    assert ended.stderr.startswith("runapi-mcp: stdout could not be written (")
    assert said in ended.stderr


@pytest.mark.parametrize("into", ["/dev/full", "&-"])
def test_without_stderr_an_answer_still_goes_to_stdout(
    sim: Simulator, env: dict[str, str], into: str
) -> None:
    sim.play("default text=forty-two")
    asked = shell(f"R ask Hello? 2>{into}", env)
    assert (asked.returncode, asked.stdout) == (0, "forty-two\n")
    sim.play("cut-clean")
    cut = shell(f"R ask Hello? 2>{into}", env)
    assert (cut.returncode, "Partial" in cut.stdout) == (3, False)
    refused = shell(f"R sim --scenario nope 2>{into}", env)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_with_nowhere_to_write_to_a_command_still_ends(env: dict[str, str]) -> None:
    assert shell("R ask Hello? <&- >&- 2>&-", env).returncode == 1
    assert shell("R ask Hello? >/dev/full 2>&1", env).returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the descriptors of a process are looked up in /proc")
async def test_no_file_takes_the_place_of_a_stream_that_is_closed(
    sim: Simulator, env: dict[str, str]
) -> None:
    sim.play("stall-middle seconds=60")
    closed = ["bash", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "-", *FRESH, "ask", "Hello?"]
    async with await anyio.open_process(closed, env=env) as process:
        await sim.wait_for_call(timeout=PATIENCE)
        held = standard_streams(process.pid)
        process.kill()
    assert held == {Path(os.devnull)}


def standard_streams(process: int) -> set[Path]:
    return {Path(f"/proc/{process}/fd/{number}").readlink() for number in range(3)}


@pytest.mark.parametrize("words", ["sim --list", "--help", "completion bash"])
def test_a_reader_that_has_seen_enough_causes_no_traceback(env: dict[str, str], words: str) -> None:
    ended = shell(f"R {words} | true", env)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_where_only_ascii_is_written_text_is_spelled_plainly(sim: Simulator, env: dict[str, str]) -> None:
    sim.play(GREETING)
    assert shell("R ask Hello?", env | ASCII).stdout == "Grusse ... -> ?\n"
    assert shell("R nope…", env | ASCII).stderr.startswith("runapi-mcp: no command 'nope...'.")


def test_where_only_ascii_is_written_programs_read_the_same(sim: Simulator, env: dict[str, str]) -> None:
    sim.play(GREETING)
    assert json.loads(shell("R ask --json Hello?", env | ASCII).stdout)["text"] == "Grüße … → 🌱"
    sim.play("""default text='{"name": "Zoë 🌱"}'""")
    extracted = shell(f"echo Zoë | R extract -s '{SCHEMA}'", env | ASCII)
    assert json.loads(extracted.stdout) == {"name": "Zoë 🌱"}


def test_a_terminal_that_knows_only_ascii_shows_the_answer(sim: Simulator, env: dict[str, str]) -> None:
    sim.play("default pace=0.1")
    screen = Screen(["ask", "Hello?"], env | ASCII)
    screen.until(r"> writing - ")
    assert screen.end() == 0
    assert screen.seen.isascii()
    assert "Traceback" not in screen.seen


@pytest.mark.parametrize("columns", ["0", "9" * 30])
def test_a_terminal_of_an_impossible_width_shows_the_answer(
    sim: Simulator, env: dict[str, str], columns: str
) -> None:
    sim.play("default text=forty-two")
    screen = Screen(["ask", "Hello?"], env | {"COLUMNS": columns, "LINES": "0"})
    assert screen.end() == 0
    assert "forty-two" in screen.seen


@pytest.mark.parametrize(
    ("env", "platform", "written"),
    [
        ({}, "nt", "“世界” 🌱".encode()),
        ({}, "posix", b"\x93??\x94 ?"),
        ({"PYTHONIOENCODING": "cp1252"}, "nt", b"\x93??\x94 ?"),
    ],
)
def test_a_file_of_windows_takes_what_its_code_page_lacks(
    tmp_path: Path, env: dict[str, str], platform: str, written: bytes
) -> None:
    with (tmp_path / "answer.md").open("w", encoding="cp1252", newline="") as stream:
        widen(stream, env, platform)
        Outlet(stream).write("“世界” 🌱")
    assert (tmp_path / "answer.md").read_bytes() == written


def test_a_pipe_keeps_the_code_page_that_the_next_program_expects() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        with os.fdopen(writing, "w", encoding="cp1252") as stream:
            widen(stream, {}, "nt")
            Outlet(stream).write("“é”")
        assert pipe.read() == "“é”".encode("cp1252")


def test_what_an_encoding_lacks_is_spelled_or_loses_its_accents() -> None:
    assert plain("Zoë Łódź “x” – …", "utf-8") == "Zoë Łódź “x” – …"
    assert plain("Zoë “x” – … ▸", "ascii") == 'Zoe "x" - ... >'
    assert plain("Łódź, Øre, cœur", "ascii") == "Lodz, Ore, coeur"
    assert plain("Zoë ▸ 東", "latin-1") == "Zoë > ?"
    assert plain("x² + ½", "ascii") == "x? + ?", "not x2 + 12"
    assert plain("half \ud83c", "utf-8") == "half ?"

"""What is piped in: it belongs to the question, whatever else a stdin may be."""

import json
import locale
import os
import queue
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from forked import FRESH, forked

from runapi_mcp.cli.stdin import MOST_BYTES, Stdin, add_stdin, text_of
from runapi_mcp.cli.stdin import PATIENCE as PATIENCE_FOR_PARENTS
from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from terminal.typed import PATIENCE, Screen, typed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
SCHEMA = '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'


def asked(sim: Simulator) -> str:
    """Return the last text that the model was sent."""
    content = json.loads(json.dumps(sim.calls[-1].body))["messages"][-1]["content"]
    return content if isinstance(content, str) else str(content[-1]["text"])


def test_what_is_piped_in_follows_the_prompt(sim: Simulator, env: dict[str, str]) -> None:
    done = typed(["ask", "summarise"], env, stdin=b"line 1\nline 2\n")
    assert asked(sim) == "summarise\n\nline 1\nline 2"
    assert done.stderr == ""


def test_what_is_piped_in_is_the_prompt_where_there_is_none(sim: Simulator, env: dict[str, str]) -> None:
    typed(["ask"], env, stdin=b"why?\n")
    assert asked(sim) == "why?"
    typed(["search"], env, stdin=b"who?\n")
    assert asked(sim).startswith("who?\n\nToday is ")


def test_a_dash_is_where_it_goes(sim: Simulator, env: dict[str, str]) -> None:
    typed(["ask", "compare", "-", "to", "it"], env, stdin=b"this\n")
    assert asked(sim) == "compare\n\nthis\n\nto it"


def test_a_file_can_be_stdin(sim: Simulator, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "log").write_text("ünd so fort\n")
    with (tmp_path / "log").open() as log:
        done = subprocess.run([*forked(), "ask", "what is it"], env=env, stdin=log, timeout=PATIENCE)
    assert done.returncode == 0
    assert asked(sim) == "what is it\n\nünd so fort"


@pytest.mark.parametrize("stdin", [None, b"", b" \n"])
def test_an_empty_stdin_adds_nothing(sim: Simulator, env: dict[str, str], stdin: bytes | None) -> None:
    typed(["ask", "Hello?"], env, stdin=stdin)
    assert asked(sim) == "Hello?"


@pytest.mark.parametrize("words", [["ask"], ["search"], ["extract", "-s", SCHEMA]])
@pytest.mark.parametrize("stdin", [None, b""])
def test_nothing_to_ask_is_a_wrong_call(
    sim: Simulator, env: dict[str, str], words: list[str], stdin: bytes | None
) -> None:
    done = typed(words, env, stdin=stdin, code=2)
    assert done.stderr.startswith("runapi-mcp: ")
    assert not sim.calls


def test_a_terminal_is_not_read_unless_it_is_asked_for(sim: Simulator, env: dict[str, str]) -> None:
    screen = Screen(["ask", "Hello?"], env)
    assert screen.end() == 0
    assert asked(sim) == "Hello?"
    screen = Screen(["ask", "-"], env)
    screen.until("Ctrl-D ends it")
    screen.types("typed\n\x04")
    assert screen.end() == 0
    assert asked(sim) == "typed"


def test_a_silent_pipe_is_told_of_and_may_still_speak(sim: Simulator, env: dict[str, str]) -> None:
    words = [*FRESH, "ask", "summarise"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert "Reading stdin" in process.stderr.readline()
        assert not sim.calls
        process.stdin.write("at last")
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert asked(sim) == "summarise\n\nat last"


def test_ctrl_c_ends_what_waits_for_stdin(sim: Simulator, env: dict[str, str]) -> None:
    words = [*forked(), "ask"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        assert "Reading stdin until it ends" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == ""
    assert not sim.calls


def test_ctrl_c_is_seen_though_it_comes_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # A wait of the system's own does not look for a signal that was caught just before it began.
    from runapi_mcp.cli import stdin

    class Caught(queue.SimpleQueue[bytes]):
        waits = 0

        def get(self, block: bool = True, timeout: float | None = None) -> bytes:
            assert timeout is not None, "this wait would never end"
            assert timeout < 1
            self.waits += 1
            if self.waits > 3:
                raise KeyboardInterrupt
            raise queue.Empty

    monkeypatch.setattr(stdin, "_start_reading", lambda _descriptor: Caught())
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream, os.fdopen(writing, "w"), pytest.raises(KeyboardInterrupt):
        Stdin(stream, lambda _note: None, soon=0).read_all()


def test_a_slow_command_in_a_pipeline_is_waited_for(sim: Simulator, env: dict[str, str]) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("who writes to a pipe is told by /proc")
    # More than a pipe that only its parent could write to is given.
    words = f"(sleep {PATIENCE_FOR_PARENTS + 1}; echo late) | {shlex.join(FRESH)} ask summarise"
    done = subprocess.run(
        ["bash", "-c", words], env=env, capture_output=True, timeout=2 * PATIENCE, check=True
    )
    assert b"going on without it" not in done.stderr
    assert asked(sim) == "summarise\n\nlate"


def test_stdin_is_left_alone_on_demand(sim: Simulator, env: dict[str, str]) -> None:
    typed(["ask", "--no-stdin", "Hello?"], env, stdin=b"not this")
    assert asked(sim) == "Hello?"
    typed(["ask", "--no-stdin", "Hello?", "-"], env, stdin=b"but this")
    assert asked(sim) == "Hello?\n\nbut this"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_schema_file_may_be_as_windows_writes_it(
    sim: Simulator, env: dict[str, str], tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "s.json").write_bytes(SCHEMA.encode(encoding))
    done = typed(["extract", "-s", str(tmp_path / "s.json"), "-"], env, stdin=b"name: Ada")
    assert set(json.loads(done.stdout)) == {"name"}


def test_a_schema_can_come_from_stdin_and_from_a_class(
    sim: Simulator, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "note").write_text("name: Ada")
    (tmp_path / "shop.py").write_text(
        "from pydantic import BaseModel\nclass Person(BaseModel):\n    name: str\nclass Odd: ...\n"
    )
    monkeypatch.chdir(tmp_path)
    for schema, stdin in (("-", SCHEMA.encode()), ("shop:Person", None)):
        done = typed(["extract", "-s", schema, "note"], env, stdin=stdin)
        assert set(json.loads(done.stdout)) == {"name"}
    for schema, said in (
        ("shop:Nobody", "cannot be imported"),
        ("nowhere:A", "cannot be"),
        ("shop:Odd", "no JSON"),
    ):
        assert said in typed(["extract", "-s", schema, "note"], env, code=2).stderr
    assert "one stdin" in typed(["extract", "-s", "-"], env, stdin=b"{}", code=2).stderr


@contextmanager
def pipe() -> Iterator[tuple[Stdin, int, list[str]]]:
    """A stdin with little patience, the end that is written to, and what is noted."""
    told: list[str] = []
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream:
        try:
            yield Stdin(stream, told.append, soon=0.02, patience=0.05), writing, told
        finally:
            os.close(writing)


def test_a_pipe_that_nobody_writes_to_does_not_hold_a_question_for_ever() -> None:
    with pipe() as (stdin, _, told):
        assert add_stdin(["Hello?"], stdin) == "Hello?"
    assert re.match(r"Reading stdin.*\n.*going on without it", "\n".join(told))


def test_a_pipe_that_has_begun_is_read_to_its_end() -> None:
    with pipe() as (stdin, writing, told):
        os.write(writing, b"slow")

        def end() -> None:
            os.write(writing, b"ly")
            os.dup2(os.open(os.devnull, os.O_WRONLY), writing)

        timer = threading.Timer(0.3, end)
        timer.start()
        assert add_stdin(["Hello?"], stdin) == "Hello?\n\nslowly"
        timer.join()
    assert told == ["Reading stdin until it ends …"]


def test_a_loop_over_lines_keeps_them_when_files_are_named(
    sim: Simulator, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "schema.json").write_text(SCHEMA)
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"name: {name}")
    (tmp_path / "list").write_text("a\nb\n")
    loop = f'while read f; do {shlex.join(forked())} extract -s schema.json "$f"; done < list'
    subprocess.run(["bash", "-c", loop], env=env, cwd=tmp_path, check=True, timeout=PATIENCE)
    assert len(sim.calls) == 2


def test_text_to_extract_from_can_be_piped_in_alone_and_beside_files(
    sim: Simulator, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("name: Ada")
    for words in ([], ["-"], [str(tmp_path / "note"), "-"]):
        done = typed(["extract", "-s", SCHEMA, *words], env, stdin=b"name: Grace Example")
        assert set(json.loads(done.stdout)) == {"name"}
        assert "Grace Example" in json.dumps(sim.calls[-1].body)
    assert "Ada" in json.dumps(sim.calls[-1].body)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1252", "café – 5 €\r\n\ttwo"), ("cp932", "テスト"), ("cp1251", "привет"), ("cp950", "測試")],
)
def test_text_in_the_code_page_of_this_machine_is_text(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str
) -> None:
    """So cmd and older programs of Windows write it; a picture is none in any."""
    monkeypatch.setattr(locale, "getencoding", lambda: encoding)
    assert text_of(text.encode(encoding)) == text
    assert text_of(text.encode()) == text  # as UTF-8 all the same
    for picture in (PNG, b"\xff\xd8\xff\xe0\x10JFIF\x01\x02"):
        with pytest.raises(InputError, match="--file -"):
            text_of(picture)


def test_text_that_nobody_here_writes_is_told_how_to_convert() -> None:
    with pytest.raises(InputError, match="iconv"):
        text_of("café".encode("latin-1"))


def test_what_is_no_text_is_attached_when_it_is_asked_for(sim: Simulator, env: dict[str, str]) -> None:
    done = typed(["ask", "what is it"], env, stdin=PNG, code=2)
    assert "not text" in done.stderr
    assert "--file -" in done.stderr
    assert not sim.calls
    typed(["ask", "what is it", "-f", "-"], env, stdin=PNG)
    assert "data:image/png;base64" in json.dumps(sim.calls[-1].body)


@pytest.mark.parametrize(
    "words", [["ask", "-", "-"], ["ask", "-f", "-", "-"], ["extract", "-s", SCHEMA, "-", "-"]]
)
def test_there_is_one_stdin(env: dict[str, str], words: list[str]) -> None:
    assert "one stdin" in typed(words, env, stdin=b"x", code=2).stderr


def test_more_than_a_model_takes_is_not_read(sim: Simulator, env: dict[str, str]) -> None:
    done = typed(["ask", "summarise"], env, stdin=b"x" * (MOST_BYTES + 1), code=2)
    assert "More than 16 MB" in done.stderr
    assert not sim.calls

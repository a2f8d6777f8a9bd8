"""An answer that was cut goes on with one command, which was printed."""

import io
import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from forked import forked

from runapi_mcp.cli.client import Question, Watch, perform
from runapi_mcp.cli.view import Pipe, sheet_of
from runapi_mcp.generations.store.sqlite import FILE, SqliteEngine
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator
from terminal.typed import PATIENCE, Run, Screen, environment


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine keep what is asked."""
    monkeypatch.setenv("RUNAPI_MCP_STORE", str(tmp_path / "state"))


REST = re.compile(r"The rest: runapi-mcp (resume g_\S+)")


@pytest.mark.parametrize(
    "words", [("ask", "Why is the sky blue?"), ("search", "When was it opened?")], ids=["ask", "search"]
)
def test_a_cut_answer_goes_on_with_the_command_that_was_printed(
    run: Run, sim: Simulator, words: tuple[str, ...]
) -> None:
    sim.play("cut-clean")
    cut = run(*words)
    assert cut.returncode == 3
    printed = REST.fullmatch(cut.stderr.splitlines()[-1])
    assert printed
    sim.play("default")
    rest = run(*printed[1].split())
    assert rest.returncode == 0, rest.stderr
    begun = json.dumps(sim.calls[-1].body)
    assert words[1] in begun
    assert "Continue exactly where" in begun
    assert rest.stdout.startswith(cut.stdout.splitlines()[0][:20])
    assert len(rest.stdout) > len(cut.stdout)
    again = run("resume")
    assert (again.returncode, again.stdout) == (2, ""), "it is whole now"


def test_one_that_is_cut_again_goes_on_from_there(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean")
    first = run("ask", "Hello?")
    sim.play("cut-clean")
    second = run("resume")
    assert second.returncode == 3
    assert REST.fullmatch(second.stderr.splitlines()[-1])
    sim.play("default")
    third = run("resume", "--json")
    assert len(first.stdout) < len(second.stdout) < len(json.loads(third.stdout)["text"])


def test_no_command_is_printed_that_would_find_nothing(run: Run, sim: Simulator, tmp_path: Path) -> None:
    run("ask", "Before?")
    sim.play("cut-clean", "cut-clean", "default")
    homeless = run("ask", "Why?", RUNAPI_MCP_STORE="", HOME="", XDG_STATE_HOME="")
    assert (homeless.returncode, "runapi-mcp resume" in homeless.stderr) == (3, False)
    assert "Nothing can be kept on this machine (this user has no home folder)" in homeless.stderr
    other = sqlite3.connect(tmp_path / "state" / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for code in (3, 0):
        locked = run("ask", f"Why? {code}")
        assert (locked.returncode, "runapi-mcp resume" in locked.stderr) == (code, False)
        assert "This answer could not be kept on this machine" in locked.stderr
    other.close()
    assert "Before?" in run("history").stdout


def test_of_one_that_is_whole_there_is_all_of_it(run: Run, sim: Simulator) -> None:
    asked = run("ask", "Hello?")
    whole = run("resume", json.loads(run("history", "--json").stdout)[0]["handle"])
    assert (whole.returncode, whole.stdout) == (0, asked.stdout), whole.stderr
    assert len(sim.calls) == 1


def test_one_that_another_process_is_writing_is_to_be_waited_for(
    run: Run, sim: Simulator, tmp_path: Path
) -> None:
    sim.pace = 0.05
    words, silent = ("ask", "--no-stdin", "Long [[sim:slow seconds=300]]"), subprocess.DEVNULL
    with subprocess.Popen(
        [*forked(), *words], env=environment(sim, tmp_path), stdout=silent, stderr=silent
    ) as writing:
        try:
            while "[running]" not in (listed := run("history").stdout):
                assert writing.poll() is None
            refused = run("ask", "--from", listed.split()[1], "And?")
            latest = run("resume")
        finally:
            writing.kill()
    assert (refused.returncode, len(sim.calls)) == (2, 1)
    assert "--from: that answer is still being written. Wait for it with runapi-mcp resume" in refused.stderr
    assert latest.returncode == 2
    assert f"is still being written, and runapi-mcp resume {listed.split()[1]} waits for it." in latest.stderr


def test_while_another_process_is_writing_one_it_is_shown_and_how_to_go_on_if_it_is_stopped(
    terminal: Callable[..., Screen], run: Run, sim: Simulator
) -> None:
    sim.play("stall-middle seconds=60")
    first = terminal("ask", "Tell me a story", patient=True)
    first.until(r"▸ writing · ")
    [row] = json.loads(run("history", "--json").stdout)
    waiting, other = terminal("resume", row["handle"]), terminal("resume", row["handle"])
    for screen in (waiting, other):
        screen.until(r"Tell me a\s+story[\s\S]*▸ writing · ")
    other.process.send_signal(signal.SIGINT)
    assert other.end() == 130
    assert (first.process.poll(), sim.calls[0].ended) == (None, None)
    first.process.send_signal(signal.SIGINT)
    assert (first.end(), waiting.end()) == (130, 3)
    for screen in (waiting, other):
        assert "Partial: it was interrupted." in screen.seen
        assert f"The rest: runapi-mcp resume {row['handle']}" in screen.seen


def test_without_one_it_says_so(run: Run, sim: Simulator) -> None:
    assert run("ask", "Hello?").returncode == 0
    sim.play("bad-key-401")
    assert run("ask", "Hello again?").returncode == 1
    done = run("resume")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no answer to go on with" in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_one_whose_terminal_was_closed_or_that_was_ended_by_another_keeps_what_was_shown(
    terminal: Callable[..., Screen], run: Run, sim: Simulator, name: str
) -> None:
    sim.play("stall-middle seconds=60")
    screen = terminal("ask", "Tell me a story", patient=True)
    screen.until(r"given\.[\s\S]*▸ writing · ")
    screen.process.send_signal(signal.Signals[name])
    assert screen.end() == -signal.Signals[name]
    assert screen.seen.rfind("\x1b[?25h") > screen.seen.rfind("\x1b[?25l"), "the cursor is seen again"
    [row] = json.loads(run("history", "--json").stdout)
    assert f"The rest: runapi-mcp resume {row['handle']}" in screen.seen
    assert "given." in run("history", row["handle"]).stdout


def test_a_cut_answer_is_found_behind_however_many_that_are_whole(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean", "default")
    assert run("ask", "Why is the sky blue?").returncode == 3
    for number in range(21):
        assert run("ask", f"Whole {number}?").returncode == 0
    assert run("resume").returncode == 0
    assert "Why is the sky blue?" in json.dumps(sim.calls[-1].body)


def test_files_are_found_from_the_folder_they_were_named_in(
    run: Run, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "note.txt").write_text("a note of thyme")
    monkeypatch.chdir(tmp_path / "here")
    sim.play("cut-clean")
    assert run("ask", "-f", "note.txt", "What herb?").returncode == 3
    monkeypatch.chdir(tmp_path)
    sim.play("default")
    assert run("resume").returncode == 0
    assert "thyme" in json.dumps(sim.calls[-1].body)


@pytest.mark.parametrize("words", [("resume",), ("ask", "-c", "And?")], ids=["resume", "ask"])
@pytest.mark.parametrize("swapped", ["here", "here/note.txt"])
def test_a_link_in_the_place_of_a_file_that_was_sent_leads_nowhere(
    run: Run, sim: Simulator, tmp_path: Path, words: tuple[str, ...], swapped: str
) -> None:
    """Whoever asks on named the file, and not what it leads to by now: a branch may have brought the link."""
    for folder, text in (("here", "a note of thyme"), (".ssh", "a private key")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "note.txt").write_text(text)
    sim.play("cut-clean", "default")
    assert run("ask", "-f", "here/note.txt", "What herb?").returncode == 3
    (tmp_path / swapped).rename(tmp_path / "before")
    (tmp_path / swapped).symlink_to(tmp_path / swapped.replace("here", ".ssh"))
    done = run(*words)
    assert (done.returncode, len(sim.calls)) == (2, 1)
    assert "note.txt cannot be read again" in done.stderr
    (tmp_path / swapped).unlink()
    (tmp_path / "before").rename(tmp_path / swapped)
    assert run(*words).returncode == 0
    assert "thyme" in json.dumps(sim.calls[-1].body)


def test_a_file_that_was_named_by_a_link_is_read_again(run: Run, sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "note-1.txt").write_text("a note of thyme")
    (tmp_path / "note.txt").symlink_to("there/note-1.txt")
    assert run("ask", "-f", "note.txt", "What herb?").returncode == 0
    on = run("ask", "-c", "Sure?")
    assert on.returncode == 0, on.stderr
    bodies: list[Any] = [call.body for call in sim.calls]
    first, then = (body["messages"] for body in bodies)
    assert then[: len(first)] == first


async def test_what_another_terminal_asked_is_watched_in_this_one_and_ctrl_c_does_not_end_it_there(
    terminal: Callable[..., Screen], sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def press_when_text_is_there(watch: Watch) -> None:
        while not ((followed := watch()) and followed.view().answer.text):
            await anyio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

    sim.play("stall-middle seconds=60")
    first = terminal("ask", "Tell me a story", patient=True)
    first.until(r"▸ writing · ")
    monkeypatch.setattr(SqliteEngine, "patience", PATIENCE)
    env, question = environment(sim, tmp_path), Question("ask_gemini", {"prompt": "Tell me a story"})
    with anyio.fail_after(PATIENCE):
        outcome = await perform(question, from_env(env), press_when_text_is_there, env=env)
    assert outcome.ending == "interrupted"
    assert sheet_of(outcome).text
    assert len(sim.calls) == 1
    assert (first.process.poll(), sim.calls[0].ended) == (None, None)
    first.process.send_signal(signal.SIGINT)
    assert first.end() == 130
    assert outcome.rest in first.seen


async def test_a_pipe_gets_one_answer_to_a_question_that_was_stopped_in_the_terminal_it_was_joined_in(
    terminal: Callable[..., Screen], sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    pipe = Pipe(out, None)

    async def stop_the_other_when_text_is_there(watch: Watch) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipe.show, watch)
            while not ((followed := watch()) and followed.view().answer.text):
                await anyio.lowlevel.checkpoint()
            first.process.send_signal(signal.SIGINT)
            await anyio.sleep_forever()

    sim.play("stall-middle seconds=60", "links-in-text")
    first = terminal("ask", "Tell me a story", patient=True)
    first.until(r"▸ writing · ")
    monkeypatch.setattr(SqliteEngine, "patience", PATIENCE)
    env, question = environment(sim, tmp_path), Question("ask_gemini", {"prompt": "Tell me a story"})
    with anyio.fail_after(PATIENCE):
        outcome = await perform(question, from_env(env), stop_the_other_when_text_is_there, env=env)
    assert first.end() == 130
    sheet = sheet_of(outcome)
    pipe.finish(sheet)
    assert (outcome.ending, len(sim.calls)) == ("complete", 2)
    assert out.getvalue() == f"{sheet.plain}\n"

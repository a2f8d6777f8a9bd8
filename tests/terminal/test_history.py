"""What was asked is gone on from, listed, shown and removed in the terminal."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from forked import forked

from runapi_mcp.cli import stdin
from runapi_mcp.errors import InputError
from runapi_mcp.generations.store.sqlite import FILE, SqliteEngine
from runapi_mcp.sim import Simulator
from terminal.typed import PATIENCE, Run, Screen, open_terminal, typed


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine keep what is asked."""
    monkeypatch.setenv("RUNAPI_MCP_STORE", str(tmp_path / "state"))


def messages(sim: Simulator) -> list[list[dict[str, Any]]]:
    """What each call told the model."""
    bodies: list[Any] = [call.body for call in sim.calls]
    return [body["messages"] for body in bodies]


def assert_each_goes_on_from_the_last(said: list[list[dict[str, Any]]]) -> None:
    for earlier, later in pairwise(said):
        assert later[: len(earlier)] == earlier
        assert [message["role"] for message in later[len(earlier) :]] == ["assistant", "user"]


def listed(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run("history", "--json").stdout)
    return rows


# ---------------------------------------------------------------- ask -c, --from


def test_the_last_conversation_goes_on_with_c(run: Run, sim: Simulator) -> None:
    assert run("ask", "--system", "Be brief.", "Why is the sky blue?").returncode == 0
    on = run("ask", "-c", "And at night?")
    assert on.returncode == 0
    assert re.search(r"Going on from: .*g_\S+ .*Why is the sky blue\?", on.stderr)
    assert run("ask", "-c", "And on Mars?").returncode == 0
    said = messages(sim)
    assert_each_goes_on_from_the_last(said)
    assert said[2][0] == {"role": "system", "content": "Be brief."}
    assert said[2][-1] == {"role": "user", "content": "And on Mars?"}


def test_any_answer_goes_on_by_its_handle(run: Run, sim: Simulator) -> None:
    run("ask", "About ships?")
    run("ask", "About trees?")
    [_, ships] = listed(run)
    assert run("ask", "--from", ships["handle"], "How long?").returncode == 0
    said = messages(sim)
    assert_each_goes_on_from_the_last([said[0], said[2]])


def test_the_last_and_one_by_its_handle_do_not_go_together(run: Run, sim: Simulator) -> None:
    """Elsewhere one of the two is ignored without a word (simonw/llm#1140)."""
    run("ask", "About ships?")
    handle = listed(run)[0]["handle"]
    for command in ("ask", "chat"):
        done = run(command, "-c", "--from", handle, *(["And?"] if command == "ask" else []), stdin="And?\n")
        assert (done.returncode, done.stdout) == (2, "")
        assert "give one of them" in done.stderr
    assert len(sim.calls) == 1


def test_what_a_writer_has_locked_can_be_read_and_gone_on_from(
    run: Run, sim: Simulator, tmp_path: Path
) -> None:
    """A browser of databases holds the lock for as long as somebody looks (openai/codex#46269)."""
    run("ask", "About ships?")
    other = sqlite3.connect(tmp_path / "state" / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert [row["question"] for row in listed(run)] == ["About ships?"]
    assert run("ask", "-c", "And?").returncode == 0
    assert_each_goes_on_from_the_last(messages(sim))
    locked = run("history", "--clear")
    assert (locked.returncode, locked.stdout) == (2, "")
    assert "Another program has the file locked" in locked.stderr
    other.execute("ROLLBACK")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM generations").fetchone()
    cleared = run("history", "--clear")
    assert cleared.stdout == "Removed 1 generation.\n"
    assert "Another program is reading the file" in cleared.stderr
    other.close()
    assert "Another" not in run("history", "--clear").stderr


def test_what_the_disk_says_is_passed_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: object) -> object:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    run("ask", "About ships?")
    monkeypatch.setattr(SqliteEngine, "_open", full)
    done = run("history")
    assert (done.returncode, done.stdout) == (2, "")
    assert "The file says: database or disk is full." in done.stderr
    assert "again." in done.stderr
    assert [record.getMessage() for record in caplog.records if record.name.startswith("runapi_mcp")] == [
        "The store on this machine cannot be used now: database or disk is full."
    ], "it was closed after that, which is no sign that it can be used"


def test_a_search_goes_on_by_its_handle_and_an_answer_does_not(run: Run, sim: Simulator) -> None:
    run("search", "When was it opened?")
    run("ask", "Hello?")
    [answer, search] = listed(run)
    assert run("search", "--from", search["handle"], "And closed?").returncode == 0
    assert_each_goes_on_from_the_last([messages(sim)[0], messages(sim)[2]])
    refused = run("search", "--from", answer["handle"], "And closed?")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert (
        "--from: that is an answer of ask_gemini, and no search. Ask on with runapi-mcp ask" in refused.stderr
    )


def test_with_no_answer_before_it_c_says_so(run: Run, sim: Simulator) -> None:
    done = run("ask", "-c", "And?")
    assert (done.returncode, done.stdout, sim.calls) == (2, "", [])
    assert "no earlier answer" in done.stderr


def test_an_answer_is_found_behind_however_many_that_came_to_nothing(run: Run, sim: Simulator) -> None:
    run("ask", "First?")
    sim.play(*["bad-key-401"] * 21, "default")
    for number in range(21):
        assert run("ask", f"Failing {number}?").returncode == 1
    assert run("ask", "-c", "Second?").returncode == 0
    assert_each_goes_on_from_the_last([messages(sim)[0], messages(sim)[-1]])


def test_a_handle_is_known_by_its_address_too_and_so_are_its_files(
    run: Run, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "note.txt").write_text("a note of thyme")
    run("ask", "-f", "here/note.txt", "What herb?")
    address = f"generation://{listed(run)[0]['handle']}"
    monkeypatch.chdir("/")
    for words in (("ask", "--from", address, "Sure?"), ("history", address), ("resume", address)):
        done = run(*words)
        assert done.returncode == 0, done.stderr
    assert_each_goes_on_from_the_last(messages(sim))
    assert len(sim.calls) == 2


@pytest.mark.parametrize("command", ["ask", "search", "chat"])
def test_a_handle_that_is_empty_begins_nothing_anew(run: Run, sim: Simulator, command: str) -> None:
    """A variable that was never set, say; all that was said is lost elsewhere (lidge-jun/opencodex#4683)."""
    done = run(command, "--from", "", *(() if command == "chat" else ("And?",)), stdin="And?\n")
    assert (done.returncode, done.stdout, sim.calls) == (2, "", [])
    assert "what is the handle?" in done.stderr


def test_an_unknown_handle_is_refused_before_anything_is_sent(run: Run, sim: Simulator) -> None:
    for words in (("ask", "--from", "g_nobody", "And?"), ("history", "g_nobody"), ("resume", "g_nobody")):
        done = run(*words)
        assert (done.returncode, done.stdout, sim.calls) == (2, "", [])
        assert "no generation 'g_nobody'" in done.stderr


# ---------------------------------------------------------------- chat


@pytest.mark.parametrize("empty", ["", " \t", "\u00a0\u2003"])
def test_chat_asks_on_until_an_empty_line(run: Run, sim: Simulator, empty: str) -> None:
    done = run("chat", "--system", "Be brief.", stdin=f"First?\nSecond?\nThird?\n{empty}\nNever?\n")
    assert done.returncode == 0, done.stderr
    said = messages(sim)
    assert len(said) == 3
    assert_each_goes_on_from_the_last(said)
    assert said[2][0]["content"] == "Be brief."
    assert done.stdout.count("This is a simulated answer") == 3


def test_chat_goes_on_from_the_last_answer_with_c(run: Run, sim: Simulator) -> None:
    run("ask", "First?")
    assert run("chat", "-c", stdin="Second?\nThird?\n").returncode == 0
    assert_each_goes_on_from_the_last(messages(sim))
    assert len(messages(sim)) == 3


def test_a_chat_whose_answers_cannot_be_kept_says_so(run: Run, sim: Simulator, tmp_path: Path) -> None:
    homeless = run("chat", stdin="First?\n", RUNAPI_MCP_STORE="", HOME="", XDG_STATE_HOME="")
    assert (homeless.returncode, homeless.stdout, sim.calls) == (2, "", [])
    assert "chat needs a store on this machine: this user has no home folder." in homeless.stderr
    run("ask", "First?")
    other = sqlite3.connect(tmp_path / "state" / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done = run("chat", "-c", stdin="Second?\nThird?\n")
    other.close()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("could not be kept on this machine") == 2
    assert "The next question does not know it." in done.stderr
    first, second, third = messages(sim)
    assert_each_goes_on_from_the_last([first, second])
    assert_each_goes_on_from_the_last([first, third])


def test_chat_begins_where_another_conversation_stopped(run: Run, sim: Simulator) -> None:
    run("ask", "First?")
    assert run("chat", "--from", listed(run)[0]["handle"], stdin="Second?\nThird?\n").returncode == 0
    assert_each_goes_on_from_the_last(messages(sim))
    assert len(messages(sim)) == 3


def test_a_question_that_failed_is_no_turn_of_the_chat(run: Run, sim: Simulator) -> None:
    sim.play("default", "error-a", "default")
    done = run("chat", stdin="First?\nSecond?\nThird?\n")
    assert done.returncode == 0, done.stderr
    assert "was not understood" in done.stderr
    first, _, third = messages(sim)
    assert_each_goes_on_from_the_last([first, third])
    assert third[-1]["content"] == "Third?"


def test_a_chat_that_cannot_ask_says_so_once_and_ends(run: Run, sim: Simulator) -> None:
    done = run("chat", stdin="First?\nSecond?\n", RUNAPI_TOKEN="")
    assert (done.returncode, done.stderr.count("No RunAPI key")) == (2, 1)
    assert not sim.calls


def test_a_cut_answer_is_a_turn_of_the_chat(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean", "default")
    assert run("chat", stdin="First?\nSecond?\n").returncode == 0
    assert_each_goes_on_from_the_last(messages(sim))


def test_chat_in_a_terminal_asks_with_a_sign_and_ends_with_what_is_typed(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    screen = terminal("chat")
    screen.until(r"> $")
    screen.types("First?\n")
    screen.until(r"tokens\s+> $")
    screen.types("Second?\n")
    screen.until(r"tokens\s[\s\S]*tokens\s+> $")
    screen.types("\x04")
    assert screen.end() == 0
    assert_each_goes_on_from_the_last(messages(sim))
    assert len(messages(sim)) == 2


def test_what_is_pasted_into_a_chat_is_one_question_and_nothing_of_it_is_left_to_the_shell(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    """Elsewhere each line is asked, and paid for (TheR1D/shell_gpt#505)."""
    pasted = ["\n", "def f():\n", "    return 1\n", "\n", "rm -r notes\n", "What is it"]
    screen = terminal("chat")
    screen.until(r"> $")
    screen.types("".join(pasted))
    screen.until(r"An empty line ends it\.\s")
    screen.types("?\n")
    screen.until(r"ends it\.\s+\?\s")
    screen.types("\n")
    screen.until(r"tokens\s+> $")
    screen.types("\n")
    assert screen.end() == 0
    [[asked]] = messages(sim)
    assert asked["content"] == "def f():\n    return 1\n\nrm -r notes\nWhat is it?"


def test_what_is_pasted_without_an_end_is_refused_before_it_fills_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdin, "MOST_BYTES", 1_000)
    ours, theirs = open_terminal()
    with os.fdopen(theirs) as stream:
        os.write(ours, b"twenty bytes a line\n" * 100)
        with pytest.raises(InputError, match="were pasted"):
            next(stdin.read_questions(stream, lambda _shown: None))
    os.close(ours)


def test_a_chat_whose_last_question_and_end_come_at_once_ends(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    screen = terminal("chat")
    screen.until(r"> $")
    screen.types("First?\n\x04")
    assert screen.end() == 0
    assert [said[-1]["content"] for said in messages(sim)] == ["First?"]


def test_a_line_that_the_terminal_may_have_cut_is_not_asked(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    """It hands on 4,095 bytes, and loses the rest without a word (jqlang/jq#3457)."""
    screen = terminal("chat")
    screen.until(r"> $")
    screen.types(f"{'x' * 5_000} Why?\n")
    screen.until(r"may lose[\s\S]*ask -c < FILE\s+> $")
    screen.types("\x04")
    assert screen.end() == 2
    assert not sim.calls


def test_a_line_of_a_chat_that_is_no_text_is_not_asked_and_the_next_one_is(
    env: dict[str, str], sim: Simulator
) -> None:
    """Elsewhere that ends all (HenryZ838978/deepseek-harness#6)."""
    done = typed(["chat"], env, stdin=b"\xef\xbb\xbfFirst?\r\nWh\xff\0?\nSecond?\n")
    assert "is not text" in done.stderr
    said = messages(sim)
    assert [each[-1]["content"] for each in said] == ["First?", "Second?"]
    assert_each_goes_on_from_the_last(said)


def test_a_chat_waits_for_a_pipe_that_was_left_not_to_be_waited_for(
    env: dict[str, str], sim: Simulator
) -> None:
    """As a parent may leave it, whose runtime sets that on what it shares (nodejs/node#42826)."""
    if sys.platform == "win32":
        pytest.skip("a pipe is waited for there")
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with subprocess.Popen([*forked(), "chat"], env=env, stdin=ours, stdout=subprocess.PIPE) as chat:
        os.close(ours)
        assert chat.stdout is not None
        for question in (b"First?\n", b"Second?"):
            os.write(theirs, question)
            if question.endswith(b"\n"):
                assert chat.stdout.readline()
        os.close(theirs)
        assert chat.wait(PATIENCE) == 0
    assert_each_goes_on_from_the_last(messages(sim))
    assert len(messages(sim)) == 2


def test_a_chat_ends_when_its_terminal_has_gone(env: dict[str, str]) -> None:
    outer, inner = open_terminal()
    silent = subprocess.PIPE
    with subprocess.Popen([*forked(), "chat"], env=env, stdin=inner, stdout=silent, stderr=silent) as chat:
        os.close(inner)
        assert chat.stderr is not None
        assert chat.stderr.read(2) == b"> "
        os.close(outer)
        assert (chat.wait(PATIENCE), chat.stderr.read()) == (0, b"")


def test_a_line_without_an_end_is_not_read_for_ever(env: dict[str, str], sim: Simulator) -> None:
    done = typed(["chat"], env, stdin=b"x" * 17_000_000, code=2)
    assert "A line of more than 16 MB" in done.stderr
    assert not sim.calls


def test_a_chat_goes_on_where_a_store_cannot_be_opened_and_says_what_is_not_known(
    run: Run, sim: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "state" / FILE).mkdir(parents=True)
    done = run("chat", stdin="First?\nSecond?\n")
    assert (done.returncode, done.stderr.count("The next question does not know it.")) == (0, 2)
    assert [[each["content"] for each in said] for said in messages(sim)] == [["First?"], ["Second?"]]


def test_a_chat_goes_on_after_ctrl_c_on_an_answer_that_another_process_writes(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    sim.play("stall-middle seconds=60", "default")
    first, chat = (terminal(*words, patient=True) for words in (("ask", "Tell me a story"), ("chat",)))
    first.until(r"▸ writing · ")
    chat.until(r"> $")
    chat.types("Tell me a story\n")
    chat.until(r"▸ writing · ")
    chat.process.send_signal(signal.SIGINT)
    chat.until(r"runapi-mcp resume g_\S+ waits for the rest. The next question does not know it.\s+> $")
    chat.types("Second?\n")
    chat.until(r"does not know it[\s\S]*tokens\s+> $")
    chat.types("\x04")
    assert chat.end() == 0
    assert [said[-1]["content"] for said in messages(sim)] == ["Tell me a story", "Second?"]
    assert len(messages(sim)[1]) == 1
    assert (first.process.poll(), sim.calls[0].ended) == (None, None)
    first.process.send_signal(signal.SIGINT)
    assert first.end() == 130


@pytest.mark.parametrize("words", [("chat",), ("history",), ("ask", "-c", "And?"), ("resume",)], ids=str)
def test_where_nothing_is_kept_it_says_what_to_change(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words, stdin="First?\n", RUNAPI_MCP_STORE="memory")
    assert (done.returncode, done.stdout) == (2, "")
    assert "RUNAPI_MCP_STORE" in done.stderr


# ---------------------------------------------------------------- history


def test_what_was_asked_is_listed_the_newest_first(run: Run, sim: Simulator) -> None:
    sim.play("default", "cut-clean", "default")
    run("ask", "Why is the sky blue?")
    run("ask", "Why is it cut?")
    run("search", "When was it opened?")
    lines = run("history").stdout.splitlines()
    assert [re.sub(r"^\d\d:\d\d  g_\S+  ", "", line) for line in lines] == [
        "search_web  When was it opened?",
        "ask_gemini [partial]  Why is it cut?",
        "ask_gemini  Why is the sky blue?",
    ]
    rows = listed(run)
    assert [row["question"] for row in rows] == [
        "When was it opened?",
        "Why is it cut?",
        "Why is the sky blue?",
    ]
    assert set(rows[0]) == {"handle", "tool", "status", "model", "asked", "question"}


def test_an_answer_is_shown_whole_by_its_handle(run: Run) -> None:
    asked = run("ask", "Why?")
    handle = listed(run)[0]["handle"]
    shown = run("history", handle)
    assert (shown.returncode, shown.stdout) == (0, asked.stdout)
    assert handle in shown.stderr
    assert json.loads(run("history", handle, "--json").stdout)["text"] == asked.stdout.rstrip("\n")


def test_all_of_it_is_removed_at_a_word(run: Run, tmp_path: Path) -> None:
    run("ask", "A secret of thyme?")
    run("ask", "Another?")
    done = run("history", "--clear")
    assert (done.returncode, done.stdout) == (0, "Removed 2 generations.\n")
    empty = run("history")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "Nothing was asked" in empty.stderr
    assert run("ask", "-c", "And?").returncode == 2
    assert all(b"thyme" not in file.read_bytes() for file in (tmp_path / "state").iterdir())


def test_one_answer_is_not_removed_alone(run: Run) -> None:
    done = run("history", "--clear", "g_x")
    assert done.returncode == 2
    assert "--clear removes all" in done.stderr


def test_another_key_is_another_user_of_the_machine(run: Run) -> None:
    run("ask", "Mine?")
    assert run("history", RUNAPI_TOKEN="sk-canary-another-0123456789").stdout == ""
    assert len(listed(run)) == 1

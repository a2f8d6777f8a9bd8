"""The tools in a terminal: for a person, for a pipe, for a program."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import pytest
from forked import forked

from runapi_mcp.cli.client import Question, Watch, _Interrupts, perform
from runapi_mcp.cli.view import _notes, sheet_of
from runapi_mcp.generations.store import Followable
from runapi_mcp.models import SEARCHING
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator, simulate
from terminal.typed import KEY, PATIENCE, Run, Screen, environment, typed

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "total": {"type": "number"}},
    "required": ["name", "total"],
    "additionalProperties": False,
}


def test_an_answer_goes_to_stdout_and_nothing_else_does(sim: Simulator, tmp_path: Path) -> None:
    done = subprocess.run(
        [*forked(), "ask", "Why", "is the sky blue?"],
        env=environment(sim, tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0
    assert "sky" in done.stdout.lower() or "simulated" in done.stdout.lower()
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "Why is the sky blue?" in json.dumps(sim.calls[0].body)


def test_the_question_can_come_from_stdin(run: Run, sim: Simulator) -> None:
    assert run("ask", "-", stdin="from a pipe\n").returncode == 0
    assert "from a pipe" in json.dumps(sim.calls[0].body)


def test_stdin_goes_where_its_sign_stands_behind_a_flag_too(run: Run, sim: Simulator) -> None:
    assert run("ask", "Compare", "--effort", "low", "-", "to it.", stdin="this\n").returncode == 0
    assert "Compare\\n\\nthis\\n\\nto it." in json.dumps(sim.calls[0].body)


async def test_a_second_ctrl_c_ends_what_the_first_could_not() -> None:
    class Stubborn:
        stops = 0

        def cancel(self) -> None:
            self.stops += 1

    stubborn, interrupts = Stubborn(), _Interrupts()
    with anyio.fail_after(PATIENCE):
        async with interrupts.heed(lambda: cast("Followable", stubborn)):
            signal.raise_signal(signal.SIGINT)
            while not stubborn.stops:
                await anyio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep_forever()
    assert (interrupts.count, stubborn.stops) == (2, 1)


@pytest.mark.parametrize("tool", ["ask_gemini", "search_web"])
async def test_a_second_ctrl_c_keeps_what_had_come_too(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person presses twice; the second ends the tool before it could say what the first had kept."""

    def cancel_too_late(_: object) -> None: ...

    async def press_when_text_is_there(watch: Watch) -> None:
        while not ((followed := watch()) and followed.view().answer.text):
            await anyio.lowlevel.checkpoint()
        monkeypatch.setattr(type(followed), "cancel", cancel_too_late)
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

    async with simulate() as sim:
        sim.play("stall-middle seconds=60")
        env = environment(sim, tmp_path)
        question = Question(tool, {"prompt" if tool == "ask_gemini" else "query": "Why?"})
        with anyio.fail_after(PATIENCE):
            outcome = await perform(question, from_env(env), press_when_text_is_there, env=env)
    assert outcome.ending == "interrupted"
    assert not outcome.reply.is_error
    assert sheet_of(outcome).text
    assert list(_notes(outcome))[-1:] == ["Partial: it was interrupted."]


def test_json_holds_text_and_receipt(run: Run) -> None:
    told = json.loads(run("ask", "--json", "Hello?").stdout)
    assert (told["tool"], told["ending"]) == ("ask_gemini", "complete")
    assert told["text"]
    assert told["receipt"]["complete"] is True
    assert told["receipt"]["seconds_to_first_byte"] is not None


def test_a_file_anywhere_can_be_attached_because_a_person_named_it(
    run: Run, sim: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    note = tmp_path_factory.mktemp("elsewhere") / "note.txt"
    note.write_text("the secret ingredient is thyme")
    done = run("ask", "--file", str(note), "--effort", "low", "What is in it?")
    assert done.returncode == 0, done.stderr
    asked = json.dumps(sim.calls[0].body)
    assert "thyme" in asked
    assert '"low"' in asked


def test_a_link_that_does_not_look_like_a_secret_names_none(run: Run, sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa").write_text("a private key")
    (tmp_path / "README.md").symlink_to(".ssh/id_rsa")
    done = run("ask", "--file", "README.md", "What is this?")
    assert (done.returncode, done.stdout, sim.calls) == (2, "", [])
    assert run("ask", "--file", ".ssh/id_rsa", "What is this?").returncode == 0, "it was named"


def test_a_search_lists_its_sources(run: Run) -> None:
    done = run("search", "When was the Example Observatory opened?")
    assert (done.returncode, "Sources:" in done.stdout) == (0, True)


def test_an_extraction_prints_the_document_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "invoice.txt").write_text("name: Ada Example, total: 129.50")
    for words, stdin in ((["invoice.txt"], ""), (["-"], "name: Ada Example, total: 129.50")):
        done = run("extract", "--schema", "schema.json", *words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)) == {"name", "total"}


def test_the_models_are_listed(run: Run) -> None:
    assert "gemini-3-flash-preview" in run("models").stdout
    assert json.loads(run("models", "--json").stdout)["structured"]["source"] == "live"


def test_the_models_are_listed_in_80_columns_with_what_it_takes_to_choose(run: Run) -> None:
    listed = run("models").stdout
    assert all(len(line) < 80 for line in listed.splitlines()), listed
    assert "1M tokens in, 64k out." in listed
    assert "Ends 2026-12-01; successor gemini-3.5-flash-lite." in " ".join(listed.split())
    assert "Passed through, abilities not known: gpt-5.5" in " ".join(listed.split())
    assert "flash: gemini-3-flash-preview" in " ".join(listed.split())


def test_a_word_stands_for_a_model_in_the_terminal_too(run: Run) -> None:
    done = run("ask", "--model", "pro", "--json", "Why?")
    assert json.loads(done.stdout)["receipt"]["model_asked"] == "gemini-3.1-pro-preview"


@pytest.mark.parametrize(
    ("scenario", "code", "ending"),
    [
        ("bad-key-401", 1, "failed"),
        ("cut-clean", 3, "partial"),
        ("length", 3, "partial"),
        ("blocked-middle", 3, "partial"),
        ("blocked-prompt", 1, "failed"),
        ("finish reason=RECITATION", 3, "partial"),
        ("finish reason=OTHER", 3, "partial"),
        ("late-error", 0, "complete"),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    run: Run, sim: Simulator, scenario: str, code: int, ending: str
) -> None:
    sim.play(scenario)
    done = run("ask", "--json", "Hello?")
    assert (done.returncode, json.loads(done.stdout)["ending"]) == (code, ending)


def test_a_partial_answer_is_printed_and_said_to_be_partial(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean")
    done = run("ask", "Hello?")
    assert "Partial: The answer stopped in the middle" in done.stderr
    assert "Partial" not in done.stdout


def test_an_error_goes_to_stderr(run: Run, sim: Simulator) -> None:
    sim.play("bad-key-401")
    done = run("ask", "Hello?")
    assert (done.returncode, done.stdout) == (1, "")
    assert "RUNAPI_TOKEN" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ask", " "), "what is the question?"),
        (("ask", "--model", "a/b", "x"), "model"),
        (("ask", "--file", "gone.txt", "x"), "gone.txt does not exist"),
        (("extract", "--schema", "gone.json", "-"), "gone.json"),
        (("completion", "elvish"), "bash, zsh, fish"),
        (("install",), "which host? One of claude-desktop"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    run: Run, sim: Simulator, words: tuple[str, ...], said: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not sim.calls


def test_what_is_typed_and_no_text_is_told_what_it_should_be(env: dict[str, str], sim: Simulator) -> None:
    """In another encoding, say (simonw/llm#768)."""
    assert "prompt: must be text in UTF-8" in typed(["ask", os.fsdecode(b"caf\xe9?")], env, code=2).stderr
    assert not sim.calls


def test_without_a_key_it_is_said_how_to_get_one(run: Run) -> None:
    done = run("ask", "Hello?", RUNAPI_TOKEN="")
    assert done.returncode == 2
    assert "https://runapi.ai" in done.stderr


def test_a_terminal_shows_the_text_as_it_grows_and_ctrl_c_keeps_it(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    sim.play("stall-middle seconds=60")
    screen = terminal("ask", "Tell me a story")
    screen.until(r"▸ writing · ")
    assert screen.process.poll() is None
    grown = screen.seen
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    left = screen.seen[len(grown) :]
    assert "Partial: it was interrupted." in " ".join(left.split())
    assert KEY not in screen.seen


def test_a_terminal_is_left_with_the_answer_and_what_it_cost(terminal: Callable[..., Screen]) -> None:
    screen = terminal("ask", "Why is the sky blue?")
    assert screen.end() == 0
    last = screen.seen.strip().splitlines()[-1]
    assert re.search(r"gemini-3-flash-preview · [\d.]+ s · first byte [\d.]+ s · [\d,]+ tokens", last), last


def test_an_answer_cannot_command_the_terminal(terminal: Callable[..., Screen]) -> None:
    screen = terminal("ask", "repeat \x1b]0;owned\x07 please")
    assert screen.end() == 0
    assert "owned" in screen.seen
    assert "\x1b]0;" not in screen.seen


async def test_ctrl_c_before_anything_came_ends_it(sim: Simulator, tmp_path: Path) -> None:
    sim.play("stall-headers seconds=60")
    words = [*forked(), "ask", "Hello?"]
    env = environment(sim, tmp_path)
    async with await anyio.open_process(words, env=env, stdin=subprocess.DEVNULL) as process:
        await sim.wait_for_call(timeout=PATIENCE)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(PATIENCE):
            assert await process.wait() == 130
        assert process.stdout
        assert process.stderr
        assert b"".join([piece async for piece in process.stdout]) == b""
        assert b"Traceback" not in b"".join([piece async for piece in process.stderr])
    await sim.calls[0].wait_closed()


@pytest.mark.parametrize(
    "moment", ["runapi_mcp.cli.main", "runapi_mcp.errors", "runapi_mcp.cli.outlet", "httpx"]
)
def test_ctrl_c_while_it_is_imported_leaves_no_traceback(env: dict[str, str], moment: str) -> None:
    code = f"""
import os, signal, sys
from runapi_mcp.__main__ import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {moment!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["runapi-mcp", "ask", "Hello?"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_defaults_that_are_refused_one_after_the_other_end_at_one_that_answers(
    env: dict[str, str], sim: Simulator
) -> None:
    # Each command is a process of its own: what it learned of the models, the next would learn anew.
    sim.roster.gone[SEARCHING[0]] = 410
    sim.roster.searchless.add(SEARCHING[1])
    done = typed(["search", "Who won?", "--json"], env)
    assert json.loads(done.stdout)["receipt"]["model_asked"] == SEARCHING[2]
    assert len([call for call in sim.calls if call.scenario]) == 1


def test_a_model_that_was_named_is_asked_for_once(env: dict[str, str], sim: Simulator) -> None:
    sim.roster.gone[SEARCHING[0]] = 410
    typed(["search", "Who won?", "--model", SEARCHING[0]], env, code=1)
    assert len(sim.calls) == 1

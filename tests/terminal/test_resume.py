"""An answer that was cut goes on with one command, which was printed."""

import json
import re
from pathlib import Path

import pytest

from runapi_mcp.sim import Simulator
from terminal.typed import Done, Run


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have this machine remember what is asked."""
    monkeypatch.setenv("RUNAPI_MCP_STORE", str(tmp_path / "kept"))


def printed_command(done: Done) -> list[str]:
    assert done.returncode == 3
    found = re.fullmatch(r"The rest: runapi-mcp (resume g_\S+)", done.stderr.splitlines()[-1])
    assert found, done.stderr
    return found[1].split()


@pytest.mark.parametrize(
    "words", [("ask", "Why is the sky blue?"), ("search", "When was it opened?")], ids=["ask", "search"]
)
def test_a_cut_answer_goes_on_with_the_command_that_was_printed(
    run: Run, sim: Simulator, words: tuple[str, ...]
) -> None:
    sim.play("cut-clean")
    cut = run(*words)
    sim.play("default")
    rest = run(*printed_command(cut))
    assert rest.returncode == 0, rest.stderr
    begun = json.dumps(sim.calls[-1].body)
    assert words[1] in begun
    assert "Continue exactly where" in begun
    assert rest.stdout.startswith(cut.stdout.splitlines()[0][:20])
    assert len(rest.stdout) > len(cut.stdout)


def test_one_that_is_cut_again_goes_on_from_there_and_needs_no_handle(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean")
    first = run("ask", "Hello?")
    sim.play("cut-clean")
    second = run("resume")
    assert printed_command(second) != printed_command(first)
    sim.play("default")
    third = run("resume", "--json")
    assert len(first.stdout) < len(second.stdout) < len(json.loads(third.stdout)["text"])


def test_without_one_it_says_so(run: Run, sim: Simulator) -> None:
    assert run("ask", "Hello?").returncode == 0
    sim.play("bad-key-401")
    assert run("ask", "And now?").returncode == 1
    done = run("resume")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No answer of the last day was cut" in done.stderr


def test_what_is_not_kept_is_not_promised(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean")
    done = run("ask", "Hello?", RUNAPI_MCP_STORE="memory")
    assert done.returncode == 3
    assert "The rest" not in done.stderr
    assert "RUNAPI_MCP_STORE" in run("resume", RUNAPI_MCP_STORE="memory").stderr

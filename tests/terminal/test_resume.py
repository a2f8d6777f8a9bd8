"""An answer that was cut goes on with one command, which was printed."""

import json
from pathlib import Path

import pytest

from runapi_mcp.sim import Simulator
from terminal.typed import Run

KEPT = Path(".local/state/runapi-mcp/cut.json")


@pytest.mark.parametrize(
    "words", [("ask", "Why is the sky blue?"), ("search", "When was it opened?")], ids=["ask", "search"]
)
def test_a_cut_answer_goes_on_with_the_command_that_was_printed(
    run: Run, sim: Simulator, tmp_path: Path, words: tuple[str, ...]
) -> None:
    sim.play("cut-clean")
    cut = run(*words)
    assert cut.returncode == 3
    assert cut.stderr.splitlines()[-1] == "The rest: runapi-mcp resume"
    assert (tmp_path / KEPT).stat().st_mode & 0o077 == 0
    sim.play("default")
    rest = run("resume")
    assert rest.returncode == 0, rest.stderr
    begun = json.dumps(sim.calls[-1].body)
    assert words[1] in begun
    assert "Continue exactly where" in begun
    assert rest.stdout.startswith(cut.stdout.splitlines()[0][:20])
    assert len(rest.stdout) > len(cut.stdout)
    assert not (tmp_path / KEPT).exists()


def test_one_that_is_cut_again_goes_on_from_there(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean")
    first = run("ask", "Hello?")
    sim.play("cut-clean")
    second = run("resume")
    assert second.returncode == 3
    assert second.stderr.splitlines()[-1] == "The rest: runapi-mcp resume"
    sim.play("default")
    third = run("resume", "--json")
    assert len(first.stdout) < len(second.stdout) < len(json.loads(third.stdout)["text"])


def test_without_one_it_says_so(run: Run, tmp_path: Path) -> None:
    for kept in (None, "{", "[]", '{"tool": 1}'):
        if kept is not None:
            (tmp_path / KEPT).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / KEPT).write_text(kept)
        done = run("resume")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no answer to go on with" in done.stderr


def test_an_answer_that_was_whole_or_none_leaves_nothing_behind(
    run: Run, sim: Simulator, tmp_path: Path
) -> None:
    assert run("ask", "Hello?").returncode == 0
    sim.play("bad-key-401")
    assert run("ask", "Hello?").returncode == 1
    assert not (tmp_path / KEPT).exists()


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

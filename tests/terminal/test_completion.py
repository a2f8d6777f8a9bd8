"""Completion: what a shell offers where somebody presses Tab."""

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from terminal.typed import PATIENCE, open_terminal, typed

Offered = Callable[..., list[str]]


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script as the command prints it."""
    path = tmp_path_factory.mktemp("completion") / "c.bash"
    path.write_text(typed(["completion", "bash"], dict(os.environ)).stdout)
    return path


@pytest.fixture
def offered(bash_script: Path, tmp_path: Path) -> Offered:
    """Return what bash offers after some words; the last is the one that is being typed."""

    (tmp_path / "note.txt").write_text("")

    def ask(*words: str) -> list[str]:
        typed_so_far = " ".join(f"'{word}'" for word in ("runapi-mcp", *words))
        line = f"source '{bash_script}'; COMP_WORDS=({typed_so_far}); COMP_CWORD={len(words)}; "
        line += "_shtab_runapi_mcp; printf '%s\\n' \"${COMPREPLY[@]}\""
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["as"], ["ask"]),
        (["ask", "--eff"], ["--effort"]),
        (["ask", "--effort", ""], ["low", "medium", "high"]),
        (["install", "co"], ["codex"]),
        (["completion", ""], ["bash", "zsh", "fish", "powershell", "tcsh"]),
        (["key", "s"], ["set"]),
        (["search", "--recency", ""], ["day", "week", "month", "year"]),
        (["sim", "--scenario", "cut-c"], ["cut-chunked", "cut-clean"]),
        (["--max-r"], ["--max-result-chars", "--max-running"]),
        (["--dialect", ""], ["chat", "native"]),
        (["--model", "x", "a"], ["ask"]),
        (["--model", "x", "ask", "--th"], ["--thoughts"]),
        (["--model", "=", "x", "ask", "--th"], ["--thoughts"]),
        (["ask", "-m", "gemini-3.1"], ["gemini-3.1-pro-preview"]),
        (["ask", "--file", "no"], ["note.txt"]),
        (["extract", ""], ["note.txt"]),
        (["ask", "--system", ""], []),
    ],
)  # fmt: skip
def test_bash_offers_what_fits(offered: Offered, words: list[str], expected: list[str]) -> None:
    assert sorted(offered(*words)) == sorted(expected)


def test_bash_offers_every_command_first(offered: Offered) -> None:
    names = set(offered(""))
    assert {"ask", "search", "extract", "models", "install", "doctor", "demo", "sim", "serve"} <= names


def test_bash_completes_as_one_types(bash_script: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("")
    with shell(tmp_path) as (types, until):
        types(f"source '{bash_script}'; PS1='ready> '\n")
        until("ready> ")
        types("runapi-mcp sim --scenario cut-cle\t")
        until("--scenario cut-clean ")
        types("\x15runapi-mcp ask --file no\t")
        until("--file note.txt ")
        types("\x15runapi-mcp ask --effort \t\t")
        until(r"high +low +medium")


class shell:  # noqa: N801  # read as a clause: with shell(here)
    """A bash that somebody types into."""

    def __init__(self, here: Path) -> None:
        self._here = here
        self._seen = ""

    def __enter__(self) -> tuple[Callable[[str], None], Callable[[str], None]]:
        self._terminal, inner = open_terminal()
        env = {"PATH": os.environ["PATH"], "HOME": str(self._here), "TERM": "dumb", "INPUTRC": os.devnull}
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=self._here, env=env, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        return self._types, self._until

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _types(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def _until(self, pattern: str) -> None:
        ends = time.monotonic() + PATIENCE
        while not re.search(pattern, self._seen):
            left = ends - time.monotonic()
            assert left > 0, self._seen
            assert select.select([self._terminal], [], [], left)[0], self._seen
            self._seen += os.read(self._terminal, 65_536).decode(errors="replace")
        self._seen = ""


def test_fish_offers_what_fits(env: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not on this machine")
    (tmp_path / "c.fish").write_text(typed(["completion", "fish"], env).stdout)

    def offers(line: str) -> set[str]:
        asked = f"source c.fish; complete -C 'runapi-mcp {line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return {line.partition("\t")[0] for line in done.stdout.splitlines()}

    assert offers("ask --effort ") == {"low", "medium", "high"}
    assert offers("install co") == {"codex"}
    assert offers("ask --file c.f") == {"c.fish"}
    assert offers("sim --scenario cut-c") == {"cut-chunked", "cut-clean"}


def test_zsh_takes_the_script_as_bash_does(env: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not on this machine")
    script = typed(["completion", "zsh"], env).stdout
    assert script.startswith("#compdef runapi-mcp\n")
    (tmp_path / "c.zsh").write_text(script)
    loaded = 'autoload -U compinit; compinit -u -D; eval "$(cat c.zsh)"; print $_comps[runapi-mcp]'
    done = subprocess.run(["zsh", "-f", "-c", loaded], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "shtab_runapi_mcp" in done.stdout


@pytest.mark.parametrize("shell", ["powershell", "tcsh"])
def test_other_shells_get_a_script_with_every_command(env: dict[str, str], shell: str) -> None:
    script = typed(["completion", shell], env).stdout
    assert all(word in script for word in ("ask", "extract", "claude-desktop", "cut-clean"))


def test_a_shell_that_is_not_known_is_refused(env: dict[str, str]) -> None:
    assert "bash, zsh, fish" in typed(["completion", "elvish"], env, code=2).stderr

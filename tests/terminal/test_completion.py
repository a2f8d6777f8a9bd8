"""Completion: what a shell offers where somebody presses Tab."""

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runapi_mcp.cli.completion import Command, Flag, _command, _values, _words, script
from runapi_mcp.errors import InputError
from runapi_mcp.sim import SCENARIOS
from terminal.typed import PATIENCE, commands, open_terminal, typed

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

    def ask(*words: str) -> list[str]:
        typed_so_far = " ".join(f"'{word}'" for word in ("runapi-mcp", *words))
        line = f"source '{bash_script}'; COMP_WORDS=({typed_so_far}); COMP_CWORD={len(words)}; "
        line += "_runapi_mcp; printf '%s\\n' \"${COMPREPLY[@]}\""
        done = subprocess.run(
            ["bash", "-u", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["as"], ["ask"]),
        (["ask", "--eff"], ["--effort"]),
        (["ask", "--effort", ""], ["low", "medium", "high"]),
        (["ask", "--effort", "=", "m"], ["medium"]),
        (["install", "co"], ["codex"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["key", "s"], ["set"]),
        (["search", "--recency", ""], ["day", "week", "month", "year"]),
        (["sim", "--scenario", "cut-c"], ["cut-chunked", "cut-clean"]),
        (["--max-r"], ["--max-result-chars", "--max-running"]),
        (["--dialect", ""], ["chat", "native"]),
        (["--model", "x", "a"], ["ask"]),
        (["--model", "x", "ask", "--th"], ["--thoughts"]),
        (["--model", "=", "x", "ask", "--th"], ["--thoughts"]),
        (["ask", "-m", "gemini-3.1"], ["gemini-3.1-pro-preview"]),
        # Bash offers files where nothing is offered here.
        (["ask", "--file", "no"], []),
        (["extract", ""], []),
        (["ask", "--system", ""], []),
        (["nonsense", ""], []),
    ],
)  # fmt: skip
def test_bash_offers_what_fits(offered: Offered, words: list[str], expected: list[str]) -> None:
    assert sorted(offered(*words)) == sorted(expected)


def test_bash_offers_every_command_first(offered: Offered) -> None:
    names = set(offered(""))
    assert {"ask", "search", "extract", "models", "install", "doctor", "demo", "sim", "serve"} <= names
    assert not any(name.startswith("-") for name in names)


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


def known() -> Iterator[Command]:
    for name, parser in commands().items():
        yield _command(name, parser, _words().get(name, ()), _values())


def test_fish_is_told_what_everything_does() -> None:
    whole = Command("", "", (Flag(("--model",), "Model's id.", valued=True, words=("a", "b")),))
    lines = script("fish", whole, [*known()]).splitlines()
    assert "-n 'not __fish_seen_subcommand_from ask " in lines[0]
    assert all(" -d '" in line for line in lines if " -l " in line or "-f -a " in line), lines
    assert any("-l model -x -a 'a b' -d 'Model\\'s id.'" in line for line in lines)
    (scenario,) = (line for line in lines if "-l scenario" in line)
    assert all(name in scenario for name in SCENARIOS)
    assert any("from ask' -l file -s f -r -F" in line or "-s f -l file -r -F" in line for line in lines)
    assert any(line.endswith("from install' -f") for line in lines)


def test_zsh_takes_what_bash_takes() -> None:
    whole = Command("", "", ())
    assert script("bash", whole, [*known()]) in script("zsh", whole, [*known()])


def test_another_shell_is_refused(env: dict[str, str]) -> None:
    assert "bash, zsh, fish" in typed(["completion", "tcsh"], env, code=2).stderr
    with pytest.raises(InputError):
        script("tcsh", Command("", "", ()), [])

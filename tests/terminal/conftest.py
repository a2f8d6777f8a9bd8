import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from logged import logging_put_back

from runapi_mcp.cli.main import add_commands
from runapi_mcp.cli.outlet import explain
from runapi_mcp.cli.parser import Parser, Surroundings
from runapi_mcp.errors import RunapiError
from runapi_mcp.settings import from_env
from runapi_mcp.sim import Simulator, simulate
from terminal.typed import KEY, Done, Run, Screen, environment


@pytest.fixture(scope="module")
def shared_sim() -> Iterator[Simulator]:
    """A simulator held by another thread: commands that are run in this one bring their own event loop."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulate()) as simulator:
        yield simulator


@pytest.fixture
def env(sim: Simulator, tmp_path: Path) -> dict[str, str]:
    """The environment of a command that asks the simulator."""
    return environment(sim, tmp_path)


@pytest.fixture
def terminal(sim: Simulator, tmp_path: Path) -> Callable[..., Screen]:
    def start(*words: str, patient: bool = False, **env: str) -> Screen:
        return Screen(list(words), environment(sim, tmp_path, **env), patient=patient)

    return start


@pytest.fixture
def run(sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, as the command line does."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, stdin: str = "", **env: str) -> Done:
        out, err = StringIO(), StringIO()
        everything = environment(sim, tmp_path, **env)
        (tmp_path / "stdin").write_text(stdin)
        parser = Parser()
        add_commands(parser.add_subparsers(parser_class=Parser), parser)
        stdin_path = tmp_path / "stdin" if stdin else Path(os.devnull)
        with stdin_path.open() as piped, redirect_stderr(err), logging_put_back():
            around = Surroundings(everything, lambda: from_env(everything), (), piped, out, err)
            try:
                given = parser.understand(words)
                code = given.person(given, around)
            except RunapiError as error:
                around.note(f"runapi-mcp: {explain(error)}")
                code = 2
            except SystemExit as usage:
                code = usage.code
        done = Done(code, out.getvalue(), err.getvalue())
        assert KEY not in done.stdout + done.stderr
        return done

    return command

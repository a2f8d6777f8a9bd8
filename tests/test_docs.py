"""The documents say what is: pages are generated from runs, commands run, links lead somewhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from keychain.rings import Ring

from runapi_mcp.hosts.rows import HOSTS
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = {path.name: path.read_text(encoding="utf-8") for path in DOCS}
GENERATED = ("team_page.py", "tools_page.py", "hosts_page.py", "runs.py", "timeline.py", "picture.py")
ELSEWHERE = {
    "uv tool install .": "make wheel-test",
    'uv tool install --force ".[keyring]"': "make wheel-test",
    'pip install ".[redis,metrics]"': "make wheel-test",
    "sh examples/inspector.sh": "make inspector",
    "python examples/python_host.py": "tests/test_examples.py",
    "python examples/openai_agent.py": "tests/test_examples.py",
    "python examples/team_server.py": "tests/test_examples.py",
}
SIM = "runapi-mcp sim --scenario silent-thinking --pace 0.2"
AGAINST_IT = (
    "RUNAPI_BASE_URL=http://127.0.0.1:8765 RUNAPI_TOKEN=simulated-key RUNAPI_MCP_HOLD=2 "
    "python examples/python_host.py"
)
WITH_WHAT_THEY_NEED = "tests/fleet/test_page.py"
"""Where the commands run that serve over the network, with the settings and the Redis they need."""
NEITHER_DOCKER_NOR_A_CLUSTER = {
    "docker compose -f packaging/compose.yaml up --build",
    "kubectl apply -f packaging/kubernetes.yaml",
}
"""Commands that no test runs: what their files tell containers to run is run in their place (ibid.),
and what else is in them is looked at (tests/fleet/test_packaging.py)."""


def commands_of(page: str) -> list[str]:
    """Return the commands of a page's shell blocks, each on one line and without comments."""
    blocks = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    lines = (re.sub(r"\s+", " ", re.sub(r"(^|\s)#.*", "", line)).strip() for line in blocks.splitlines())
    return [line for line in lines if line]


COMMANDS = sorted({command for page in PAGES.values() for command in commands_of(page)})
OURS = [command for command in COMMANDS if re.match(r"runapi-mcp (install|doctor|key)", command)]
SERVING = {command for command in COMMANDS if re.match(r"export |runapi-mcp serve --http", command)}


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.mark.parametrize("script", GENERATED)
def test_a_generated_page_is_current(script: str) -> None:
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", "--check"], cwd=ROOT, check=False, timeout=150
    )
    assert done.returncode == 0, f"run: python scripts/{script}"


@pytest.mark.parametrize("script", ["bundles.py", "links.py"])
@pytest.mark.parametrize(("word", "code", "said"), [("--help", 0, "only compare"), ("--chekc", 2, "--chekc")])
def test_a_script_that_is_asked_for_help_or_mistyped_says_so_and_is_over(
    script: str, word: str, code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", word], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)


def test_every_command_is_run_somewhere() -> None:
    team = set(commands_of(PAGES["team.md"]))  # tests/network/test_joining.py follows it
    known = {*ELSEWHERE, *OURS, *SERVING, *NEITHER_DOCKER_NOR_A_CLUSTER, *team, SIM, AGAINST_IT}
    assert set(COMMANDS) == known, f"nothing runs {set(COMMANDS) - known}"
    assert set(commands_of(PAGES["fleet.md"])) >= SERVING - team, "only the fleet's page has its blocks run"
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("step ", "make ")
    for where in (*ELSEWHERE.values(), WITH_WHAT_THEY_NEED):
        assert where in ci if where.startswith("make") else (ROOT / where).exists(), where


@pytest.mark.parametrize("command", OURS)
def test_a_command_runs_on_a_machine_without_hosts(command: str, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if "RUNAPI" not in name}
    env |= {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config"), "APPDATA": str(tmp_path)}
    key = "sk-canary-docs-0123456789"
    env |= Ring(tmp_path).env | {"RUNAPI_TOKEN": key, "RUNAPI_BASE_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command.replace("runapi-mcp", "runapi_mcp", 1))],
        env=env,
        input=key,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert "Traceback" not in done.stderr
    assert "sk-canary" not in done.stdout + done.stderr
    # Nothing listens where the doctor looks: it has to say so.
    assert done.returncode == (1 if "doctor" in command else 0), done.stdout + done.stderr
    assert done.stdout or done.stderr


async def test_the_never_held_walk_through_works_as_written() -> None:
    """Two terminals: the simulated RunAPI, and the example against it."""
    with anyio.fail_after(60):
        served = [
            sys.executable,
            "-m",
            *shlex.split(SIM.replace("runapi-mcp", "runapi_mcp", 1)),
            "--port",
            "0",
        ]
        async with await anyio.open_process(served, stderr=None) as sim:
            assert sim.stdout is not None
            said = await TextReceiveStream(sim.stdout).receive()
            found = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert found, said
            *settings, _, example = shlex.split(AGAINST_IT.replace("http://127.0.0.1:8765", found[0]))
            env = os.environ | dict(setting.split("=", 1) for setting in settings)
            done = await anyio.run_process([sys.executable, example], env=env, cwd=ROOT)
            sim.terminate()
    assert b"not done yet; asking again" in done.stderr
    assert b"This is a simulated answer" in done.stdout


def test_the_picture_of_the_demo_shows_every_tool() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    assert all(tool in picture for tool in TOOLS)
    assert "font-face" not in picture, "it would ask another server for fonts"


def test_every_host_has_its_section() -> None:
    for host in HOSTS.values():
        assert f"### {host.title}\n" in PAGES["hosts.md"]
    assert PAGES["hosts.md"].count("**You will see:**") == len(HOSTS)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", PAGES[path.name]):
        assert (path.parent / target).exists(), target


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in PAGES:
        assert f"(docs/{name})" in readme, name


@pytest.mark.parametrize("name", PAGES)
def test_no_page_holds_a_key_or_a_path_of_the_machine_that_wrote_it(name: str) -> None:
    assert not re.search(r"sk-[A-Za-z0-9]{8}", PAGES[name])
    assert str(ROOT) not in PAGES[name]


def test_every_section_of_the_wire_page_that_the_code_names_is_there() -> None:
    sections = {*re.findall(r"^##+ ([\d.]*\d)", PAGES["wire.md"], re.MULTILINE)}
    for path in [*(ROOT / "runapi_mcp").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        named = re.findall(r"(?<!RFC \d{4} )§([\d.]*\d)", path.read_text(encoding="utf-8"))
        assert sections.issuperset(named), f"{path.name} names { ({*named} - sections) }"


PROMISES = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGES["security.md"])


@pytest.mark.parametrize(("path", "name"), PROMISES, ids=[name for _, name in PROMISES])
def test_the_test_that_holds_a_promise_is_there(path: str, name: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)


def test_every_promise_names_its_test() -> None:
    table = PAGES["security.md"].partition("## What holds these promises")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert all("::test_" in row for row in rows)

"""How commands are written: what is said of a wrong one, what the help holds, where settings may stand."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sockets import refused_url

from runapi_mcp.cli.main import _parser
from runapi_mcp.settings import options
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS
from terminal.typed import Run, Screen, commands, shell, typed

CODES = re.compile(r"exit codes: 0 (complete|done), 1 failed, 2 wrong call or no key, .*130 interrupted\n\Z")
NEVER_HERE = {"wait_seconds", "fresh"}
"""Arguments that only make sense where a host waits, or generations outlive a call."""


@pytest.mark.parametrize(
    ("words", "said", "usage"),
    [
        (["ask", "--nope"], "there is no --nope here.", "runapi-mcp ask [OPTIONS] [PROMPT ...]"),
        (["ask", "--efort", "low"], "there is no --efort here. Did you mean --effort?", "runapi-mcp ask"),
        (["ask", "--effort", "hgh", "x"], "Did you mean high?", "runapi-mcp ask"),
        (["aks", "x"], "no command 'aks'. Did you mean ask?", "runapi-mcp [SETTINGS]"),
        (["extract", "a.txt"], "required: -s/--schema", "runapi-mcp extract [OPTIONS] --schema FILE"),
        (["models", "please"], "'please' is one word too many.", "runapi-mcp models"),
        (["install", "codex", "--json"], "--json goes with --list.", "runapi-mcp install"),
    ],
)
def test_a_wrong_call_is_answered_in_three_lines(
    env: dict[str, str], words: list[str], said: str, usage: str
) -> None:
    done = typed(words, env, code=2)
    assert done.stdout == ""
    error, how, more = done.stderr.splitlines()
    assert error.startswith("runapi-mcp: ")
    assert said in error
    assert how.startswith(f"usage: {usage}")
    assert re.fullmatch(r"runapi-mcp( \w+)? --help says more\.", more)


def test_words_after_a_flag_belong_to_the_question(run: Run, sim: Simulator) -> None:
    assert run("ask", "why", "is", "--effort", "low", "it", "so").returncode == 0
    assert "why is it so" in json.dumps(sim.calls[0].body)


@pytest.mark.parametrize("flag", ["-s", "--system"])
def test_flags_have_short_names(run: Run, sim: Simulator, tmp_path: Path, flag: str) -> None:
    (tmp_path / "note.txt").write_text("a note of thyme")
    done = run("ask", flag, "Be brief.", "-m", "gemini-2.5-pro", "-f", "note.txt", "what?")
    assert done.returncode == 0, done.stderr
    sent = json.dumps(sim.calls[0].body)
    assert all(word in sent for word in ("Be brief.", "gemini-2.5-pro", "thyme"))


def test_a_zero_is_a_value(run: Run, sim: Simulator) -> None:
    assert run("ask", "--temperature", "0", "--seed", "0", "Hello?").returncode == 0
    body = json.loads(json.dumps(sim.calls[0].body))
    assert (body["temperature"], body["seed"]) == (0, 0)


@pytest.mark.parametrize(
    ("command", "tool"),
    [("ask", "ask_gemini"), ("search", "search_web"), ("extract", "extract_json"), ("models", "list_models")],
)
def test_a_command_offers_whatever_its_tool_takes(command: str, tool: str) -> None:
    parser = commands()[command]
    offered = {action.dest.replace("which_", "") for action in (*parser.flags, *parser.operands)}
    fields = {field.alias or name for name, field in TOOLS[tool].args.model_fields.items()}
    # What is piped in is the text of an extraction.
    assert fields - NEVER_HERE - {"text"} <= offered


def test_what_is_chosen_arrives(run: Run, sim: Simulator, tmp_path: Path) -> None:
    words = [
        "--recency",
        "week",
        "--depth",
        "thorough",
        "--include-domain",
        "example.org",
        "--language",
        "de",
    ]
    assert run("search", *words, "What is new?").returncode == 0
    sent = json.dumps(sim.calls[0].body)
    assert all(word in sent for word in ("last week", "different sides", "example.org", "language: de"))
    schema = tmp_path / "item.json"
    schema.write_text('{"type": "object", "properties": {"name": {"type": "string"}}}')
    done = run("extract", "-s", "item.json", "--many", stdin="name: Ada\n")
    assert isinstance(json.loads(done.stdout), list)


def test_turns_and_functions_come_from_files(run: Run, sim: Simulator, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "I am Ada."}, {"role": "assistant", "content": "Hello."}]
    (tmp_path / "turns.json").write_text(json.dumps(turns))
    (tmp_path / "functions.json").write_text('[{"name": "look_up", "parameters": {"type": "object"}}]')
    sim.play("tool-call")
    done = run("ask", "--messages", "turns.json", "--functions", "functions.json", "Who am I?")
    assert done.returncode == 0, done.stderr
    assert "I am Ada." in json.dumps(sim.calls[0].body)
    assert json.loads(done.stdout[done.stdout.index("[") :])[0]["name"] == "look_up"
    assert "ask_gemini" not in done.stdout
    assert json.loads(run("ask", "Hello?", "--json").stdout)["text"]


@pytest.mark.parametrize("name", [*commands()])
def test_help_ends_with_examples_and_exit_codes(name: str) -> None:
    text = commands()[name].format_help()
    assert re.search(rf"\nexamples:\n(  .*runapi-mcp {name}.*\n){{1,2}}\nexit codes: ", text), text
    assert CODES.search(text)
    assert ("3 partial" in text) == (name in ("ask", "chat", "search", "extract", "resume"))


def test_an_example_is_a_call_that_is_understood() -> None:
    for name, parser in commands().items():
        for line in re.findall(rf"runapi-mcp ({name}.*)", parser.epilog or ""):
            words = re.sub(r"[|>)].*", "", line).replace('"', "").split()
            assert _parser(words).understand(words).command_name == name


def test_help_lists_values_and_no_default_that_is_none() -> None:
    text = _parser([]).format_help()
    flat = " ".join(text.split())
    assert "Default: ." not in flat
    assert all(f"--{flag}" in flat for flag in ("dialect {chat,native}", "log {off,info,debug}"))
    assert "--fast-boot {1,0}" in flat
    assert text.count("\nsettings: ") >= 5
    assert text.index("\ncommands:") < text.index("\nsettings: ")
    assert all(option.flag in text for option in options())
    assert "settings: others" not in text, "a new setting: give it a group"


def test_the_simulators_help_shows_its_defaults() -> None:
    text = " ".join(commands()["sim"].format_help().split())
    assert all(f"Default: {value}" in text for value in ("8765", "default", "0.05"))


def test_settings_may_stand_after_the_command(env: dict[str, str]) -> None:
    env = env | {"RUNAPI_BASE_URL": "http://127.0.0.1:9"}
    url = refused_url()
    done = typed(["ask", "Hello?", "--connect-timeout", "5", "--base-url", url], env, code=1)
    assert f"{url.removeprefix('http://')} " in done.stderr
    assert "runapi-mcp" in typed(["install", "codex", "--hold", "5", "--print"], env).stdout
    assert "--hold" in typed(["install", "codex", "--hold", "5", "--print"], env).stdout
    assert "RUNAPI_MCP_HOLD" in typed(["ask", "--hold", "x", "Hello?"], env, code=2).stderr


def test_a_flag_of_the_command_goes_before_a_setting_of_that_name(
    sim: Simulator, env: dict[str, str]
) -> None:
    typed(["--model", "gemini-2.5-flash", "ask", "-m", "gemini-2.5-pro", "Hello?"], env)
    typed(["--model", "gemini-2.5-flash", "ask", "Hello?"], env)
    assert [json.loads(json.dumps(call.body))["model"] for call in sim.calls] == [
        "gemini-2.5-pro",
        "gemini-2.5-flash",
    ]


def test_the_hosts_are_listed_for_programs(env: dict[str, str], tmp_path: Path) -> None:
    typed(["install", "cursor"], env)
    listed = {row["host"]: row for row in json.loads(typed(["install", "--list", "--json"], env).stdout)}
    assert listed["cursor"]["state"] == "installed"
    assert listed["cursor"]["config"].startswith(str(tmp_path))
    assert listed["codex"]["state"] == "no config"


def test_waiting_for_a_host_is_said_where_a_person_started_it(env: dict[str, str]) -> None:
    screen = Screen([], env)
    screen.until(r"Waiting for a host on stdin\. runapi-mcp --help lists the commands\.")
    screen.types("\x04")
    assert screen.end() == 0
    assert typed([], env, stdin=b"").stderr == ""


def test_a_stdin_that_is_closed_is_no_error(env: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m runapi_mcp ask "Hello?" <&-'],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="no folder that somebody works in can be removed there")
def test_a_working_folder_that_is_gone_is_no_bug(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a note of thyme")
    gone = f"mkdir '{tmp_path}/gone' && cd '{tmp_path}/gone' && rmdir '{tmp_path}/gone' && R ask"
    refused = shell(f"{gone} -f note.txt Hello?", env)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "note.txt" in refused.stderr
    assert shell(f"{gone} -f '{tmp_path}/note.txt' Hello?", env).returncode == 0


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without an end")
def test_a_schema_without_an_end_is_not_read_to_it(env: dict[str, str]) -> None:
    told = typed(["extract", "-s", "/dev/zero", "x"], env, code=2).stderr
    assert "/dev/zero cannot be read as JSON (it has more than 16 MB)." in told


def test_a_default_is_shown_as_it_is_typed() -> None:
    shown = {option.name: option.default_text for option in options()}
    assert shown["keyring"] == "0"
    assert shown["fast_boot"] == "1"
    assert shown["idle_timeout"] == "900"
    assert (shown["store"], shown["allow_dirs"]) == ("", "")
    for option in options():
        if option.default_text:
            assert option.parse(option.default_text) == option.default

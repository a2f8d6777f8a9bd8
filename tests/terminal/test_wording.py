"""What is said where a person reads it: no handles, no hosts, no names of tools; and on stderr."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from runapi_mcp.cli.outlet import explain
from runapi_mcp.errors import NotFound, RunapiError
from runapi_mcp.sim import Simulator
from terminal.typed import Run, Screen

FOR_MODELS = re.compile(
    r"get_result|list_models|MCP|\bhost|handle|g_[\w-]{6}|(?<!runapi-mcp )resume|restart|RUNAPI_MCP_"
)


def kinds(kind: type[RunapiError] = RunapiError) -> Iterator[type[RunapiError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


# What only a server says: one that is shared, or has handles, or a boundary for bugs.
SERVERS = {"bug", "busy", "too_many_calls", "server_left", "store_down", "unknown_handle"}


@pytest.mark.parametrize("kind", [k for k in kinds() if k.code not in SERVERS], ids=lambda kind: kind.code)
def test_no_advice_is_meant_for_a_model(kind: type[RunapiError]) -> None:
    said = explain(kind("It went wrong."))
    assert "It went wrong." in said
    assert not FOR_MODELS.search(said), said


def test_what_an_error_says_itself_is_kept() -> None:
    assert explain(RunapiError("No.", advice="Do this.")) == "No. Do this."
    assert explain(NotFound("No.", advice="list_models shows them.", request_id="r1")).endswith(
        "(request id r1)"
    )


@pytest.mark.parametrize(
    ("scenario", "why"),
    [("cut-clean", "stopped in the middle"), ("length", "the output limit was reached (--max-output-tokens")],
)
def test_an_answer_that_is_cut_is_told_on_stderr(run: Run, sim: Simulator, scenario: str, why: str) -> None:
    sim.play(scenario)
    done = run("ask", "Hello?")
    assert done.returncode == 3
    assert done.stdout.strip()
    assert "[" not in done.stdout
    assert done.stderr.startswith("Partial: ")
    assert why in done.stderr
    assert not FOR_MODELS.search(done.stderr)


def test_json_has_no_handle(run: Run, sim: Simulator) -> None:
    sim.play("cut-clean")
    answer = run("ask", "--json", "Hello?")
    sim.play("cut-clean")
    search = run("search", "--json", "Hello?")
    for done in (answer, search):
        found = json.loads(done.stdout)
        assert found["ending"] == "partial"
        assert found["code"] == "cut"
        assert found["notes"][-1].startswith("Partial: ")
        assert not re.search(r"handle|g_[\w-]{8}|get_result", done.stdout)


def test_without_a_key_it_is_said_how_to_set_one_here(run: Run) -> None:
    done = run("ask", "Hello?", RUNAPI_TOKEN="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "runapi-mcp: No RunAPI key is set. Get one at https://runapi.ai, then: export RUNAPI_TOKEN=…"
    )
    assert "runapi-mcp key set" in done.stderr


def test_a_missing_model_leads_to_the_command_that_lists_them(run: Run, sim: Simulator) -> None:
    sim.play("not-found")
    done = run("ask", "-m", "gemini-none", "Hello?")
    assert done.returncode == 1
    assert "runapi-mcp models shows" in done.stderr
    assert "list_models" not in done.stderr


@pytest.mark.parametrize(
    "words", [("ask", "-f", "nope.txt", "x"), ("ask", "-m", "a/b", "x"), ("install", "nope")]
)
def test_every_error_says_whose_it_is(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runapi-mcp: ")


def test_the_list_without_a_key_says_that_it_is_not_live(run: Run) -> None:
    done = run("models", RUNAPI_TOKEN="")
    assert done.returncode == 0
    assert "built-in table" in done.stderr
    assert "gemini-3-flash-preview" in done.stdout
    assert not FOR_MODELS.search(done.stdout + done.stderr)
    assert "built-in table" in json.loads(run("models", "--json", RUNAPI_TOKEN="").stdout)["notes"][0]


def test_sources_stand_in_lines_of_their_own(terminal: Callable[..., Screen], run: Run) -> None:
    question = "When was the Example Observatory opened?"
    sources = [line for line in run("search", question).stdout.splitlines() if re.match(r"\[\d\] ", line)]
    assert len(sources) > 1
    screen = terminal("search", question, COLUMNS="200")
    assert screen.end() == 0
    assert set(sources) <= set(screen.seen.splitlines())


def test_thoughts_stand_apart_from_the_answer(terminal: Callable[..., Screen], run: Run) -> None:
    assert re.match(r"Thinking:\n.+\n\nAnswer:\n.+", run("ask", "--thoughts", "Why?").stdout, re.DOTALL)
    screen = terminal("ask", "--thoughts", "Why is the sky blue?", NO_COLOR="1", COLUMNS="200")
    assert screen.end() == 0
    thoughts = json.loads(run("ask", "--thoughts", "--json", "Why is the sky blue?").stdout)["thoughts"]
    left = [line.rstrip() for line in re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.seen).splitlines()]
    assert {line for line in thoughts.splitlines() if len(line) < 200} <= set(left)


def test_a_document_keeps_the_digits_of_its_numbers(
    run: Run, sim: Simulator, terminal: Callable[..., Screen]
) -> None:
    schema = '{"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}'
    exact = '"total": 100000000000000000.01'
    sim.play(*[f"default text='{{{exact}}}'"] * 3)
    assert exact in run("extract", "-s", schema, stdin="material").stdout
    assert exact in json.loads(run("extract", "--json", "-s", schema, stdin="material").stdout)["text"]
    screen = terminal("extract", "-s", schema, __file__, NO_COLOR="1")
    assert screen.end() == 0
    assert exact in screen.seen

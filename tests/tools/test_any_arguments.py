"""Any JSON as any argument of any tool: a call that can be sent, or an error of ours that says why not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, NoReturn, cast

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from runapi_mcp.errors import BusyError, RunapiError
from runapi_mcp.generations.values import Job
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import Settings
from runapi_mcp.tools import TOOLS, teach
from runapi_mcp.wire.dialects import dialects

EXAMPLES: Final = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
LONG: Final = "a" * 2_100
FINE: Final[dict[str, dict[str, Any]]] = {tool.name: tool.example for tool in TOOLS.values()}
NAMES = st.sampled_from(
    ["role", "content", "name", "id", "function_calls", "arguments", "signature", "description", "parameters",
     "uri", "mimeType", "type", "properties", "items", "prefixItems", "$defs", "$ref", "$id", "$schema",
     "allOf", "anyOf", "oneOf", "enum", "const", "required", "additionalProperties", "patternProperties",
     "format", "not"]
)  # fmt: skip
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["user", "assistant", "function", "object", "string", "f", "#", "#/$defs/a", "%", "\ud800", "\x00", "a b",
     "~", "[]", "{}", '{"type": "object"}', "low", LONG,
     "http://json-schema.org/draft-04/schema#"]
)  # fmt: skip
PATHS = TEXTS | st.sampled_from(
    ["https://e.org/a.png", "https://[", f"https://{LONG}[/x", "https://℀", f"https://{LONG}℀/x", "C:\\x",
     "ftp://x", f"file://{LONG}[/x", f"file://{LONG}℀/x", "file:///%00", "data:;base64,aGk=", f"data:{LONG}",
     "/".join(LONG),
     "https://e.org:99999/x.pdf"]
)  # fmt: skip
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([10**400, -(10**4_000)])
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
SCHEMAS = st.dictionaries(NAMES, JSON, max_size=3)
NEARLY: Final[dict[str, st.SearchStrategy[Any]]] = {
    "functions": st.lists(
        st.fixed_dictionaries({"name": st.just("f"), "parameters": SCHEMAS}), min_size=1, max_size=1
    ),
    "messages": st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "function"])}, optional={
            "content": TEXTS, "name": st.just("f"), "function_calls": st.just([{"name": "f"}])
        }), max_size=4
    ),
    "files": st.lists(PATHS | st.fixed_dictionaries({"uri": PATHS, "mimeType": TEXTS}), max_size=3),
    "schema": SCHEMAS,
}  # fmt: skip


class DryRun(Run):
    """A run that puts a call into the form of the wire, and does not send it."""

    async def generate(self, job: Job, **_: object) -> NoReturn:
        dialects("/v1beta/openai")[job.dialect].encode(job.call)
        raise BusyError("It would have been sent.")

    async def find(self, handle: str, part: range | None = None) -> NoReturn:
        raise BusyError(f"{len(handle)} characters would have been looked up, and {part} read.")

    async def models(self) -> NoReturn:
        raise BusyError("They would have been asked for.")


async def _report(_seconds: float, _line: str) -> None:
    raise AssertionError("nothing is to be reported")


async def _outcome(tool: str, arguments: dict[str, Any]) -> str:
    """What comes of a call: the code of an error of ours, whatever else is raised, or nothing."""
    try:
        args = TOOLS[tool].args.model_validate(arguments)
    except ValidationError as error:
        return "taught" if str(teach(error, TOOLS[tool].args)) else "not taught"
    nothing = cast("Any", SimpleNamespace(today=lambda: datetime.now(UTC)))
    run = DryRun(Settings(key=SecretStr("sk-canary-0")), nothing, nothing, Caller(), _report)
    try:
        await TOOLS[tool].perform(args, run)
    except RunapiError as error:
        return error.code if len(str(error)) < 20_000 else f"a long {error.code}"
    return ""


@pytest.fixture(scope="module")
def loop() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@st.composite
def _calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A call that is right, but for one argument or two."""
    tool = draw(st.sampled_from(sorted(FINE)))
    names = [*(field.alias or name for name, field in TOOLS[tool].args.model_fields.items()), "other"]
    arguments = dict(FINE[tool])
    near = [name for name in names if name in NEARLY] or names
    for name in draw(st.lists(st.sampled_from(names) | st.sampled_from(near), max_size=2)):
        arguments[name] = draw(NEARLY.get(name, JSON) | JSON)
    return tool, arguments


@given(calls=st.lists(_calls(), min_size=6, max_size=6))
@example(calls=[("ask_gemini", {"prompt": "x", "files": [f"https://{LONG}[/x"]})])
@example(calls=[("ask_gemini", {"prompt": "x", "files": [f"https://{LONG}℀/x"]})])
@example(calls=[("ask_gemini", {"prompt": "x", "files": [f"file://{LONG}[/x"]})])
@example(calls=[("ask_gemini", {"prompt": "x", "functions": [{"name": "f", "parameters": {"$defs": 7}}]})])
@example(calls=[("extract_json", {"text": "x", "schema": {"$schema": []}})])
@example(calls=[(tool, FINE[tool] | {"wait_seconds": 10**400}) for tool in FINE])
@example(calls=[("ask_gemini", {"prompt": "x", name: -(10**4_000)}) for name in ("temperature", "max_cost")])
@EXAMPLES
def test_any_argument_is_sent_or_refused_and_never_a_bug(
    loop: BlockingPortal, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    for tool, arguments in calls:
        answered = [""] if TOOLS[tool].render is None else []
        assert loop.call(_outcome, tool, arguments) in ("taught", "bad_argument", "busy", *answered)


@pytest.mark.parametrize("levels", [90, 180, 300, 900])
def test_what_is_nested_deeply_is_sent_or_refused(loop: BlockingPortal, levels: int) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    functions = [{"name": "f", "parameters": schema}]
    for tool, name, value in (
        ("ask_gemini", "functions", functions),
        ("extract_json", "schema", schema),
        ("ask_gemini", "prompt", schema),
        ("ask_gemini", "files", [schema]),
        (
            "ask_gemini",
            "messages",
            [{"role": "assistant", "function_calls": [{"name": "f", "arguments": schema}]}],
        ),
    ):
        outcome = loop.call(_outcome, tool, FINE[tool] | {name: value})
        assert outcome in ("taught", "bad_argument", "busy")


@pytest.mark.parametrize("tool", sorted(FINE))
def test_what_is_right_is_sent(loop: BlockingPortal, tool: str) -> None:
    outcome = loop.call(_outcome, tool, FINE[tool])
    assert outcome == "busy" or (outcome == "" and TOOLS[tool].render is None), (
        "one that starts none may answer"
    )

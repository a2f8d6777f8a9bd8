"""Whatever arguments and schemas a model can write: a result, or an error that teaches. Never a bug."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server.hosting import Called, in_process

from runapi_mcp.sim import simulate
from runapi_mcp.tools import TOOLS

BUDGET: Final = settings(
    max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
SMALL: Final = {"RUNAPI_MCP_IDLE_TIMEOUT": "1", "RUNAPI_MCP_HOLD": "5", "RUNAPI_MCP_DEADLINE": "5"}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MODELS = st.sampled_from(
    ["gemini-3-flash-preview", "gemini-2.5-flash", "gemini-3.7-flash", "gemini-flash-latest", "nobody", "a/b"]
)
TEXT = st.sampled_from(
    ["Why?", "", " ", "\ud800", "\x00", "x" * 5_000, "[[sim:tool-call]]", "[[sim:length]]"]
)
KNOWN: Final[dict[str, dict[str, st.SearchStrategy[Any]]]] = {
    **{name: dict.fromkeys(tool.args.model_fields, JSON) for name, tool in TOOLS.items()},
    "ask_gemini": {
        "prompt": TEXT,
        "model": MODELS,
        "system": TEXT,
        "files": st.lists(
            st.sampled_from(
                ["data:image/png;base64,iVBORw0KGgo=", "data:,x", "/etc/passwd", "https://x.invalid/a.pdf",
                 "file:///etc/hosts", "C:\\x", "http://[", "~", ".", "\x00"]
            ),
            max_size=3,
        ),
        "reasoning_effort": st.sampled_from(["low", "medium", "high", "max"]),
        "include_thoughts": st.booleans(),
        "max_output_tokens": st.integers(-1, 2_000_000),
        "temperature": st.floats(-1, 3),
        "wait_seconds": st.sampled_from([0, 0.1, -1, 5]),
        "fresh": st.booleans(),
    },
    "search_web": {"query": TEXT, "model": MODELS, "max_sources": st.integers(-1, 60)},
    "extract_json": {"schema": JSON, "text": TEXT, "instructions": TEXT, "model": MODELS},
    "get_result": {
        "handle": st.text(max_size=30),
        "offset": st.integers(-5, 10**30),
        "cancel": st.booleans(),
        "resume": st.booleans(),
        "wait_seconds": st.sampled_from([0, 0.1, -1]),
    },
}  # fmt: skip

NAMES = st.sampled_from(["a", "b", "$ref", "name", "é", "x" * 70, "a/b", "~"])
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "null", "array", "object", "strng"])
LEAVES = (
    st.booleans()
    | st.builds(lambda kind: {"type": kind}, TYPES)
    | st.builds(lambda kinds: {"type": kinds}, st.lists(TYPES, max_size=3))
    | st.builds(lambda values: {"enum": values}, st.lists(JSON, max_size=3))
    | st.builds(lambda value: {"const": value}, JSON)
    | st.sampled_from([
        {}, {"$ref": "#"}, {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/none"}, {"$ref": "#/properties/a"},
        {"$ref": "https://x.invalid/s"}, {"$ref": ""}, {"$ref": "%"}, {"$dynamicRef": "#a"}, {"$anchor": "a"},
        {"pattern": "("}, {"type": "string", "pattern": "^(a+)+$"}, {"type": "string", "pattern": "\\d{3}"},
        {"format": "date-time"}, {"type": "string", "format": "email"}, {"minimum": "1"}, {"minLength": -1},
        {"type": "integer", "minimum": 5, "maximum": 1}, {"multipleOf": 0}, {"$id": "urn:x"}, {"default": 1},
        {"$schema": "http://json-schema.org/draft-04/schema#"}, {"$schema": "nonsense"},
    ])
)  # fmt: skip


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(NAMES, inner, max_size=3)
    return (
        st.builds(
            lambda members, needed, rest: {
                "type": "object", "properties": members, "required": needed, "additionalProperties": rest
            },
            properties, st.lists(NAMES, max_size=2), inner,
        )
        | st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner)
        | st.builds(lambda word, many: {word: many}, st.sampled_from(["anyOf", "oneOf", "allOf"]),
                    st.lists(inner, max_size=3))
        | st.builds(lambda one: {"not": one}, inner)
        | st.builds(lambda one, defs: {"allOf": [one], "$defs": defs}, inner, properties)
        | st.builds(lambda one: {"prefixItems": [one], "patternProperties": {"^a": one}}, inner)
    )  # fmt: skip


SCHEMAS = st.recursive(LEAVES, _branches, max_leaves=8)


Tell = Callable[[str, dict[str, Any]], Called]


@pytest.fixture(scope="module")
def tell() -> Iterator[Tell]:
    """Call a tool of the whole server, which runs in an event loop of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulate()) as sim,
        portal.wrap_async_context_manager(in_process(sim.base_url, SMALL)) as host,
    ):

        async def call(tool: str, arguments: dict[str, Any]) -> Called:
            with anyio.fail_after(10):
                return await host.call(tool, **arguments)

        yield lambda tool, arguments: portal.call(call, tool, arguments)


def _assert_taught(called: Called) -> None:
    assert "bug in runapi-mcp" not in called.text, called.text
    assert called.code != "bug"
    assert called.text.strip()
    if called.failed:
        assert len(called.text) < 20_000


@st.composite
def _calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A tool and arguments that are nearly right, or not at all."""
    tool = draw(st.sampled_from(sorted(KNOWN)))
    arguments = draw(st.fixed_dictionaries({}, optional=KNOWN[tool]))
    required = next(iter(KNOWN[tool]), None)
    if required and draw(st.booleans()):
        arguments.setdefault(required, draw(KNOWN[tool][required]))
    for name in draw(st.lists(st.sampled_from([*KNOWN[tool], "other", ""]), max_size=1)):
        arguments[name] = draw(JSON)
    return tool, arguments


@given(calls=st.lists(_calls(), min_size=8, max_size=8))
@BUDGET
def test_any_arguments_give_a_result_or_teach(tell: Tell, calls: list[tuple[str, dict[str, Any]]]) -> None:
    for tool, arguments in calls:
        _assert_taught(tell(tool, arguments))


@given(schemas=st.lists(SCHEMAS, min_size=8, max_size=8))
@BUDGET
def test_any_schema_is_accepted_taught_or_refused(tell: Tell, schemas: list[Any]) -> None:
    for schema in schemas:
        called = tell("extract_json", {"schema": schema, "text": "Material: a is 1."})
        _assert_taught(called)
        assert called.failed or called.facts["status"] in ("complete", "partial")

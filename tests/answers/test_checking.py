"""Where a check is made, how it ends, and that the verdict is the same wherever it was made."""

import json
import time
from typing import Any

import anyio
import pytest

from runapi_mcp.errors import InputError
from runapi_mcp.extraction import elsewhere
from runapi_mcp.extraction.allowance import Allowance, TooDear
from runapi_mcp.extraction.checking import MOST_CHARACTERS, Check
from runapi_mcp.extraction.extent import extent_of
from runapi_mcp.extraction.judge import Judge
from runapi_mcp.extraction.rules import identity
from runapi_mcp.extraction.verdict import Verdict, verdict_of
from runapi_mcp.wire.schema import rewritten
from runapi_mcp.wire.types import JsonObject

LINE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "what": {"type": "string", "minLength": 1},
        "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
        "price": {"type": "number", "multipleOf": 0.01},
    },
    "required": ["what", "price"],
    "additionalProperties": False,
}
INVOICE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "date": {"type": "string", "format": "date"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "uniqueItems": True},
    },
    "required": ["date", "lines"],
    "$defs": {"line": LINE},
}
ENDLESS: dict[str, Any] = {"properties": {"a": {"pattern": "^(a+)+$"}}}
LAUGHING: dict[str, Any] = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(26)} | {"d26": {}},
}


def invoice(lines: int, **first: Any) -> str:
    rows: list[Any] = [{"what": f"No. {n}", "code": f"ABC-{n}", "price": 19.99} for n in range(lines)]
    return json.dumps({"date": "2024-05-17", "lines": [rows[0] | first, *rows[1:]]})


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a check is over soon."""
    monkeypatch.setattr(elsewhere, "SECONDS", 0.3)


# ---------------------------------------------------------------- at once


def test_an_invoice_is_judged_at_once() -> None:
    assert Check(INVOICE, many=False).at_once([invoice(3)], "") == Verdict(
        json.dumps(json.loads(invoice(3)), indent=2)
    )
    wrong = Check(INVOICE, many=False).at_once([invoice(3, code="abc")], "")
    assert wrong.violations == ("/lines/0/code: 'abc' does not match '^[A-Z]{3}-[0-9]+$'",)
    assert not wrong.unchecked


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (ENDLESS, {"a": "a" * 40 + "!"}),
        ({"patternProperties": {"(a+)+$": {}}}, {"a" * 40 + "!": 1}),
        ({"patternProperties": {"(a+)+$": {}}, "additionalProperties": False}, {"a" * 40 + "!": 1}),
        ({"propertyNames": {"pattern": "(a+)+$"}}, {"a" * 40 + "!": 1}),
        ({"unevaluatedProperties": False, "patternProperties": {"(a+)+$": {}}}, {"a" * 40 + "!": 1}),
        (
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "properties": {"x": {"$ref": "#"}, "a": {"pattern": "^(a+)+$"}},
            },
            {"x": {"a": "a" * 40 + "!"}},
        ),
        (LAUGHING, {}),
        ({"format": "regex"}, "(?i)[\\x00-\\U0010ffff]"),
    ],
)
def test_what_may_take_long_is_not_begun_or_not_gone_on_with(schema: Any, answer: Any) -> None:
    began = time.thread_time()
    verdict = Check(schema, many=False).at_once([json.dumps(answer)], "")
    assert verdict.unchecked
    assert not verdict.document
    assert time.thread_time() - began < 1.0


def test_long_answers_and_large_schemas_are_not_begun() -> None:
    assert Check({}, many=False).at_once([json.dumps("x" * MOST_CHARACTERS)], "").unchecked
    assert Check({"enum": ["x" * 50_000]}, many=False).at_once(["1"], "").unchecked


def test_a_check_stops_where_its_allowance_ends() -> None:
    times = iter(range(1_000))
    judge = Judge({"items": {"type": "integer"}}, Allowance(10, lambda: next(times)))
    with pytest.raises(TooDear):
        judge.violations([*range(100)])


def test_the_extent_of_a_schema_counts_what_takes_time() -> None:
    extent = extent_of(INVOICE)
    assert (extent.objects, extent.references, extent.quick) == (11, 1, True)
    assert not extent_of({"patternProperties": {"(?i)a": {}}}).quick
    deep: Any = {}
    for _ in range(1_000):
        deep = {"not": deep}
    with pytest.raises(RecursionError):
        extent_of(deep)


# ---------------------------------------------------------------- the same elsewhere


@pytest.mark.parametrize("many", [False, True])
async def test_a_verdict_is_the_same_wherever_it_is_reached(many: bool) -> None:
    good, bad = json.loads(invoice(2)), json.loads(invoice(2, code="abc", price=0.125, more=1))
    for texts in ([json.dumps([good, bad, 5])], [json.dumps(bad)], ["no JSON"], ['{"date": "2024-']):
        here = Check(INVOICE, many).at_once(texts, "")
        # A rule that is never judged here, and says nothing.
        dear = INVOICE | {"unevaluatedItems": True}
        assert not here.unchecked
        there = await Check(dear, many).verdict(texts, "")
        assert there == here
        assert verdict_of(json.loads(json.dumps(there.kept()))) == there


async def test_many_equal_looking_items_are_told_apart_in_time() -> None:
    rows = [{"id": n, "tags": [n, str(n)]} for n in range(5_000)]
    schema: dict[str, Any] = {"uniqueItems": True}
    assert not (await Check(schema, many=False).verdict([json.dumps(rows)], "")).violations
    [told] = (await Check(schema, many=False).verdict([json.dumps([*rows, rows[0]])], "")).violations
    assert told.startswith("(root): [{'id': 0")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (0, -0.0, True),
        ("1", 1, False),
        (None, "null", False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ([1, 2], [2, 1], False),
        (2**53 + 1, float(2**53), False),
        (10**400, 10**400 + 1, False),
        (["a", "b"], ["a,b"], False),
        ([], {}, False),
    ],
)
def test_items_are_equal_as_json_schema_says(one: Any, other: Any, same: bool) -> None:
    assert (identity(one) == identity(other)) is same


# ---------------------------------------------------------------- its end


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("schema", "answer"), [(ENDLESS, {"a": "a" * 40 + "!"}), (LAUGHING, {})])
async def test_a_check_that_takes_too_long_says_so_and_gives_what_was_read(schema: Any, answer: Any) -> None:
    verdict = await Check(schema, many=False).verdict([json.dumps(answer)], "")
    assert verdict.unchecked == "it took more than 0.3 s and was stopped"
    assert json.loads(verdict.document) == answer
    assert not verdict.violations


async def test_a_check_that_takes_too_much_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_MOST_MEMORY", 1 << 20)
    verdict = await Check({}, many=False).verdict([json.dumps(["x" * 100_000] * 20)], "")
    assert "memory" in verdict.unchecked


async def test_a_cancelled_check_is_gone_at_once() -> None:
    with anyio.move_on_after(0.5) as scope:
        await Check(ENDLESS, many=False).verdict([json.dumps({"a": "a" * 40 + "!"})], "")
    assert scope.cancelled_caught
    began = time.monotonic()
    assert not (await Check(ENDLESS, many=False).verdict([json.dumps({"a": "aa"})], "")).unchecked
    assert time.monotonic() - began < 10


async def test_where_no_process_can_be_started_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("", "/nowhere/python"):
        monkeypatch.setattr("sys.executable", executable)
        assert (await Check(LAUGHING, many=False).verdict(["{}"], "")).unchecked
    with pytest.raises(InputError, match="could not be checked"):
        await Check(LAUGHING, many=False).rewritten("chat")


async def test_a_schema_without_an_end_is_told_as_not_checked() -> None:
    verdict = await Check({"$ref": "#"}, many=False).verdict(["{}"], "")
    assert "without end" in verdict.unchecked


# ---------------------------------------------------------------- the schema itself


async def test_a_large_schema_is_checked_and_rewritten_elsewhere() -> None:
    large: dict[str, Any] = {"properties": {f"p{n}": {"type": "string", "minLength": 1} for n in range(200)}}
    made = await Check(large, many=False).rewritten("native")
    assert made == rewritten(large, "native")
    wrong = large | {"$ref": "https://example.org/x"}
    with pytest.raises(InputError, match="points outside the schema"):
        await Check(wrong, many=False).rewritten("native")


async def test_a_small_schema_is_checked_at_once() -> None:
    assert await Check(INVOICE, many=False).rewritten("native") is None
    with pytest.raises(InputError, match="not a valid JSON Schema at /type"):
        await Check({"type": "strng"}, many=False).rewritten("native")


@pytest.mark.usefixtures("soon")
async def test_a_schema_that_takes_too_long_to_check_is_refused() -> None:
    folding: JsonObject = {f"p{n}": {"pattern": f"(?i)[\\x00-\\U0010ffff]{n}"} for n in range(100)}
    with pytest.raises(InputError, match=r"could not be checked: it took more than 0\.3 s"):
        await Check({"properties": folding}, many=False).rewritten("native")

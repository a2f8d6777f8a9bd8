"""Which result belongs to which call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import InputError
from runapi_mcp.wire.function_calls import pair_results
from runapi_mcp.wire.types import Function, FunctionCall, JsonObject, Returned


def call(name: str, call_id: str = "") -> FunctionCall:
    return FunctionCall(call_id, name, "{}")


@given(st.lists(st.sampled_from(["weather", "now"]), max_size=6), st.randoms(use_true_random=False))
def test_results_with_ids_come_out_in_the_order_of_the_calls_whatever_order_they_came_in(
    names: list[str], chance: object
) -> None:
    calls = [call(name, f"c{place}") for place, name in enumerate(names)]
    results = [Returned(c.id, c.name, f"result of {c.id}") for c in calls]
    shuffled = sorted(results, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert list(pair_results(calls, shuffled)) == results


def test_results_with_neither_id_nor_name_go_to_the_calls_that_no_other_takes_in_turn() -> None:
    calls = [call("weather", "a"), call("now"), call("weather", "b")]
    results = [Returned("", "", "x"), Returned("", "now", "y"), Returned("", "", "z")]
    assert pair_results(calls, results) == (
        Returned("a", "weather", "x"),
        Returned("", "now", "y"),
        Returned("b", "weather", "z"),
    )
    with pytest.raises(InputError, match="a function's result, and no call is open"):
        pair_results(calls[:1], results[::2])


def test_results_without_ids_go_to_the_calls_of_their_names_in_turn() -> None:
    calls = [call("weather", "a"), call("now", "b"), call("weather", "c")]
    results = [
        Returned("", "now", "12:00"),
        Returned("", "weather", "first"),
        Returned("", "weather", "second"),
    ]
    assert pair_results(calls, results) == (
        Returned("a", "weather", "first"), Returned("b", "now", "12:00"), Returned("c", "weather", "second"),
    )  # fmt: skip


def test_an_id_alone_is_enough_and_brings_its_name() -> None:
    assert pair_results([call("now", "a")], [Returned("a", "", "x")]) == (Returned("a", "now", "x"),)


def test_ids_of_the_hosts_own_do_where_the_calls_came_without() -> None:
    assert pair_results([call("now")], [Returned("own", "now", "x")]) == (Returned("", "now", "x"),)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([Returned("zz9", "now", "x")], "no call has the id zz9. Open are weather (a), now (b)."),
        (
            [Returned("a", "weather", "x"), Returned("a", "weather", "y")],
            "two results have the id a. Open are now (b).",
        ),
        ([Returned("a", "weather", "x")], "the results of now (b) are missing."),
        ([Returned("", "other", "x")], "no call of other is open. Open are weather (a), now (b)."),
    ],
)
def test_what_cannot_be_paired_is_told_with_what_is_open(results: list[Returned], said: str) -> None:
    with pytest.raises(InputError) as refused:
        pair_results([call("weather", "a"), call("now", "b")], results)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("parameters", "takes"),
    [
        ({}, False),
        ({"type": "object"}, False),
        ({"type": "object", "properties": {}, "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}}, True),
        ({"type": "object", "additionalProperties": True}, True),
        ({"$ref": "#/$defs/A"}, True),
        ({"type": "object", "anyOf": [{}]}, True),
    ],
)
def test_a_function_that_takes_nothing_has_no_parameters_to_send(parameters: JsonObject, takes: bool) -> None:
    assert Function("f", "", parameters).takes_arguments is takes

"""Reports of errors inside reports of errors, as relays make them; and the waits in them."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import RateLimited, Refused, RequestRefused, Unavailable
from runapi_mcp.wire.faults import read_failure, read_failure_body, read_wait
from runapi_mcp.wire.refusals import refusal
from runapi_mcp.wire.types import Failure

CAUSE = "Thinking cannot be switched off for this model."
GOOGLE: dict[str, Any] = {
    "error": {
        "code": 429,
        "message": CAUSE,
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.2s"}],
    }
}

WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "json in the message": lambda inner: {"error": {"message": json.dumps(inner), "code": 400}},
    "pretty json in the message": lambda inner: {"error": {"message": json.dumps(inner, indent=2)}},
    "json after words": lambda inner: {"error": {"message": f"upstream error: 429 {json.dumps(inner)}"}},
    "json before words": lambda inner: {"error": {"message": f"{json.dumps(inner)} (request id: 7)"}},
    "json as a json string": lambda inner: {"error": {"message": json.dumps(json.dumps(inner))}},
    "a python dict": lambda inner: {"error": {"message": f"GeminiException - {inner}"}},
    "python bytes": lambda inner: {
        "error": {"message": f"Exception - {json.dumps(inner, indent=2).encode()!r}"}
    },
    "an error that is text": lambda inner: {"error": json.dumps(inner)},
    "metadata.raw": lambda inner: {
        "error": {"message": "Provider returned error", "metadata": {"raw": json.dumps(inner)}}
    },
    "metadata.raw, an object": lambda inner: {"error": {"message": "", "metadata": {"raw": inner}}},
    "an object for the message": lambda inner: {"error": {"message": inner, "code": 500}},
    "a body beside": lambda inner: {"error": {"message": "failed", "body": json.dumps(inner)}},
    "detail": lambda inner: {"detail": inner},
    "detail, as text": lambda inner: {"detail": json.dumps(inner)},
    "top-level message": lambda inner: {"code": 500, "message": json.dumps(inner)},
    "a list": lambda inner: [{"error": {"message": json.dumps([inner])}}],
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_cause_and_its_wait_are_told_in_whatever_they_are_wrapped(wrapping: str) -> None:
    failure = read_failure(WRAPPINGS[wrapping](GOOGLE))
    assert failure is not None
    assert failure.message.endswith(CAUSE)
    assert "{" not in failure.message
    assert (failure.status, failure.retry_after) == (429, 1.2)


@given(st.lists(st.sampled_from(sorted(WRAPPINGS)), min_size=2, max_size=2))
def test_the_cause_is_found_two_wrappings_deep(wrappings: list[str]) -> None:
    value: Any = GOOGLE
    for wrapping in wrappings:
        value = WRAPPINGS[wrapping](value)
    failure = read_failure(value)
    # A Python dict in a JSON string in a Python dict is nobody's.
    assert failure is not None
    if not {"a python dict", "python bytes"} & set(wrappings):
        assert CAUSE in failure.message
        assert "{" not in failure.message


@pytest.mark.parametrize(
    "body",
    [
        f"upstream said {json.dumps(GOOGLE)}",
        f"event: error\ndata: {json.dumps(GOOGLE)}\n\n",
        json.dumps(json.dumps(GOOGLE)),
        '"' + json.dumps(GOOGLE).replace('"', '\\"')[:120],
    ],
)
def test_a_report_in_a_body_that_is_no_json_is_found(body: str) -> None:
    assert CAUSE in read_failure_body(body).message


def test_a_relays_own_words_stand_before_the_cause_and_never_push_it_out() -> None:
    def said(message: str) -> str:
        failure = read_failure({"error": {"message": message, "metadata": {"raw": json.dumps(GOOGLE)}}})
        assert failure is not None
        return failure.message

    assert said("The provider returned an error.") == f"The provider returned an error: {CAUSE}"
    assert said("x" * 500) == CAUSE
    assert said(f"It failed: {CAUSE}") == f"It failed: {CAUSE}"


def test_raw_words_that_are_no_json_are_the_cause_too() -> None:
    report = {
        "error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "Busy upstream."}}
    }
    assert read_failure(report) == Failure("Provider returned error: Busy upstream.", 429)


def test_json_that_somebody_sent_is_not_taken_for_the_cause() -> None:
    message = 'Invalid value at contents[0]: {"role": "user", "message": "hello"}'
    assert read_failure({"error": {"message": message}}) == Failure(message)


def test_a_report_that_was_cut_on_the_way_still_tells_its_words() -> None:
    cut = json.dumps({"error": {"message": json.dumps(GOOGLE), "code": 400}})[:150]
    failure = read_failure({"error": {"message": f"upstream: {cut}", "code": 400}})
    assert failure is not None
    assert failure.message == CAUSE


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"message": "Please retry in 1.204s."}, 1.204),
        ({"message": "Please retry in 36.5 seconds."}, 36.5),
        ({"message": "Rate limited. Try again in 20s"}, 20.0),
        ({"message": "Please try again in 850ms. Visit …"}, 0.85),
        ({"message": "Please try again in 1m30.5s"}, 90.5),
        ({"message": "Your quota will reset after 2h3m4s."}, 7384.0),
        ({"message": "Retry after 3"}, 3.0),
        ({"message": "wait 2 minutes and 5 seconds"}, 125.0),
        ({"message": "429 Resource exhausted: retry_delay {\n  seconds: 45\n}"}, 45.0),
        ({"message": 'see [{"retryDelay": "7s"}'}, 7.0),
        ({"message": "try again in 5 business days"}, None),
        ({"message": "retry in 0s"}, None),
        ({"message": "retry later"}, None),
        ({"message": "m", "retry_after": 4}, 4.0),
        ({"message": "m", "retry_after": "4.5"}, 4.5),
        ({"message": "m", "retryAfterMs": 1500}, 1.5),
        ({"message": "m", "metadata": {"headers": {"Retry-After": "6"}}}, 6.0),
        ({"message": "m", "metadata": {"retry_after_seconds": 8}}, 8.0),
        ({"message": "m", "details": [{"retryDelay": {"seconds": "2", "nanos": 500_000_000}}]}, 2.5),
        ({"message": "m", "details": [{"retryDelay": "1m0s"}]}, 60.0),
        ({"message": "retry in 9s", "details": [{"retryDelay": "5s"}]}, 9.0),
        ({"message": "m", "details": [{"metadata": {"quotaResetDelay": "373.801628ms"}}]}, 0.373801628),
    ],
)
def test_a_wait_is_read_wherever_it_stands(fields: dict[str, Any], seconds: float | None) -> None:
    failure = read_failure({"error": fields})
    assert failure is not None
    assert failure.retry_after == (None if seconds is None else pytest.approx(seconds))


def test_a_wait_beside_the_error_counts() -> None:
    failure = read_failure({"error": {"message": "slow"}, "retry_after": 3})
    assert failure is not None
    assert failure.retry_after == 3.0


@given(
    st.floats()
    | st.integers()
    | st.text(max_size=30)
    | st.dictionaries(
        st.sampled_from(["seconds", "nanos"]), st.floats() | st.integers() | st.text(max_size=5)
    )
)
def test_any_value_is_a_finite_wait_or_none(told: object) -> None:
    seconds = read_wait(told)
    assert seconds is None or 0 < seconds < 1e13


@pytest.mark.parametrize(
    ("message", "hopeless"),
    [
        ("Quota exceeded for metric: free_tier_requests, limit: 0, model: gemini-3.1-pro. retry in 1s", True),
        ("* limit: 20\n* limit: 0\nPlease retry in 30s", True),
        ("limit: 0.5", False),
        ("limit: 05", False),
        ("limit: 10", False),
        ("Rate limit exceeded: free-models-per-day", True),
        ("You have reached your daily limit.", True),
        ("requests per day: 1000, requests per minute: 10; retry in 9s", False),
        ("too many requests per minute", False),
    ],
)
def test_a_quota_of_the_day_or_of_nothing_is_not_waited_for(message: str, hopeless: bool) -> None:
    failure = read_failure({"error": {"message": message, "code": 429}})
    assert failure is not None
    assert failure.hopeless is hopeless


def test_a_quota_of_nothing_is_told_as_what_it_is() -> None:
    failure = read_failure({"error": {"message": "limit: 0, model: x", "code": 429}})
    assert failure is not None
    assert "no quota at all for this model" in str(refusal(failure, 429, path="/x"))


@pytest.mark.parametrize(
    ("status", "named", "counts", "error"),
    [
        (500, 429, 429, RateLimited), (502, 400, 400, RequestRefused), (400, 429, 429, RateLimited),
        (502, 503, 503, Unavailable), (400, 503, 400, RequestRefused), (429, 400, 429, RateLimited),
        (503, 500, 503, Unavailable),
    ],
)  # fmt: skip
def test_the_status_of_the_origin_counts_before_a_relays_vague_one(
    status: int, named: int, counts: int, error: type[Refused]
) -> None:
    refused = refusal(Failure("x", named), status, path="/x")
    assert type(refused) is error
    assert refused.status == counts


def test_a_missing_signature_says_how_calls_go_back() -> None:
    said = "Function call `weather` in the 2. content block is missing a `thought_signature`."
    assert "each with its signature" in str(refusal(Failure(said), 400, path="/x"))


@pytest.mark.parametrize(
    "hostile",
    [
        "{" * 60_000,
        '{"error":' * 12_000,
        "[" * 60_000,
        '\\"{' * 20_000,
        "{'a':" * 12_000 + "}",
        "retry in 1s, " * 5_000,
    ],
)
def test_a_hostile_report_costs_little(hostile: str) -> None:
    began = time.process_time()
    read_failure_body(hostile)
    read_failure({"error": {"message": hostile, "metadata": {"raw": hostile}}})
    assert time.process_time() - began < 1.0

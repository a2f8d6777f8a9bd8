import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import (
    FailedMidway,
    KeyRefused,
    ModelRefused,
    ModelRetired,
    NoCredit,
    NotAllowed,
    NotFound,
    RateLimited,
    Refused,
    RequestRefused,
    Unavailable,
)
from runapi_mcp.wire.faults import headline, read_failure, read_failure_body
from runapi_mcp.wire.refusals import midway, refusal
from runapi_mcp.wire.types import Failure

numbers = st.integers() | st.floats()
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "code", "message", "msg", "detail", "details", "status", "retryDelay"]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def google(*details: object, code: object = 400, message: str = "no") -> Any:
    return {
        "error": {"code": code, "message": message, "status": "INVALID_ARGUMENT", "details": list(details)}
    }


@pytest.mark.parametrize(
    ("value", "failure"),
    [
        ({"error": "text"}, Failure("text")),
        (
            {"error": "Validation failed", "errors": {"model": ["is odd", 5], "n": "too big"}},
            Failure("Validation failed; model: is odd; n: too big"),
        ),
        (
            {"error": {"code": "rate_limited", "message": "slow"}},
            Failure("slow", status=429, code="rate_limited"),
        ),
        (
            {
                "error": {
                    "message": "bad",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                }
            },
            Failure("bad"),
        ),
        (
            {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}},
            Failure("slow", status=429),
        ),
        ([{"error": {"code": 503, "message": "busy"}}], Failure("busy", status=503)),
        ({"error": {"code": "429", "message": "slow"}}, Failure("slow", status=429)),
        ({"error": {"code": "1211", "message": "m"}}, Failure("m")),
        ({"error": {"status": "ABORTED", "message": "m"}}, Failure("m", status=409)),
        ({"error": {"status": "OUT_OF_RANGE", "message": "m"}}, Failure("m", status=400)),
        ({"error": {"status": "CANCELLED", "message": "m"}}, Failure("m", status=499)),
        ({"error": {"status": "UNIMPLEMENTED", "message": "m"}}, Failure("m", status=501)),
        ({"error": {"status": "DEADLINE_EXCEEDED", "message": "m"}}, Failure("m", status=504)),
        ({"message": "m"}, Failure("m")),
        ({"detail": "d"}, Failure("d")),
        ({"errorMessage": "e"}, Failure("e")),
        ({"msg": "m", "code": 400}, Failure("m", status=400)),
        ({"code": "no_such_thing", "msg": "m"}, Failure("m", code="no_such_thing")),
        ({"error": {"status": "NOT_FOUND", "message": "m"}}, Failure("m", status=404)),
        ({"error": {"code": True, "message": "m"}}, Failure("m")),
        ({"error": {"code": 7, "message": "m", "status": ["odd"]}}, Failure("m")),
        ({"error": {"type": "x"}}, Failure("")),
        ({"error": ["first", "second"]}, Failure("first")),
        ({"error": ["first"], "code": 429}, Failure("first", status=429)),
        ({"error": [{"message": "first"}, 2]}, Failure("first")),
        ({"error": [1, None, "", {"message": "second"}]}, Failure("second")),
        ({"error": [1, 2]}, Failure("")),
        ({"error": "a\ud83d"}, Failure("a\ufffd")),
        ({"code": 0, "msg": "ok"}, None),
        ({"code": 200, "msg": "ok"}, None),
        ({"code": None, "msg": "ok"}, None),
        ({"error": None}, None),
        ({"choices": []}, None),
        ([], None),
        ([{"error": "a"}, {"error": "b"}], None),
        ([[[[[[{"error": "deep"}]]]]]], None),
        ("error", None),
        (5, None),
    ],
)
def test_a_report_is_read_in_every_shape_and_nothing_else_is(value: object, failure: Failure | None) -> None:
    assert read_failure(value) == failure


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"reason": "API_KEY_INVALID"}, Failure("no", 400, "API_KEY_INVALID")),
        ({"retryDelay": "22s"}, Failure("no", 400, retry_after=22.0)),
        ({"retryDelay": "0.5s"}, Failure("no", 400, retry_after=0.5)),
        ({"retryDelay": "soon"}, Failure("no", 400)),
        ({"retryDelay": "0s"}, Failure("no", 400)),
        ({"retryDelay": "-5s"}, Failure("no", 400)),
        ({"violations": [{"quotaId": "RequestsPerDay-Free"}]}, Failure("no", 400, hopeless=True)),
        ({"violations": [{"quotaId": "RequestsPerMinute"}, {"quotaId": 5}, 6]}, Failure("no", 400)),
        (
            {"violations": [{"quotaId": "RequestsPerMinute"}, {"quotaId": "RequestsPerDay-Free"}]},
            Failure("no", 400, hopeless=True),
        ),
        ({"violations": "PerDay"}, Failure("no", 400)),
        (
            {"fieldViolations": [{"description": "field x"}, {"description": 5}]},
            Failure("no field x", 400),
        ),
        ({"fieldViolations": [{"description": "no"}]}, Failure("no", 400)),
        ("odd", Failure("no", 400)),
    ],
)
def test_googles_details_are_used(detail: object, expected: Failure) -> None:
    assert read_failure(google(detail)) == expected


def test_each_of_googles_details_says_its_part() -> None:
    told = read_failure(google({"reason": "API_KEY_INVALID"}, {"retryDelay": "2s"}))
    assert told == Failure("no", 400, "API_KEY_INVALID", retry_after=2.0)


@given(anything)
def test_any_json_value_is_a_failure_or_none(value: object) -> None:
    assert isinstance(read_failure(value), Failure | None)


@given(st.text() | anything.map(json.dumps))
def test_any_body_of_a_refusal_is_a_failure(body: str) -> None:
    assert isinstance(read_failure_body(body), Failure)


@pytest.mark.parametrize("depth", [100, 900, 5_000, 100_000])
@pytest.mark.parametrize("around", ['{"error":"x","errors":{"a":%s}}', '{"error":{"status":%s}}', "%s"])
def test_a_deeply_nested_body_is_a_failure_too(depth: int, around: str) -> None:
    assert isinstance(read_failure_body(around % ("[" * depth + "]" * depth)), Failure)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<html><head><title>502 Bad\nGateway</title></head></html>", "502 Bad\nGateway"),
        ("<html><h1 class='x'>Too <b>busy</b></h1></html>", "Too  busy"),
        ("<!doctype html><HTML><body>nothing said</body></HTML>", ""),
        ("plain words", "plain words"),
        ("", ""),
    ],
)
def test_a_page_is_known_by_its_headline(page: str, words: str) -> None:
    assert headline(page) == words


@pytest.mark.parametrize("hostile", ["<title>" * 200_000, "<title>" + "<" * 1_000_000 + "</title>"])
def test_a_hostile_page_costs_little(hostile: str) -> None:
    began = time.process_time()
    headline(hostile)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("status", "failure", "error"),
    [
        (400, Failure("x"), RequestRefused),
        (400, Failure("x", code="API_KEY_INVALID"), KeyRefused),
        (401, Failure("x"), KeyRefused),
        (402, Failure("x"), NoCredit),
        (403, Failure("x"), NotAllowed),
        (404, Failure("x"), NotFound),
        (408, Failure("x"), Unavailable),
        (410, Failure("x"), ModelRetired),
        (400, Failure("x", code="model_retired"), ModelRetired),
        (200, Failure("x", status=410, code="model_retired"), ModelRetired),
        (404, Failure("This model models/gemini-x is no longer available."), ModelRetired),
        (400, Failure("x", code="model_not_found"), NotFound),
        (400, Failure("google/gemini-x is not a valid model ID"), NotFound),
        (400, Failure("The model 'gemini-x' does not exist."), NotFound),
        (422, Failure("x", code="unsupported_model_capability"), ModelRefused),
        (400, Failure("Search Grounding is not supported."), ModelRefused),
        (400, Failure("Function calling is not enabled for models/gemini-x"), ModelRefused),
        (400, Failure("The image could not be read: file not found."), RequestRefused),
        (400, Failure("Invalid value at 'contents': this model takes no empty part."), RequestRefused),
        (503, Failure("No channel for model x", code="model_not_found"), Unavailable),
        (403, Failure("this key may not use this model"), NotAllowed),
        (413, Failure("x"), RequestRefused),
        (429, Failure("x"), RateLimited),
        (500, Failure("x"), Unavailable),
        (505, Failure(""), Unavailable),
        (302, Failure(""), RequestRefused),
        (200, Failure("x", status=429), RateLimited),
        (200, Failure("x", status=200), Unavailable),
        (200, Failure("x", status=100), Unavailable),
        (200, Failure("x"), Unavailable),
    ],
)
def test_a_refusal_is_the_error_its_status_means(status: int, failure: Failure, error: type[Refused]) -> None:
    refused = refusal(failure, status, path="/x")
    assert type(refused) is error
    assert ("redirected" in str(refused)) == (status == 302)


@pytest.mark.parametrize(
    ("status", "failure", "words"),
    [
        (401, Failure("bad key."), "RunAPI refused the key (401): “bad key.” Set RUNAPI_TOKEN"),
        (402, Failure(""), "RunAPI refused the call (402): the account has no credit left. Top up"),
        (418, Failure(""), "(418): no reason was given. Change the arguments"),
        (410, Failure(""), "RunAPI no longer serves the model (410): it was retired. Name another model"),
        (502, Failure("x"), "RunAPI failed (502): “x”. It is RunAPI's side"),
        (429, Failure("x", retry_after=7.0), "It asked for 7 s; call again after that."),
        (429, Failure("x", retry_after=7.0, hopeless=True), "It is a daily quota"),
        (503, Failure("x", retry_after=7.0), "It asked for 7 s"),
    ],
)
def test_a_refusal_says_what_happened_and_what_to_do(status: int, failure: Failure, words: str) -> None:
    assert words in str(refusal(failure, status, path="/x"))


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ('{"error": {"code": "rate_limited", "message": "slow down"}}', RateLimited, "(429): “slow down”"),
        ('{"error": "no", "code": "request_conflict"}', RequestRefused, "refused the call (409): “no”"),
        ('{"error": {"code": "continuation_unavailable"}}', Unavailable, "(503): it is not available now"),
        ('{"error": "out"}', Unavailable, "RunAPI failed (an error at status 200): “out”"),
        ('{"error": {"code": "new_one"}}', Unavailable, "(an error at status 200): no reason was given"),
    ],
)
def test_an_error_at_status_200_is_what_its_code_means_and_else_no_status_is_made_up(
    body: str, error: type[Refused], words: str
) -> None:
    refused = refusal(read_failure_body(body), 200, path="/x")
    assert type(refused) is error
    assert words in str(refused)
    assert (refused.status is None) == ("status 200" in words)


@pytest.mark.parametrize(("root", "other"), [("/v1beta/openai", "/v1"), ("/v1", "/v1beta/openai")])
def test_a_chat_path_that_is_not_found_names_the_other_one(root: str, other: str) -> None:
    refused = refusal(Failure("x"), 404, path=f"{root}/chat/completions")
    assert f"set RUNAPI_CHAT_PATH={other}." in str(refused)
    native = refusal(Failure("x"), 404, path="/v1beta/models/m:streamGenerateContent")
    assert "RUNAPI_CHAT_PATH" not in str(native)


def test_upstreams_words_are_quoted_cut_and_kept_on_one_line() -> None:
    refused = refusal(Failure("a\nb\u202e" + "x" * 1000), 400, path="/x")
    assert "“a bx" in str(refused), "what acts unseen is taken out"
    assert "…”" in str(refused)
    assert "\n" not in str(refused)
    assert len(str(refused)) < 600


def test_a_failure_in_the_middle_keeps_the_text_and_the_facts() -> None:
    failed = midway(Failure("x", status=503, retry_after=2.0), partial="Half")
    assert isinstance(failed, FailedMidway)
    assert (failed.partial, failed.status, failed.retry_after) == ("Half", 503, 2.0)


MODEL_IS_GONE: list[tuple[int, object]] = [
    # As Google says it to keys made after it closed the model to them, in its array and plain
    (
        404,
        [
            {
                "error": {
                    "code": 404,
                    "message": "This model models/gemini-2.5-flash is no longer available to new",
                }
            }
        ],
    ),
    (
        404,
        {
            "error": {
                "message": "models/gemini-9 is not found for API version v1beta, or is not supported",
                "code": 404,
            }
        },
    ),
    # A gateway's 502 around Vertex's 404
    (502, {"error": {"message": "Publisher Model `projects/p/models/gemini-3` was not found", "code": 404}}),
    (400, {"error": {"message": "Model gemini-9 has been deprecated and is no longer accessible"}}),
    (400, {"error": {"message": "The model gemini-9 has reached its end of life", "code": 400}}),
    (
        400,
        {
            "error": {
                "message": "Invalid model name passed in model=gemini-9. Call `/v1/models`",
                "code": "400",
            }
        },
    ),
    (404, {"error": {"message": "No endpoints found for google/gemini-9.", "code": 404}}),
    (400, {"error": {"message": "模型 gemini-9 已下线"}}),
    (404, {"error": {"message": "x", "code": "DeploymentNotFound"}}),
]


@pytest.mark.parametrize(("status", "body"), MODEL_IS_GONE)
def test_a_model_that_is_gone_is_told_in_many_words(status: int, body: object) -> None:
    refused = refusal(read_failure_body(json.dumps(body)), status, path="/v1/chat/completions")
    assert isinstance(refused, ModelRetired | NotFound)
    assert not isinstance(refused, NotFound) or refused.lacking == "model"


@pytest.mark.parametrize(
    "body",
    [
        "404 page not found",
        "Cannot POST /v1beta/openai/chat/completions",
        '{"error":{"message":"Invalid URL (POST /v1/x)"}}',
        '{"error":{"message":"Unknown request URL: POST /v1/x."}}',
        "<html><title>The page you were looking for doesn't exist (404)</title></html>",
        '{"message":"no Route matched with those values"}',
    ],
)
def test_a_route_that_is_not_there_is_told_in_many_words(body: str) -> None:
    refused = refusal(read_failure_body(body), 404, path="/v1/chat/completions")
    assert isinstance(refused, NotFound)
    assert refused.lacking == "route"


@pytest.mark.parametrize("body", ["", "Not Found", '{"detail":"Not Found"}', '{"error":"Not Found"}'])
def test_a_404_of_few_words_may_be_either(body: str) -> None:
    refused = refusal(read_failure_body(body), 404, path="/v1/chat/completions")
    assert isinstance(refused, NotFound)
    assert refused.lacking == ""


def test_a_503_is_one_whatever_its_code_says_of_the_model() -> None:
    said = {"error": {"message": "No available channel for model gemini-9", "code": "model_not_found"}}
    refused = refusal(read_failure_body(json.dumps(said)), 503, path="/v1/chat/completions")
    assert isinstance(refused, Unavailable)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "No.", "code": "content_policy_violation"}},
        {"error": {"message": "The request was blocked: PROHIBITED_CONTENT", "code": 400}},
        {"error": {"message": "The prompt was filtered.", "code": "content_filter"}},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_filters_refusal_is_not_asked_again_in_the_same_words(status: int, body: object) -> None:
    failure = read_failure(body)
    assert failure is not None
    error = refusal(failure, status, path="/chat/completions")
    assert isinstance(error, RequestRefused)
    assert "in other words" in str(error)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"code": 1001, "message": "Not enough credit", "success": False}, "Not enough credit"),
        ({"code": -1, "msg": "busy"}, "busy"),
        ({"code": 0, "msg": "busy"}, None),
        ({"code": 20000, "msg": "success"}, None),
        ({"code": 20000, "msg": "OK."}, None),
        ({"code": 1001}, None),
        ({"code": True, "msg": "busy"}, None),
    ],
)
def test_a_relays_own_number_is_an_error_unless_its_words_say_that_all_is_well(
    value: object, said: str | None
) -> None:
    failure = read_failure(value)
    assert (failure and failure.message) == said

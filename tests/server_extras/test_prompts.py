"""Prompts: listed with described arguments, written with what was given, refused with a reason."""

import time

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from runapi_mcp.printable import remove_unseen
from runapi_mcp.server.prompts import MOST_CHARS, PROMPTS, list_prompts, write_prompt
from runapi_mcp.tools import TOOLS

GIVEN = {
    "second_opinion": {"question": "Is this lock needed?", "model": "gemini-2.5-pro"},
    "research": {"topic": "Rust 2027", "depth": "thorough", "recency": "month", "model": "gemini-2.5-pro"},
    "extract_table": {"source": "invoices.pdf", "columns": "date, total", "model": "gemini-2.5-pro"},
    "explain_diff": {"change": "main..HEAD", "audience": "a reviewer", "model": "gemini-2.5-pro"},
}


def message(name: str, arguments: dict[str, str]) -> str:
    (only,) = write_prompt(name, arguments).messages
    assert only.role == "user"
    assert isinstance(only.content, types.TextContent)
    return only.content.text


def test_the_prompts_are_the_four_of_the_documents() -> None:
    assert list(PROMPTS) == list(GIVEN)


def test_every_argument_is_described_and_a_model_can_always_be_named() -> None:
    for prompt in list_prompts():
        assert prompt.title
        assert prompt.description
        assert prompt.arguments
        assert all(argument.description for argument in prompt.arguments)
        assert "model" in [argument.name for argument in prompt.arguments]


@pytest.mark.parametrize("name", GIVEN)
def test_a_message_holds_everything_that_was_given_and_names_a_tool_of_ours(name: str) -> None:
    text = message(name, GIVEN[name])
    assert all(value in text for value in GIVEN[name].values())
    assert any(tool in text for tool in ("ask_gemini", "search_web", "extract_json"))
    assert "get_result" in text
    assert len(text) < 1_500


@pytest.mark.parametrize("name", GIVEN)
def test_a_message_names_no_parameter_that_no_tool_has(name: str) -> None:
    text = message(name, GIVEN[name])
    fields = {field for tool in TOOLS.values() for field in tool.args.model_fields} | {"schema"}
    for word in ("prompt", "files", "text", "schema", "depth", "recency"):
        assert word not in text.split() or word in fields


@pytest.mark.parametrize("name", GIVEN)
def test_optional_arguments_may_be_left_out_or_blank(name: str) -> None:
    required = {a.name: "something" for a in PROMPTS[name].arguments if a.required}
    blank = dict.fromkeys((a.name for a in PROMPTS[name].arguments if not a.required), " ")
    assert message(name, required) == message(name, required | blank)
    assert "model" not in message(name, required).split()


def test_text_that_holds_the_marks_is_put_between_longer_ones() -> None:
    text = message("second_opinion", {"question": 'a """ docstring """ of mine'})
    assert '\n""""\na """ docstring """ of mine\n""""\n' in text


def test_text_that_is_nothing_but_marks_is_quoted_at_once() -> None:
    began = time.monotonic()
    text = message("second_opinion", {"question": '"' * MOST_CHARS})
    assert time.monotonic() - began < 5.0  # trying one mark after the other takes most of a minute
    assert '"' * (MOST_CHARS + 1) in text


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    assert "half \ufffd" in message("second_opinion", {"question": "half \ud83d"})


def test_what_a_person_pastes_says_no_more_than_they_see() -> None:
    pasted = "Why?\x1b]0;owned\x07 \u202e\U000e0049\U000e0067\U000e006e a\ufe0f\ufe0f"
    assert f"\n{remove_unseen(pasted)}\n" in message("second_opinion", {"question": pasted})
    assert remove_unseen(pasted) != pasted


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("reserch", {}, "Unknown prompt: 'reserch'. Prompts: second_opinion, research"),
        ("research", {}, "topic: required."),
        ("research", {"topic": "x", "depht": "quick"}, "depht: unknown argument; research takes topic"),
        ("research", {"topic": "x", "depth": "deep"}, "depth: must be one of quick, thorough, research."),
        ("research", {"topic": "x", "two\nlines \ud83d": "y"}, "two lines \ufffd: unknown argument"),
        ("second_opinion", {"question": "x", "model": "a/b"}, "model: must be a model id"),
        ("second_opinion", {"question": "x" * (MOST_CHARS + 1)}, "name a file instead"),
    ],
)
def test_what_cannot_be_written_is_refused_with_a_reason(
    name: str, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(MCPError) as refused:
        write_prompt(name, arguments)
    assert said in refused.value.error.message
    assert refused.value.error.code == types.INVALID_PARAMS

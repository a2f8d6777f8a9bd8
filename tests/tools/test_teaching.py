"""What a model gets wrong is told in a line that says what to write instead."""

from typing import Any

import pytest
from pydantic import ValidationError

from runapi_mcp.tools import TOOLS, teach

ASK: dict[str, Any] = {"prompt": "Why?"}
SEARCH: dict[str, Any] = {"query": "When?"}
EXTRACT: dict[str, Any] = {"schema": {"type": "object"}, "text": "A is 1."}


def told(tool: str, arguments: dict[str, Any]) -> list[str]:
    """The lines that these arguments are refused with."""
    with pytest.raises(ValidationError) as refused:
        TOOLS[tool].args.model_validate(arguments)
    return str(teach(refused.value, TOOLS[tool].args)).splitlines()


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        ("search_web", {}, "query: required."),
        ("extract_json", {"text": "x"}, "schema: required."),
        ("search_web", {"query": None}, "query: required."),
        ("ask_gemini", ASK | {"files": [{"name": "a"}]}, "files[0]: must be a path or a URL, as a string."),
        ("ask_gemini", ASK | {"files": ["a"] * 17}, "files: must have at most 16 files, not 17."),
        ("ask_gemini", ASK | {"messages": ["Hi"]}, 'messages[0]: must be an object, not "Hi".'),
        ("ask_gemini", ASK | {"fresh": "perhaps"}, 'fresh: must be true or false, not "perhaps".'),
        ("ask_gemini", ASK | {"seed": 1.5}, "seed: must be a whole number, not 1.5."),
        ("ask_gemini", ASK | {"seed": 2**40}, "seed: must be less than 2,147,483,648, not 1099511627776."),
        ("ask_gemini", ASK | {"temperature": "hot"}, 'temperature: must be a number, not "hot".'),
        ("ask_gemini", ASK | {"wait_seconds": 9e9},
         "wait_seconds: must be at most 3,600, not 9000000000.0."),
        ("search_web", SEARCH | {"max_sources": -1}, "max_sources: must be at least 1, not -1."),
        (
            "search_web",
            SEARCH | {"depth": "deep"},
            """depth: must be 'quick', 'thorough' or 'research', not "deep".""",
        ),
        ("extract_json", EXTRACT | {"schema": [1]},
         "schema: must be an object, or a string that holds one as JSON."),
        ("extract_json", {"schema": {}}, "text: give it or files."),
        ("search_web", SEARCH | {"model": "a/b"},
         "model: must be a model id such as gemini-3-flash-preview, without a slash or spaces."),
        ("get_result", {"handle": " "}, "handle: required."),
        ("get_result", {"handle": "g" * 300},
         "handle: must be the handle that an earlier result gave, as it stands there."),
        ("get_result", {"handle": "g", "cancel": True, "resume": True},
         "cancel: give it or resume, not both."),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_it_must_be(tool: str, arguments: dict[str, Any], line: str) -> None:
    assert told(tool, arguments) == [line]


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        ("ask_gemini", {"question": "x"}, "question: unknown argument; did you mean prompt?"),
        ("ask_gemini", ASK | {"tools": []}, "tools: unknown argument; did you mean functions?"),
        ("ask_gemini", ASK | {"effort": "low"}, "effort: unknown argument; did you mean reasoning_effort?"),
        ("ask_gemini", ASK | {"promtp": "x"}, "promtp: unknown argument; did you mean prompt?"),
        ("search_web", SEARCH | {"timeout": 5}, "timeout: unknown argument; did you mean wait_seconds?"),
        ("extract_json", EXTRACT | {"instruction": "x"},
         "instruction: unknown argument; did you mean instructions?"),
        ("extract_json", EXTRACT | {"system": "x"}, "system: unknown argument; did you mean instructions?"),
        ("get_result", {"handle": "g", "a\nb": 1},
         "a b: unknown argument; this tool takes handle, wait_seconds, offset, cancel, resume, evidence."),
    ],
)  # fmt: skip
def test_an_unknown_argument_is_told_with_the_one_that_was_meant(
    tool: str, arguments: dict[str, Any], line: str
) -> None:
    assert told(tool, arguments) == [line]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ({"role": "user", "text": "x"}, "messages[0].text: unknown argument; did you mean content?"),
        ({"role": "user", "colour": 1},
         "messages[0].colour: unknown argument; this takes role, content, name, id, function_calls."),
        ({"role": "boss", "content": "x"},
         """messages[0].role: must be 'user', 'assistant', 'model', 'function' or 'system', not "boss"."""),
        ({"content": "x"}, "messages[0].role: required."),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e.org/a.png"}}]},
         "messages[0].content: must be text; an image or another file goes in files, with the prompt."),
        ({"role": "assistant", "function_calls": [{"name": "f", "arguments": 5}]},
         "messages[0].function_calls[0].arguments: must be an object, or a string that holds one as JSON."),
    ],
)  # fmt: skip
def test_what_is_wrong_within_a_message_is_told_by_its_place(message: dict[str, Any], line: str) -> None:
    assert told("ask_gemini", ASK | {"messages": [message]}) == [line]


def test_every_wrong_argument_has_its_line() -> None:
    lines = told("ask_gemini", {"prompt": "x", "files": [{"a": 1}], "fresh": "x", "seed": "y", "colour": 1})
    assert [line.split(":")[0] for line in lines] == ["files[0]", "seed", "fresh", "colour"]


def test_the_lines_have_an_end_however_much_is_wrong() -> None:
    lines = told("ask_gemini", ASK | {"\ud800" * 500 + str(n): "x" * 500 for n in range(500)})
    assert len(lines) <= 20
    assert max(map(len, lines)) < 400


@pytest.mark.parametrize("handle", ["g_x", " g_x\n", "generation://g_x"])
def test_a_handle_may_be_given_as_the_address_of_its_resource(handle: str) -> None:
    args: Any = TOOLS["get_result"].args.model_validate({"handle": handle})
    assert args.handle == "g_x"

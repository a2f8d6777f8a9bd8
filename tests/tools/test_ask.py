"""ask_gemini: every argument means the same on both dialects, or is refused."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import teach
from runapi_mcp.tools.ask import AskArgs
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.types import Call, Function, FunctionCall, Inline, Linked, Returned, Text, Turn
from tools.calling import Desk, desk, facts

FLASH = "gemini-3-flash-preview"
ASKED = (Turn("user", (Text("Hello?"),)),)
SCHEMA: Any = {"type": "object", "properties": {"q": {"type": "string"}}}
LOOKUP = Function("lookup", "Looks up.", SCHEMA)
CALLED = FunctionCall("f1", "lookup", '{"q": "x"}', "c2ln")

# One row an argument: the call, and what stands where in the body of each dialect.
MEANINGS: dict[str, tuple[Call, dict[str, Any], dict[str, Any]]] = {
    "turns": (
        Call(FLASH, (*ASKED, Turn("model", (Text("Hi."),)), Turn("user", (Text("So?"),)))),
        {
            "messages": [
                {"role": "user", "content": "Hello?"},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "So?"},
            ]
        },
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Hello?"}]},
                {"role": "model", "parts": [{"text": "Hi."}]},
                {"role": "user", "parts": [{"text": "So?"}]},
            ]
        },
    ),
    "system": (
        Call(FLASH, ASKED, system="Be brief."),
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]},
        {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
    ),
    "an image": (
        Call(FLASH, (Turn("user", (Inline("image/png", "AAAA"), Text("?"))),)),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        {"type": "text", "text": "?"},
                    ],
                }
            ]
        },
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "?"}],
                }
            ]
        },
    ),
    "a linked image": (
        Call(FLASH, (Turn("user", (Linked("image/png", "https://e.org/a.png"), Text("?"))),)),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
                        {"type": "text", "text": "?"},
                    ],
                }
            ]
        },
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [
                        {"fileData": {"mimeType": "image/png", "fileUri": "https://e.org/a.png"}},
                        {"text": "?"},
                    ],
                }
            ]
        },
    ),
    "low effort": (
        Call(FLASH, ASKED, effort="low"),
        {"reasoning_effort": "low"},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}},
    ),
    "high effort": (
        Call(FLASH, ASKED, effort="high"),
        {"reasoning_effort": "high"},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}},
    ),
    "thoughts": (
        Call(FLASH, ASKED, include_thoughts=True),
        {"include_thoughts": True},
        {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
    ),
    "output limit": (
        Call(FLASH, ASKED, max_output_tokens=7),
        {"max_tokens": 7},
        {"generationConfig": {"maxOutputTokens": 7}},
    ),
    "temperature": (
        Call(FLASH, ASKED, temperature=0.0),
        {"temperature": 0.0},
        {"generationConfig": {"temperature": 0.0}},
    ),
    "stop": (
        Call(FLASH, ASKED, stop=("END", "##")),
        {"stop": ["END", "##"]},
        {"generationConfig": {"stopSequences": ["END", "##"]}},
    ),
    "seed": (Call(FLASH, ASKED, seed=0), {"seed": 0}, {"generationConfig": {"seed": 0}}),
    "search": (
        Call("gemini-3.7-flash", ASKED, search=True),
        {"tools": [{"type": "function", "function": {"name": "googleSearch"}}]},
        {"tools": [{"googleSearch": {}}]},
    ),
    "schema": (
        Call(FLASH, ASKED, schema=SCHEMA),
        {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
        {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
    ),
    "functions": (
        Call(FLASH, ASKED, functions=(LOOKUP,)),
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "lookup", "description": "Looks up.", "parameters": SCHEMA},
                }
            ]
        },
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "lookup", "description": "Looks up.", "parametersJsonSchema": SCHEMA}
                    ]
                }
            ]
        },
    ),
    "a function's result": (
        Call(
            FLASH, (*ASKED, Turn("model", (CALLED,)), Turn("user", (Returned("f1", "lookup", '{"a": 1}'),)))
        ),
        {
            "messages": [
                {"role": "user", "content": "Hello?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "f1",
                            "type": "function",
                            "function": {"name": "lookup", "arguments": '{"q": "x"}'},
                            "extra_content": {"google": {"thought_signature": "c2ln"}},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "f1", "name": "lookup", "content": '{"a": 1}'},
            ]
        },
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Hello?"}]},
                {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"id": "f1", "name": "lookup", "args": {"q": "x"}},
                            "thoughtSignature": "c2ln",
                        }
                    ],
                },
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"id": "f1", "name": "lookup", "response": {"a": 1}}}],
                },
            ]
        },
    ),
    "a result that is text": (
        Call(
            FLASH,
            (
                *ASKED,
                Turn("model", (FunctionCall("", "lookup", "{}"),)),
                Turn("user", (Returned("", "lookup", "42"),)),
            ),
        ),
        {
            "messages": [
                {"role": "user", "content": "Hello?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_lookup_1",
                            "type": "function",
                            "function": {"name": "lookup", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_lookup_1", "name": "lookup", "content": "42"},
            ]
        },
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Hello?"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "lookup", "args": {}}}]},
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "lookup", "response": {"result": "42"}}}],
                },
            ]
        },
    ),
}


@pytest.mark.parametrize(("call", "chat", "native"), MEANINGS.values(), ids=MEANINGS)
def test_an_argument_means_the_same_on_both_dialects(
    call: Call, chat: dict[str, Any], native: dict[str, Any]
) -> None:
    made = dialects("/v1beta/openai")
    bodies = {name: made[name].encode(call).body for name in ("chat", "native")}
    assert {key: bodies["chat"][key] for key in chat} == chat
    assert {key: bodies["native"][key] for key in native} == native


def test_what_a_dialect_cannot_carry_is_refused() -> None:
    with pytest.raises(InputError, match="takes images only"):
        dialects("/v1beta/openai")["chat"].encode(
            Call(FLASH, (Turn("user", (Inline("application/pdf", "AAAA"),)),))
        )


def test_what_is_left_open_is_left_to_the_model() -> None:
    made = dialects("/v1beta/openai")
    assert set(made["chat"].encode(Call(FLASH, ASKED)).body) == {
        "model",
        "messages",
        "stream",
        "stream_options",
    }
    assert set(made["native"].encode(Call(FLASH, ASKED)).body) == {"contents"}


@pytest.fixture(params=["chat", "native"])
async def at(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim, dialect=request.param) as opened:
        yield opened


async def test_every_argument_is_taken_by_the_wire(at: Desk) -> None:
    reply = await at.call(
        "ask_gemini",
        prompt="And now?",
        system="Be brief.",
        messages=[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}],
        reasoning_effort="low",
        include_thoughts=True,
        max_output_tokens=500,
        temperature=0.5,
        stop=["END"],
        seed=7,
        functions=[{"name": "lookup", "parameters": SCHEMA}],
    )
    assert not reply.is_error
    assert reply.text.startswith("Thinking:\n")
    thinking, _, answer = reply.text.partition("\n\nAnswer:\n")
    assert "pretends to think" in thinking
    assert "pretends to think" not in answer, "thoughts stay apart from the answer"


async def test_two_calls_on_one_index_are_both_named_once(sim: Simulator) -> None:
    functions = [
        {"name": "lookup", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}
    ]
    async with desk(sim) as at:
        reply = await at.call("ask_gemini", prompt="x [[sim:calls-same-index]]", functions=functions)
    assert not reply.is_error
    assert reply.text.count('"name": "lookup"') == 2
    assert '"arguments": {"q": "simulated 1"}, "id": "call-1"' in reply.text
    assert '"arguments": {"q": "simulated 2"}, "id": "call-2"' in reply.text


async def test_a_function_call_is_named_and_its_result_carries_on(at: Desk, sim: Simulator) -> None:
    functions = [
        {
            "name": "lookup",
            "description": "Looks up.",
            "parameters": {"type": "object", "properties": {"q": {"const": "x"}}, "required": ["q"]},
        }
    ]
    sim.play("tool-call")
    first = await at.call("ask_gemini", prompt="What is x?", functions=functions)
    line = next(line for line in first.text.splitlines() if line.startswith("["))
    (asked,) = json.loads(line)
    assert (asked["name"], asked["arguments"], asked["signature"]) == ("lookup", {"q": "x"}, "QUJD")
    # A program gets the calls as they are; a host that gives its model this half alone learns the way on too.
    assert facts(first)["calls"] == [asked]
    assert facts(first)["text"] in first.text
    assert any("To go on" in note for note in facts(first)["notes"])
    messages = [
        {"role": "user", "content": "What is x?"},
        {"role": "assistant", "function_calls": [asked]},
        {"role": "function", "name": "lookup", "id": asked["id"], "content": "42"},
    ]
    second = await at.call("ask_gemini", messages=messages, functions=functions)
    assert not second.is_error
    body: Any = sim.calls[-1].body
    assert "42" in json.dumps(body)
    assert "QUJD" in json.dumps(body), "the signature goes back with the call"


async def test_a_model_that_ignores_an_argument_is_told(at: Desk, sim: Simulator) -> None:
    sim.bridge = True
    reply = await at.call("ask_gemini", prompt="x", model="gemini-3.6-flash", temperature=0.1)
    assert "gemini-3.6-flash ignores temperature." in reply.text


U, A = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
CALLS = {"role": "assistant", "function_calls": [{"name": "f"}]}
RESULT = {"role": "function", "name": "f", "content": "1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"messages": [A], "prompt": "x"}, "messages[0]: must be the user's words"),
        ({"messages": [RESULT], "prompt": "x"}, "messages[0]: must be the user's words"),
        ({"messages": [U, U, A], "prompt": "x"}, "messages[1]: a second turn of the user after messages[0]"),
        ({"messages": [U], "prompt": "x"}, "prompt: a second turn of the user after messages[0]"),
        ({"messages": [U, A]}, "the last word must be yours"),
        (
            {"messages": [U, CALLS], "prompt": "x"},
            "prompt: the results of f are missing.",
        ),
        (
            {"messages": [U, CALLS, RESULT, RESULT]},
            "messages[2]: a function's result, and no call of f is open. No call is open any more.",
        ),
        ({"messages": [U, A, RESULT]}, "messages[2]: a function's result, and no function was called."),
        (
            {"messages": [U, CALLS, {"role": "function", "content": "1"}, {"role": "function"}]},
            "messages[2]: a function's result, and no call is open. No call is open any more.",
        ),
        ({"messages": [U | CALLS | {"role": "user"}, A], "prompt": "x"}, "only an assistant's turn"),
        ({"messages": [{"role": "user", "content": " "}], "prompt": "x"}, "must not be empty"),
        (
            {"prompt": "x", "functions": [{"name": "f"}, {"name": "f"}]},
            "functions[1].name: functions[0] is named f too",
        ),
        (
            {"prompt": "x", "functions": [{"name": "f"}], "model": "gemini-2.5-pro"},
            "Models that have it: gemini-3-flash",
        ),
        (
            {"prompt": "x", "reasoning_effort": "medium", "model": "gemini-3.7-flash"},
            "does not take 'medium'",
        ),
    ],
)
async def test_a_conversation_that_cannot_be_is_refused_before_any_request(
    at: Desk, sim: Simulator, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        await at.call("ask_gemini", **arguments)
    assert sim.calls == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"properties": 5}, "not a valid JSON Schema at /properties: 5 is not an object whose members"),
        ({"type": "object", "$defs": 7}, "not a valid JSON Schema at /$defs: 7 is not an object"),
        ({"prefixItems": 5}, "not a valid JSON Schema at /prefixItems: 5 is not a list of schemas"),
        ({"$ref": "https://e.org"}, "$ref 'https://e.org' points outside the schema"),
        (
            {"properties": {"a": {"$ref": "#/$defs/a"}}},
            "/properties/a: $ref '#/$defs/a' points outside the schema",
        ),
        (
            {"properties": {"a": {"type": "int"}, "b": {"minimum": "x"}}},
            (
                '2 faults:\n- not a valid JSON Schema at /properties/a/type: "int" is no type of JSON; '
                'write "integer".\n- not a valid JSON Schema at /properties/b/minimum: "x" is not a number.'
            ),
        ),
        ({"type": "string"}, "must be the JSON Schema of an object"),
        ({"type": ["string", "null"]}, "must be the JSON Schema of an object"),
        ({"city": "string"}, "'city' is no keyword of JSON Schema"),
    ],
)
async def test_parameters_that_are_no_schema_of_an_object_say_where_and_what_they_must_be(
    at: Desk, sim: Simulator, parameters: dict[str, Any], said: str
) -> None:
    functions = [{"name": "fine"}, {"name": "f", "parameters": parameters}]
    with pytest.raises(InputError) as refused:
        await at.call("ask_gemini", prompt="x", functions=functions)
    assert str(refused.value).startswith(f"functions[1].parameters: {said}")
    assert sim.calls == []


@pytest.mark.parametrize(
    "parameters", [{}, {"type": "object"}, {"type": ["object", "null"]}, {"anyOf": [{"type": "object"}]}]
)
async def test_parameters_that_may_be_an_object_are_taken(at: Desk, parameters: dict[str, Any]) -> None:
    reply = await at.call("ask_gemini", prompt="x", functions=[{"name": "f", "parameters": parameters}])
    assert not reply.is_error


async def test_null_is_the_same_as_nothing(at: Desk, sim: Simulator) -> None:
    called = {"role": "assistant", "content": None, "function_calls": [{"name": "f", "arguments": None}]}
    await at.call("ask_gemini", messages=[U, called, RESULT], stop=None, files=None, fresh=None, seed=None)
    with_nulls = sim.calls[-1].body
    await at.call("ask_gemini", messages=[U, CALLS, RESULT], fresh=True)
    assert sim.calls[-1].body == with_nulls


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "prompt: required, unless"),
        ({"prompt": "  "}, "prompt: required, unless"),
        ({"prompt": "x", "stop": ["a"] * 5}, "stop: must be at most 4"),
        ({"prompt": "x", "seed": 2**31}, "seed: must be less than"),
        ({"prompt": "x", "temperature": 2.5}, "temperature: must be at most 2, not 2.5"),
        ({"prompt": "x", "messages": [{"role": "boss", "content": "y"}]}, "messages[0].role: must be"),
        ({"prompt": "x", "functions": [{"name": "1 f"}]}, "functions[0].name: must begin with a letter"),
        ({"messages": [U], "files": ["a.png"]}, "files: they go with a prompt"),
        ({"prompt": "x", "tempreature": 1}, "did you mean temperature?"),
    ],
)
def test_a_bad_argument_is_taught(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AskArgs.model_validate(arguments)
    assert said in str(teach(caught.value, AskArgs))

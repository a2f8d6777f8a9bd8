"""In which other words a refused schema is asked again, and when it is not."""

from dataclasses import replace
from typing import Any

import pytest

from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.schema.narrow import find_narrower, narrow_answer, spell
from runapi_mcp.wire.schema.write import rewrite_schema
from runapi_mcp.wire.types import Call, DialectName, Function, JsonObject, Text, Turn

NICK: dict[str, Any] = {
    "type": "object",
    "properties": {"nick": {"type": ["string", "null"]}},
    "required": ["nick"],
}
LOOP: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}},
    "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": []}},
}
FREE: dict[str, Any] = {"type": "object", "properties": {"more": {"type": "object"}}}
MAP: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "additionalProperties": {"type": "number"},
}
NOT_REPEATING = (
    'Invalid JSON payload received. Unknown name "type" at \'generation_config.response_schema.properties[0]'
    ".value': Proto field is not repeating, cannot start list."
)


def call_for(schema: dict[str, Any] | None, *functions: Function) -> Call:
    sent = None if schema is None else rewrite_schema(schema).schema
    return Call(
        "gemini-2.5-pro", (Turn("user", (Text("Q"),)),), "Be exact.", schema=sent, functions=functions
    )


def body(call: Call, dialect: DialectName) -> dict[str, Any]:
    return dialects("/v1")[dialect].encode(call).body


def test_the_older_schema_has_no_list_of_types() -> None:
    call = spell(call_for(NICK), "native", "narrow")
    nick = {"type": "string", "nullable": True}
    for dialect, place in (
        ("chat", ["response_format", "json_schema", "schema"]),
        ("native", ["responseSchema"]),
    ):
        found: Any = body(call, "chat" if dialect == "chat" else "native")
        found = found if dialect == "chat" else found["generationConfig"]
        for key in place:
            found = found[key]
        assert found["properties"] == {"nick": nick}
    assert "responseJsonSchema" not in body(call, "native")["generationConfig"]


@pytest.mark.parametrize("schema", [LOOP, FREE, MAP])
def test_what_the_older_schema_cannot_say_is_said_in_the_system_prompt(schema: dict[str, Any]) -> None:
    call = spell(call_for(schema), "native", "narrow")
    assert call.spelling == "words"
    chat, native = body(call, "chat"), body(call, "native")
    assert chat["response_format"] == {"type": "json_object"}
    assert native["generationConfig"] == {"responseMimeType": "application/json"}
    assert chat["messages"][0]["content"].startswith("Be exact.\n\nAnswer with JSON alone, which conforms")
    assert '"properties"' in native["systemInstruction"]["parts"][0]["text"]


@pytest.mark.parametrize("dialect", ["chat", "native"])
@pytest.mark.parametrize(
    ("schema", "refused", "spelling"),
    [
        (NICK, NOT_REPEATING, "narrow"),
        (
            {**NICK, "additionalProperties": False},
            "Unknown name \"additionalProperties\" at 'response_schema': Cannot find field.",
            "narrow",
        ),
        ({**NICK, "additionalProperties": False}, "Unsupported in Schema: additional_properties", "narrow"),
        (LOOP, "Invalid schema for response_format 'answer': reference to component '#/$defs/n'", "words"),
        (
            {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}}},
            "Unknown name \"anyOf\" at 'generation_config.response_schema.properties[0]': Cannot find field.",
            "words",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}]}}},
            "Unsupported keyword 'prefixItems'",
            "narrow",
        ),
    ],
)  # fmt: skip
def test_a_word_of_ours_that_is_refused_is_written_in_others(
    dialect: DialectName, schema: dict[str, Any], refused: str, spelling: str
) -> None:
    found = find_narrower(call_for(schema), dialect, refused)
    assert found == (spelling, True)


def test_a_schema_that_is_too_large_is_told_in_words_once_and_not_for_every_schema() -> None:
    refused = "The specified schema produces a constraint that has too many states for serving."
    assert find_narrower(call_for(NICK), "chat", refused) == ("words", False)


@pytest.mark.parametrize(
    "refused",
    [
        "Request contains an invalid argument.",
        "max_output_tokens must be a positive number",
        "Unsupported MIME type: text/x-python",
        "Invalid value at 'generation_config.temperature' (type TYPE_FLOAT), 7",
        "response_schema.properties: property keys should match the pattern ^[a-zA-Z0-9_.-]{1,64}$",
        "The input token count (2000000) exceeds the maximum number of tokens allowed",
        "",
    ],
)
def test_what_the_caller_wrote_is_the_callers_to_change(refused: str) -> None:
    assert find_narrower(call_for(NICK), "chat", refused) is None


def test_after_the_last_spelling_there_is_no_other() -> None:
    assert find_narrower(spell(call_for(NICK), "native", "words"), "chat", NOT_REPEATING) is None
    assert find_narrower(spell(call_for(NICK), "native", "narrow"), "chat", NOT_REPEATING) == ("words", True)
    assert find_narrower(call_for(None), "chat", NOT_REPEATING) is None


def test_functions_are_respelled_where_they_were_sent_as_json_schema() -> None:
    sent = call_for(None, Function("save", "Save it.", rewrite_schema(NICK).schema))
    refused = (
        "Unknown name \"type\" at 'tools[0].function_declarations[0].parameters.properties[0].value': Proto "
        "field is not repeating, cannot start list. Invalid schema."
    )
    assert find_narrower(sent, "native", refused) == ("narrow", True)
    [tool] = body(spell(sent, "native", "narrow"), "native")["tools"]
    [declared] = tool["functionDeclarations"]
    assert declared["parameters"]["properties"] == {"nick": {"type": "string", "nullable": True}}
    assert "parametersJsonSchema" not in declared
    assert find_narrower(sent, "chat", refused) is None
    assert find_narrower(sent, "native", "Invalid function name: must start with a letter") is None


def test_a_wide_call_is_left_as_it_is() -> None:
    call = call_for(NICK)
    assert spell(call, "native", "wide") is call
    assert spell(replace(call, schema=None), "native", "words").system == "Be exact."


def test_each_alternative_may_be_null_where_one_of_them_is() -> None:
    either: JsonObject = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
    narrowed = narrow_answer({"type": "object", "properties": {"a": either}})
    kinds = [{"type": "string", "nullable": True}, {"type": "integer", "nullable": True}]
    assert narrowed["properties"] == {"a": {"anyOf": kinds}}

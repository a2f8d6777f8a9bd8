"""Arguments as hosts and models send them are taken for what was meant, and only for that."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runapi_mcp.errors import InputError
from runapi_mcp.sim import Simulator
from runapi_mcp.tools import TOOLS, teach
from tools.calling import Desk, desk

REPORTS: Final[list[dict[str, Any]]] = json.loads(Path(__file__).with_name("reports.json").read_text("utf-8"))
ASK: Final[dict[str, Any]] = {"prompt": "Why?"}
SEARCH: Final[dict[str, Any]] = {"query": "Why?"}
EXTRACT: Final[dict[str, Any]] = {"schema": {"type": "object"}, "text": "A is 1."}
RESULT: Final[dict[str, Any]] = {"handle": "g_abc"}
BLANKS: Final = ("", "  ", "\n", None)
NULLS: Final = ("null", "NULL", "undefined", "None", "nil", "N/A", '"null"')


@pytest.fixture
async def at(sim: Simulator) -> AsyncIterator[Desk]:
    async with desk(sim) as at:
        yield at


def meant(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a tool takes arguments for: those that were given, by the names that hosts know."""
    args, _ = TOOLS[tool].args.read(arguments)
    taken: dict[str, Any] = args.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return taken


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report["source"].partition("github.com/")[2])
def test_what_was_reported_of_hosts_is_understood(report: dict[str, Any]) -> None:
    tool = TOOLS[report["tool"]]
    if "refused" in report:
        with pytest.raises(ValidationError) as refused:
            tool.args.read(report["arguments"])
        assert str(teach(refused.value, tool.args)) == report["refused"]
    else:
        assert meant(report["tool"], report["arguments"]) == report["means"]
        assert report.get("says", "") in tool.args.read(report["arguments"])[1]


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize(
    ("tool", "given"), [("ask_gemini", ASK), ("search_web", SEARCH), ("get_result", RESULT)]
)
def test_a_blank_for_what_is_optional_is_not_given(tool: str, given: dict[str, Any], blank: object) -> None:
    named = {field.alias or name for name, field in TOOLS[tool].args.model_fields.items()}
    optional = named - given.keys() - ({"stop"} if blank == "\n" else set())
    assert meant(tool, given | dict.fromkeys(optional, blank)) == given


@pytest.mark.parametrize("word", NULLS)
@pytest.mark.parametrize(
    ("tool", "given", "names"),
    [
        ("ask_gemini", ASK, ["model", "files", "messages", "functions", "reasoning_effort",
                             "include_thoughts", "max_output_tokens", "temperature", "stop", "seed",
                             "wait_seconds", "fresh"]),
        ("search_web", SEARCH, ["model", "depth", "recency", "include_domains", "exclude_domains", "language",
                                "max_sources", "wait_seconds", "fresh"]),
        ("extract_json", EXTRACT, ["files", "many", "max_repairs", "model"]),
        ("get_result", RESULT, ["wait_seconds", "offset", "cancel", "resume"]),
    ],
)  # fmt: skip
def test_a_word_for_null_is_not_given_where_no_free_text_stands(
    tool: str, given: dict[str, Any], names: list[str], word: str
) -> None:
    if word == '"null"':
        names = [name for name in names if name not in ("stop", "messages", "functions")]
    assert meant(tool, given | dict.fromkeys(names, word)) == given


@pytest.mark.parametrize("word", ["null", "None", "any"])
def test_the_same_word_is_free_text_where_that_stands(word: str) -> None:
    assert meant("ask_gemini", {"prompt": word, "system": word}) == {"prompt": word, "system": word}
    assert meant("extract_json", EXTRACT | {"text": word, "instructions": word})["text"] == word


@pytest.mark.parametrize(
    ("tool", "given", "name", "value", "taken"),
    [
        ("ask_gemini", ASK, "files", '["a.txt", "b.txt"]', ["a.txt", "b.txt"]),
        ("ask_gemini", ASK, "files", '"[\\"a.txt\\"]"', ["a.txt"]),
        ("ask_gemini", ASK, "files", '```json\n["a.txt"]\n```', ["a.txt"]),
        ("ask_gemini", ASK, "files", "a.txt\nb, c.txt", ["a.txt", "b, c.txt"]),
        ("ask_gemini", ASK, "files", ["`a.txt`", '"b.txt"', None, ""], ["a.txt", "b.txt"]),
        ("ask_gemini", ASK, "files", {"0": "a.txt", "1": "b.txt"}, ["a.txt", "b.txt"]),
        ("ask_gemini", ASK, "files", "data:;base64,aGFs\nbG8=", ["data:;base64,aGFs\nbG8="]),
        ("ask_gemini", ASK, "files", "['a.txt', 'b.txt']", ["a.txt", "b.txt"]),
        ("ask_gemini", ASK, "files", {"type": "image", "data": "aGFs", "mimeType": "image/png"},
         ["data:image/png;base64,aGFs"]),
        ("ask_gemini", ASK, "files", [{"inlineData": {"mimeType": "image/png", "data": "aGFs"}}],
         ["data:image/png;base64,aGFs"]),
        ("ask_gemini", ASK, "files",
         [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGFs"}}],
         ["data:image/png;base64,aGFs"]),
        ("ask_gemini", ASK, "files",
         [{"type": "resource", "resource": {"uri": "x:1", "mimeType": "image/png", "blob": "aGFs"}}],
         ["data:image/png;base64,aGFs"]),
        ("ask_gemini", ASK, "stop", "\n", ["\n"]),
        ("ask_gemini", ASK, "stop", ["\n\n", " "], ["\n\n", " "]),
        ("ask_gemini", ASK, "stop", "[END]", ["[END]"]),
        ("ask_gemini", ASK, "seed", " 5 ", 5),
        ("ask_gemini", ASK, "seed", ["5"], 5),
        ("ask_gemini", ASK, "temperature", '"0.5"', 0.5),
        ("ask_gemini", ASK, "fresh", "True", True),
        ("ask_gemini", ASK, "reasoning_effort", "`High`", "high"),
        ("ask_gemini", ASK, "reasoning_effort", ["low"], "low"),
        ("ask_gemini", ASK, "model", "`models/gemini-3-flash-preview`", "gemini-3-flash-preview"),
        ("search_web", SEARCH, "include_domains", "a.org, https://b.org/x", ["a.org", "b.org"]),
        ("search_web", SEARCH, "include_domains", '["a.org"]', ["a.org"]),
        ("search_web", SEARCH, "recency", "WEEK", "week"),
        ("extract_json", EXTRACT, "text", {"name": "Ådel"}, '{"name": "Ådel"}'),
        ("extract_json", EXTRACT, "text", [1, 2], "[1, 2]"),
        ("extract_json", EXTRACT, "many", "yes", True),
    ],
)  # fmt: skip
def test_what_is_meant_beyond_doubt_is_taken(
    tool: str, given: dict[str, Any], name: str, value: object, taken: object
) -> None:
    assert meant(tool, given | {name: value})[name] == taken


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "five"), ("seed", "5 or 6"), ("fresh", "perhaps"), ("reasoning_effort", "none"),
        ("reasoning_effort", "deep"), ("messages", "Hi"), ("functions", '[{"name": "f"'),
        ("files", [{"a": 1}]), ("temperature", [0, 1]),
    ],
)  # fmt: skip
def test_what_leaves_a_doubt_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        TOOLS["ask_gemini"].args.read(ASK | {name: value})


@pytest.mark.parametrize(
    "shown",
    ['"g_abc"', "`g_abc`", "'g_abc'", "“g_abc”", " g_abc\n", "generation://g_abc", '"generation://g_abc"',
     "handle: g_abc", 'handle "g_abc".', '{"handle": "g_abc"}', "<g_abc>", {"handle": "g_abc"}, ["g_abc"]],
)  # fmt: skip
def test_a_handle_is_found_in_what_a_model_copied_with_it(shown: object) -> None:
    assert meant("get_result", {"handle": shown}) == {"handle": "g_abc"}


def test_of_two_handles_none_is_chosen() -> None:
    assert meant("get_result", {"handle": "g_a or g_b"}) == {"handle": "g_a or g_b"}


NAMES = st.sampled_from(["sessionId", "tool_call_id", "chatInput", "random_string", "_meta", "_"])


@given(
    names=st.lists(NAMES, min_size=1, unique=True), value=st.none() | st.integers() | st.text() | st.just({})
)
def test_what_a_host_adds_is_ignored_whatever_it_holds_and_said_once(names: list[str], value: object) -> None:
    for tool, given_ in (("ask_gemini", ASK), ("search_web", SEARCH), ("extract_json", EXTRACT)):
        added = dict.fromkeys(names, value)
        assert meant(tool, given_ | added) == meant(tool, given_)
        said = TOOLS[tool].args.read(given_ | added)[1]
        assert all(name in said for name in names)


@given(st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.integers())))
def test_the_tool_that_takes_nothing_ignores_all(arguments: dict[str, Any]) -> None:
    assert meant("list_models", arguments) == {}
    assert not TOOLS["list_models"].args.read(arguments)[1]


@pytest.mark.parametrize(
    "arguments", [{"args": ASK}, {"input": json.dumps(ASK)}, {"kwargs": ASK, "sessionId": 1}]
)
def test_arguments_within_one_are_unpacked(arguments: dict[str, Any]) -> None:
    assert meant("ask_gemini", arguments) == ASK


@pytest.mark.parametrize(
    "arguments", [{"input": "Why?"}, {"args": {"question": "Why?"}}, {"args": ASK, "seed": 1}]
)
def test_one_that_may_be_a_name_for_another_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TOOLS["ask_gemini"].args.read(arguments)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner)
    )
)
def test_reading_twice_is_reading_once(value: object) -> None:
    fields = [name for name in TOOLS["ask_gemini"].args.model_fields if name != "prompt"]
    for name in fields:
        try:
            once = meant("ask_gemini", ASK | {name: value})
        except ValidationError:
            continue
        assert meant("ask_gemini", once) == once


@pytest.mark.parametrize(
    "prompt",
    [
        'Explain <invoke name="f"><parameter name="model">x</parameter></invoke>',
        '<parameter name="prompt">Why?</parameter>\n<parameter name="model">x</parameter>',
        'Why does it end with </prompt> and <parameter name="model">?',
        'What is this?</prompt>\n<parameter name="colour">red',
        'Why?</content>\n<parameter name="model">x',
        "Close the element: </text>",
        "Close the call: </payload>",
    ],
)
def test_tags_that_a_text_is_about_stay_in_it(prompt: str) -> None:
    assert meant("ask_gemini", {"prompt": prompt}) == {"prompt": prompt}


def test_what_was_given_is_not_taken_out_of_a_text_once_more() -> None:
    text = 'Why?</prompt>\n<parameter name="seed">7'
    assert meant("ask_gemini", {"prompt": text, "seed": 8}) == {"prompt": text, "seed": 8}


@pytest.mark.parametrize("piece", ["</", "</prompt>", '</prompt><parameter name="x">', "</a>\n", "<", " "])
def test_a_long_text_of_tags_is_read_in_time(piece: str) -> None:
    assert meant("ask_gemini", {"prompt": "x" + piece * 100_000})["prompt"].startswith("x")


def test_names_are_read_in_other_spellings_at_every_depth() -> None:
    messages = [{"Role": "user", "Content": "Why?"}]
    assert meant("ask_gemini", {"Messages": messages})["messages"] == [{"role": "user", "content": "Why?"}]


CALL: Final = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
OURS: Final = [
    {"role": "user", "content": "Go."},
    {"role": "assistant", "function_calls": [{"name": "f", "arguments": '{"x": 1}', "id": "c1"}]},
    {"role": "function", "name": "f", "id": "c1", "content": "5"},
]


@pytest.mark.parametrize(
    "messages",
    [
        [OURS[0], {"role": "assistant", "content": None, "refusal": None, "tool_calls": [CALL]},
         {"role": "tool", "tool_call_id": "c1", "content": "5"}],
        [OURS[0], {"role": "assistant", "tool_calls": json.dumps([CALL | {"index": 0}])},
         {"role": "tool", "tool_call_id": "c1", "content": 5}],
        [{"role": "user", "content": [{"type": "text", "text": "Go."}]},
         {"role": "assistant", "function_call": {"name": "f", "arguments": {"x": 1}, "id": "c1"}},
         {"role": "function", "name": "f", "content": [{"type": "text", "text": "5"}]}],
        [{"role": "human", "content": "Go."},
         {"role": "ai", "tool_calls": [{"name": "f", "args": {"x": 1}, "id": "c1", "type": "tool_call"}]},
         {"role": "tool", "tool_call_id": "c1", "content": "5", "name": "f"}],
    ],
)  # fmt: skip
async def test_a_conversation_in_the_names_of_openai_and_langchain_is_the_same_conversation(
    at: Desk, sim: Simulator, messages: list[dict[str, Any]]
) -> None:
    await at.call("ask_gemini", messages=OURS)
    await at.call("ask_gemini", messages=messages, fresh=True)
    first, second = (call.body for call in sim.calls)
    assert first == second


async def test_results_go_in_the_order_of_the_calls_that_they_answer(at: Desk, sim: Simulator) -> None:
    calls = [{"name": "f", "id": "c1"}, {"name": "f", "id": "c2"}, {"name": "g", "id": "c3"}]
    results = [{"name": "g", "id": "c3", "content": "three"}, {"name": "f", "id": "c2", "content": "two"},
               {"name": "f", "content": "one"}]  # fmt: skip
    messages = [OURS[0], {"role": "assistant", "function_calls": calls},
                *({"role": "function"} | result for result in results)]  # fmt: skip
    await at.call("ask_gemini", messages=messages)
    sent = json.dumps(sim.calls[-1].body)
    assert sent.index("one") < sent.index("two") < sent.index("three")


async def test_an_id_that_no_call_has_is_told_with_those_there_are(at: Desk, sim: Simulator) -> None:
    messages = [*OURS[:2], {"role": "function", "name": "f", "id": "c9", "content": "5"}]
    with pytest.raises(
        InputError, match=r"messages\[2\]: a function's result, and no call has the id c9. Open are f \(c1\)"
    ):
        await at.call("ask_gemini", messages=messages)
    assert sim.calls == []


async def test_a_system_message_at_the_beginning_is_the_system_instruction(at: Desk, sim: Simulator) -> None:
    await at.call("ask_gemini", system="Be brief.", prompt="Why?")
    said = [{"role": "system", "content": "Be brief."}]
    await at.call("ask_gemini", messages=said, prompt="Why?", fresh=True)
    first, second = (call.body for call in sim.calls)
    assert first == second
    with pytest.raises(InputError, match="a system instruction comes first"):
        await at.call("ask_gemini", messages=[OURS[0], {"role": "developer", "content": "x"}, OURS[1]])


@pytest.mark.parametrize("domains", [",".join("a" * 1_000_000), ["a.org"] * 1_000_000])
def test_a_list_beyond_all_bounds_is_refused_before_its_items_are_looked_at(
    domains: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_at(_: str) -> str:
        raise AssertionError

    monkeypatch.setattr("runapi_mcp.tools.search.host_of", looked_at)
    with pytest.raises(ValidationError, match="include_domains: must have fewer than 1,000 items"):
        TOOLS["search_web"].args.read({"query": "Why?", "include_domains": domains})


@pytest.mark.parametrize("unit", ["x", " ", "\u3000", "</a>"])
def test_a_text_longer_than_any_is_refused_before_it_is_read(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_at(_: str) -> str:
        raise AssertionError

    monkeypatch.setattr("runapi_mcp.tools.coercion.bare_word", look_at)
    for tool, name in (("ask_gemini", "prompt"), ("ask_gemini", "model"), ("search_web", "query")):
        with pytest.raises(ValidationError, match=f"{name}: must have at most 4,000,000 characters"):
            TOOLS[tool].args.read({name: unit * (4_000_004 // len(unit))})


def test_a_file_longer_than_that_is_read() -> None:
    url = "data:image/png;base64," + "A" * 5_000_000
    for sent in (url, [url], json.dumps([url])):
        assert meant("ask_gemini", ASK | {"files": sent})["files"] == [url]


def test_json_text_of_more_values_than_a_message_may_have_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look_at(*_: object, **__: object) -> object:
        raise AssertionError

    monkeypatch.setattr("json.loads", look_at)
    with pytest.raises(ValidationError):
        TOOLS["ask_gemini"].args.read(ASK | {"messages": "[" + "1," * 200_000 + "1]"})


def test_of_any_number_of_unknown_arguments_a_few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    args = TOOLS["ask_gemini"].args
    validate = args.model_validate

    def counted(given: dict[str, Any]) -> object:
        seen.append(len(given))
        return validate(given)

    monkeypatch.setattr(args, "model_validate", counted)
    given = {f"name{n}": n for n in range(100_000)} | {"prompt": "Why?"}
    with pytest.raises(ValidationError, match="name0"):
        args.read(given)
    assert sum(seen) < 300

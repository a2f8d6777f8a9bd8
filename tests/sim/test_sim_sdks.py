"""The official SDKs, written by people who never saw the simulator, read its default streams.

They are imported where they are used: every process that runs tests reads all files, and importing these
takes as long as importing all the rest.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from runapi_mcp.sim import Simulator

if TYPE_CHECKING:
    from google import genai
    from google.genai import types
    from openai import OpenAI

ADA = "name: Ada, age: 36"
REGATTA = "Who won the Lake Vättern regatta?"
SEARCH: Any = [{"type": "function", "function": {"name": "googleSearch"}}]
LOOKUP: Any = [
    {
        "type": "function",
        "function": {
            "name": "lookup",
            "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
        },
    }
]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.fixture
def openai_client(sim: Simulator) -> Iterator["OpenAI"]:
    from openai import DefaultHttpxClient, OpenAI

    http = DefaultHttpxClient(trust_env=False, verify=False)
    base_url = f"{sim.base_url}/v1beta/openai"
    with OpenAI(api_key="k", base_url=base_url, http_client=http, max_retries=0) as client:
        yield client


@pytest.fixture
def genai_client(sim: Simulator) -> Iterator["genai.Client"]:
    from google import genai
    from google.genai import types

    options = types.HttpOptions(
        base_url=sim.base_url,
        api_version="v1beta",
        client_args={"trust_env": False, "verify": False},
        async_client_args={"trust_env": False, "verify": False},
    )
    with genai.Client(api_key="k", http_options=options) as client:
        yield client


def chat_chunks(client: "OpenAI", question: str = ADA, **more: Any) -> list[Any]:
    stream = client.chat.completions.create(
        model="gemini-2.5-pro",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
        **more,
    )
    return list(stream)


async def test_openai_reads_a_plain_answer(openai_client: "OpenAI") -> None:
    chunks = chat_chunks(openai_client)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "simulated answer" in text
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == len(text.split()) == 60


async def test_openai_reads_citations(openai_client: "OpenAI") -> None:
    chunks = chat_chunks(openai_client, REGATTA, tools=SEARCH)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    citations = [row["url_citation"] for row in chunks[-1].choices[0].delta.annotations]
    assert len(citations) == 3
    assert all(row["url"].startswith("https://example.org/") for row in citations)
    assert all(text[row["start_index"] : row["end_index"]].endswith((".", "。")) for row in citations)


async def test_openai_reads_json_that_conforms(openai_client: "OpenAI") -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    chunks = chat_chunks(openai_client, response_format=form)
    assert json.loads("".join(chunk.choices[0].delta.content for chunk in chunks)) == {
        "name": "Ada",
        "age": 36,
    }


async def test_openai_reads_a_tool_call_without_an_index(sim: Simulator, openai_client: "OpenAI") -> None:
    sim.play("tool-call")
    (chunk,) = chat_chunks(openai_client, tools=LOOKUP)
    (call,) = chunk.choices[0].delta.tool_calls
    assert call.function.name == "lookup"
    assert json.loads(call.function.arguments).keys() == {"q"}
    assert call.index is None


async def test_the_asynchronous_openai_client_reads_a_stream(sim: Simulator) -> None:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    http = DefaultAsyncHttpxClient(trust_env=False, verify=False)
    base_url = f"{sim.base_url}/v1"
    async with AsyncOpenAI(api_key="k", base_url=base_url, http_client=http) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        stream = await client.chat.completions.create(
            model="gemini-2.5-flash", messages=messages, stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is None


async def test_openai_reads_an_answer_that_is_not_streamed(openai_client: "OpenAI") -> None:
    answer = openai_client.chat.completions.create(
        model="gemini-2.5-pro", messages=[{"role": "user", "content": "hi"}]
    )
    assert "simulated" in (answer.choices[0].message.content or "")
    assert answer.usage is not None


async def test_openai_lists_the_models(openai_client: "OpenAI") -> None:
    assert "gemini-3-flash-preview" in [model.id for model in openai_client.models.list()]


async def test_openai_raises_the_error_of_a_status(sim: Simulator, openai_client: "OpenAI") -> None:
    from openai import RateLimitError

    sim.play("rate-limit-seconds")
    with pytest.raises(RateLimitError, match="too many requests"):
        chat_chunks(openai_client)


def native_chunks(
    client: "genai.Client", question: str = ADA, **config: Any
) -> list["types.GenerateContentResponse"]:
    asked: Any = config
    stream = client.models.generate_content_stream(
        model="gemini-3-flash-preview", contents=question, config=asked
    )
    return list(stream)


def parts(chunk: "types.GenerateContentResponse") -> list["types.Part"]:
    assert chunk.candidates
    content = chunk.candidates[0].content
    return (content.parts if content else None) or []


def native_text(chunks: list["types.GenerateContentResponse"]) -> str:
    return "".join(part.text or "" for chunk in chunks for part in parts(chunk) if not part.thought)


async def test_genai_reads_thoughts_and_an_answer(genai_client: "genai.Client") -> None:
    thinking = {"include_thoughts": True, "thinking_level": "LOW"}
    chunks = native_chunks(genai_client, thinking_config=thinking)
    usage, last = chunks[-1].usage_metadata, chunks[-1].candidates
    assert parts(chunks[0])[0].thought
    assert "simulated answer" in native_text(chunks)
    assert last
    assert last[0].finish_reason == "STOP"
    assert usage
    assert usage.thoughts_token_count
    assert usage.total_token_count == (
        (usage.prompt_token_count or 0) + (usage.candidates_token_count or 0) + usage.thoughts_token_count
    )


async def test_genai_reads_grounding(genai_client: "genai.Client") -> None:
    chunks = native_chunks(genai_client, REGATTA, tools=[{"google_search": {}}])
    candidates = chunks[-1].candidates
    assert candidates
    grounding = candidates[0].grounding_metadata
    assert grounding
    assert grounding.grounding_chunks
    assert grounding.grounding_supports
    answer = native_text(chunks).encode()
    for support in grounding.grounding_supports:
        segment = support.segment
        assert segment
        assert answer[segment.start_index or 0 : segment.end_index].decode() == segment.text


async def test_genai_reads_json_that_conforms(genai_client: "genai.Client") -> None:
    chunks = native_chunks(genai_client, response_mime_type="application/json", response_json_schema=PERSON)
    assert json.loads(native_text(chunks)) == {"name": "Ada", "age": 36}


async def test_genai_reads_a_function_call(sim: Simulator, genai_client: "genai.Client") -> None:
    sim.play("tool-call")
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    declared = {"name": "lookup", "parameters_json_schema": schema}
    (chunk,) = native_chunks(genai_client, tools=[{"function_declarations": [declared]}])
    call = parts(chunk)[0].function_call
    assert call
    assert call.name == "lookup"
    assert call.args
    assert call.args.keys() == {"q"}


async def test_the_asynchronous_genai_client_reads_a_stream(genai_client: "genai.Client") -> None:
    stream = await genai_client.aio.models.generate_content_stream(model="gemini-flash-latest", contents="hi")
    chunks = [chunk async for chunk in stream]
    await genai_client.aio.aclose()
    assert "simulated" in native_text(chunks)


async def test_genai_lists_the_models_over_pages(genai_client: "genai.Client") -> None:
    pager = genai_client.models.list(config={"page_size": 4})
    assert "models/gemini-3-flash-preview" in [model.name for model in pager]


async def test_genai_raises_the_error_of_a_status(sim: Simulator, genai_client: "genai.Client") -> None:
    from google.genai.errors import ClientError

    sim.play("bad-key-400")
    with pytest.raises(ClientError, match="API key not valid"):
        native_chunks(genai_client)


async def test_genai_raises_an_error_in_mid_stream(sim: Simulator, genai_client: "genai.Client") -> None:
    from google.genai.errors import ServerError

    sim.play("mid-raw-json")
    with pytest.raises(ServerError, match="overloaded"):
        native_chunks(genai_client)

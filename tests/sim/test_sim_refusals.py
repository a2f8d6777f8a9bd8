"""Requests that a real RunAPI would refuse are refused, so that the client's encoder is judged."""

from typing import Any

import httpx
import pytest

from runapi_mcp.sim import Simulator
from sim.asks import CHAT, NATIVE, chat, native

PIXEL = "iVBORw0KGgo="


def image(url: str) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


@pytest.mark.parametrize(
    "more",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "system", "content": "only this"}]},
        {"messages": [{"role": "user", "content": "  "}]},
        {"messages": [{"role": "king", "content": "hi"}]},
        {"messages": image("ftp://example.org/a.png")},
        {"messages": image("data:image/png;base64,%%%")},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": "https://example.org/a"}]}
            ]
        },
        {"max_tokens": "12"},
        {"max_tokens": 0},
        {"temperature": 3},
        {"reasoning_effort": "extreme"},
        {"web_search_options": {}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        {"tools": [{"type": "function", "function": {"name": "1bad name"}}]},
        {"stream": False},
    ],
)
async def test_a_malformed_chat_request_gets_400_in_openai_shape(
    client: httpx.AsyncClient, more: dict[str, Any]
) -> None:
    response = await client.post(CHAT, json=chat("hi", **more))
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": [{"role": "assistant", "parts": [{"text": "hi"}]}]},
        {"contents": [{"parts": [{"text": "hi", "inlineData": {"mimeType": "image/png", "data": PIXEL}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "png", "data": PIXEL}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "%"}}]}]},
        native("hi", generationConfig={"thinkingConfig": {"thinkingLevel": "low", "thinkingBudget": 5}}),
        native("hi", generationConfig={"responseJsonSchema": {"type": "object"}}),
        native("hi", tools=[{"urlContext": {}}]),
        native("hi", stream=True),
    ],
)
async def test_a_malformed_native_request_gets_400_in_google_shape(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    response = await client.post(NATIVE, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"


async def test_json_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post(CHAT, content=b"{")).status_code == 400
    assert (await client.post(NATIVE, content=b"")).status_code == 400


async def test_json_mode_together_with_tools_is_refused_in_an_array(client: httpx.AsyncClient) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    tools = [{"type": "function", "function": {"name": "googleSearch"}}]
    response = await client.post(CHAT, json=chat("hi", response_format=form, tools=tools))
    assert response.status_code == 400
    assert response.json()[0]["error"]["status"] == "INVALID_ARGUMENT"


async def test_unknown_models_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.post(CHAT, json=chat("hi", model="gemini-99"))).status_code == 404
    path = "/v1beta/models/gemini-99:streamGenerateContent?alt=sse"
    assert (await client.post(path, json=native("hi"))).status_code == 404


async def test_the_native_path_takes_other_models_only_when_bridged(
    sim: Simulator, client: httpx.AsyncClient
) -> None:
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert (await client.post(path, json=native("hi"))).status_code == 400
    sim.bridge = True
    assert (await client.post(path, json=native("hi"))).status_code == 200


async def test_the_synchronous_native_route_is_refused(client: httpx.AsyncClient) -> None:
    path = "/v1beta/models/gemini-3-flash-preview:generateContent"
    assert (await client.post(path, json=native("hi"))).status_code == 400


async def test_the_narrow_model_refuses_what_it_does_not_take(client: httpx.AsyncClient) -> None:
    narrow = "gemini-3.7-flash"
    search = [{"type": "function", "function": {"name": "googleSearch"}}]
    for more in ({"reasoning_effort": "medium"}, {"tools": search}, {"tool_choice": "auto"}):
        assert (await client.post(CHAT, json=chat("hi", model=narrow, **more))).status_code == 400
    assert (await client.post(CHAT, json=chat("hi", model=narrow, reasoning_effort="low"))).status_code == 200


async def test_media_is_accepted_in_every_form(client: httpx.AsyncClient) -> None:
    for url in ("https://example.org/a.png", f"data:image/png;base64,{PIXEL}"):
        assert (await client.post(CHAT, json=chat("", messages=image(url)))).status_code == 200
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        {"inline_data": {"mime_type": "image/png", "data": PIXEL}},
        {"fileData": {"fileUri": "https://youtu.be/x"}},
    ]
    assert (await client.post(NATIVE, json={"contents": [{"parts": parts}]})).status_code == 200


@pytest.mark.parametrize(
    "config",
    [
        {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"}},
        {"thinking_config": {"include_thoughts": True, "thinking_level": "low"}},
    ],
)
async def test_both_casings_are_read(client: httpx.AsyncClient, config: dict[str, Any]) -> None:
    for name in ("generationConfig", "generation_config"):
        response = await client.post(NATIVE, json=native("hi", **{name: config}))
        assert '"thought":true' in response.text


async def test_an_unknown_route_is_recorded_and_not_found(sim: Simulator, client: httpx.AsyncClient) -> None:
    assert (await client.post("/v2/chat", json={})).status_code == 404
    assert sim.calls[0].path == "/v2/chat"

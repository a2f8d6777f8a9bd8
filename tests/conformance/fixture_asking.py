"""The suite's tools that talk back to the client: what our product never does, by the SDK's own means.

In the 2025 era a tool sends the client requests of its own; in the 2026 era it answers with what it
needs and is called again.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from fixture_tools import Job, Jobs, Messaged, Nothing, Prompted, elicitation, texts
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from runapi_mcp.server.boundary import Context
from runapi_mcp.server.tasks import Wire
from runapi_mcp.tools import Args

Call = Callable[[Context, types.CallToolRequestParams], Awaitable[Any]]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
_SECRET = secrets.token_bytes(32)
_REQUESTS = TypeAdapter(types.InputRequests)


def object_of(**properties: Wire) -> Wire:
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING = {"type": "string"}
ASK_NAME = {"user_name": elicitation("What is your name?", object_of(name=STRING))}
ASK_ROOTS: Wire = {"client_roots": {"method": "roots/list", "params": {}}}


def sampling(text: str, most: int) -> Wire:
    messages = [{"role": "user", "content": {"type": "text", "text": text}}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": most}}


def embedded(uri: str, mime_type: str, text: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    )


def signed(state: str) -> str:
    return f"{state}.{hmac.new(_SECRET, state.encode(), hashlib.sha256).hexdigest()}"


def opened_state(given: str | None) -> str | None:
    """What a state says that we signed; one that somebody changed is a protocol error."""
    if given is None:
        return None
    state, _, _ = given.rpartition(".")
    if not hmac.compare_digest(signed(state), given):
        raise MCPError(code=types.INVALID_PARAMS, message="The request state was changed.")
    return state


def needs(asks: Wire, state: str | None = None) -> types.InputRequiredResult:
    requests = _REQUESTS.validate_python(asks)
    return types.InputRequiredResult(input_requests=requests, request_state=signed(state) if state else None)


def answers(params: types.InputResponseRequestParams) -> dict[str, Wire]:
    given = params.input_responses or {}
    return {key: _wire(value) for key, value in given.items()}


def _wire(value: Any) -> Wire:
    wire: Wire = (
        value if isinstance(value, dict) else value.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return wire


def declared(ctx: Context, capability: str) -> bool:
    return getattr(ctx.session.client_capabilities, capability, None) is not None


# ------------------------------------------------------------ content


async def image(_ctx: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
    return types.CallToolResult(content=[types.ImageContent(data=PIXEL, mime_type="image/png")])


async def audio(_ctx: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
    return types.CallToolResult(content=[types.AudioContent(data=SOUND, mime_type="audio/wav")])


async def resource(_ctx: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
    found = embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    return types.CallToolResult(content=[found])


async def mixed(_ctx: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
    found = embedded("test://mixed-content-resource", "application/json", json.dumps({"test": "data"}))
    first = types.TextContent(text="Multiple content types test:")
    picture = types.ImageContent(data=PIXEL, mime_type="image/png")
    return types.CallToolResult(content=[first, picture, found])


# ------------------------------------------------------------ asking in the 2025 era


async def logging(ctx: Context, _params: types.CallToolRequestParams) -> types.CallToolResult:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
    return texts("It logged.")


async def sample(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    prompt = types.TextContent(text=(params.arguments or {})["prompt"])
    said = await ctx.session.create_message(
        [types.SamplingMessage(role="user", content=prompt)],
        max_tokens=100,
        related_request_id=ctx.request_id,
    )
    return texts(f"LLM response: {getattr(said.content, 'text', '')}")


def eliciting(schema: Wire) -> Call:
    async def elicit(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        message = (params.arguments or {}).get("message", "Please fill this in.")
        said = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
        return texts(f"Elicitation completed: action={said.action}, content={json.dumps(said.content)}")

    return elicit


def _titled(*pairs: tuple[str, str]) -> list[Wire]:
    return [{"const": value, "title": title} for value, title in pairs]


_PAIRS = _titled(("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option"))
_PLAIN = ["option1", "option2", "option3"]
_NAMES = ["Option One", "Option Two", "Option Three"]
ENUMS = object_of(
    untitledSingle={"type": "string", "enum": _PLAIN},
    titledSingle={"type": "string", "oneOf": _PAIRS},
    legacyEnum={"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": _NAMES},
    untitledMulti={"type": "array", "items": {"type": "string", "enum": _PLAIN}},
    titledMulti={"type": "array", "items": {"anyOf": _PAIRS}},
)
DEFAULTS = object_of(
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)


# ------------------------------------------------------------ asking in the 2026 era


async def name_wanted(_ctx: Context, params: types.CallToolRequestParams) -> Any:
    content = answers(params).get("user_name", {}).get("content")
    name = content.get("name") if isinstance(content, dict) else None
    return texts(f"Hello, {name}!") if isinstance(name, str) else needs(ASK_NAME)


async def sampling_wanted(_ctx: Context, params: types.CallToolRequestParams) -> Any:
    said = answers(params).get("capital_question")
    return (
        texts(json.dumps(said))
        if said
        else needs({"capital_question": sampling("What is the capital of France?", 100)})
    )


async def roots_wanted(_ctx: Context, params: types.CallToolRequestParams) -> Any:
    said = answers(params).get("client_roots")
    return texts(json.dumps(said)) if said else needs(ASK_ROOTS)


async def state_wanted(_ctx: Context, params: types.CallToolRequestParams) -> Any:
    state = opened_state(params.request_state)
    if state == "asked" and "confirm" in answers(params):
        return texts("state-ok")
    return needs({"confirm": elicitation("Please confirm", object_of(ok={"type": "boolean"}))}, "asked")


async def all_wanted(_ctx: Context, params: types.CallToolRequestParams) -> Any:
    asks = {**ASK_NAME, "greeting": sampling("Generate a greeting", 50), **ASK_ROOTS}
    state = opened_state(params.request_state)
    complete = state == "asked" and asks.keys() <= answers(params).keys()
    return texts("All answers are here.") if complete else needs(asks, "asked")


async def rounds_wanted(_ctx: Context, params: types.CallToolRequestParams) -> Any:
    state, given = opened_state(params.request_state), answers(params)
    if state == "second" and "step2" in given:
        return texts("Both rounds are done.")
    if state == "first" and "step1" in given:
        ask = elicitation("Step 2: What is your favorite color?", object_of(color=STRING))
        return needs({"step2": ask}, "second")
    ask = elicitation("Step 1: What is your name?", object_of(name=STRING))
    return needs({"step1": ask}, "first")


async def capable_wanted(ctx: Context, params: types.CallToolRequestParams) -> Any:
    asks: Wire = {}
    if declared(ctx, "elicitation"):
        asks |= ASK_NAME
    if declared(ctx, "sampling"):
        asks["capital_question"] = sampling("What is the capital of France?", 100)
    if declared(ctx, "roots"):
        asks |= ASK_ROOTS
    return texts("Nothing is missing.") if answers(params) or not asks else needs(asks)


async def missing_capability(ctx: Context, _params: types.CallToolRequestParams) -> Any:
    if declared(ctx, "sampling"):
        return texts("Sampling is there.")
    raise missing({"sampling": {}})


def missing(capabilities: Wire) -> MCPError:
    return MCPError(
        code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
        message="This request does not declare a capability that the tool needs.",
        data={"requiredCapabilities": capabilities},
    )


def task_after_asking(jobs: Jobs) -> Call:
    async def call(ctx: Context, params: types.CallToolRequestParams) -> Any:
        said = answers(params).get("user_name")
        if said is None:
            return needs(ASK_NAME)
        handle = jobs.begin(Job(0.2, texts(f"Hello, {json.dumps(said)}!")))
        return (await jobs.state(handle, ctx)).write_created()

    return call


def asking_tools(jobs: Jobs) -> dict[str, tuple[type[Args], Call]]:
    """The tools by name: what they take, and what answers them."""
    prefix = "test_input_required_result_"
    return {
        "test_image_content": (Nothing, image),
        "test_audio_content": (Nothing, audio),
        "test_embedded_resource": (Nothing, resource),
        "test_multiple_content_types": (Nothing, mixed),
        "test_tool_with_logging": (Nothing, logging),
        "test_logging_tool": (Nothing, logging),
        "test_sampling": (Prompted, sample),
        "test_elicitation": (Messaged, eliciting(object_of(username=STRING, email=STRING))),
        "test_elicitation_sep1034_defaults": (Nothing, eliciting(DEFAULTS)),
        "test_elicitation_sep1330_enums": (Nothing, eliciting(ENUMS)),
        "test_missing_capability": (Nothing, missing_capability),
        "test_streaming_elicitation": (Nothing, name_wanted),
        "test_tool_with_task": (Nothing, task_after_asking(jobs)),
        f"{prefix}elicitation": (Nothing, name_wanted),
        f"{prefix}sampling": (Nothing, sampling_wanted),
        f"{prefix}list_roots": (Nothing, roots_wanted),
        f"{prefix}request_state": (Nothing, state_wanted),
        f"{prefix}tampered_state": (Nothing, state_wanted),
        f"{prefix}multiple_inputs": (Nothing, all_wanted),
        f"{prefix}multi_round": (Nothing, rounds_wanted),
        f"{prefix}capabilities": (Nothing, capable_wanted),
    }

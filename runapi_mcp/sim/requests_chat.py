"""Reading a chat/completions request, strictly: what docs/wire.md §5.1 does not know is refused."""

import base64
import binascii
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runapi_mcp.sim.asked import Asked, Function, JsonObject, Refused, Turn

SEARCH = "googleSearch"

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=-]+)*;base64,(.+)", re.DOTALL)
_HTTP_URL = re.compile(r"https?://[^\s/]+\S*")


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _TextPart(_Wire):
    type: Literal["text"]
    text: str


class _Image(_Wire):
    url: str
    detail: str | None = None

    @field_validator("url")
    @classmethod
    def _readable(cls, url: str) -> str:
        found = _DATA_URL.fullmatch(url)
        if found:
            check_base64(found[1])
        elif not _HTTP_URL.fullmatch(url):
            raise ValueError("must be an http(s) URL or a base64 data URL")
        return url


class _ImagePart(_Wire):
    type: Literal["image_url"]
    image_url: _Image


_Part = Annotated[_TextPart | _ImagePart, Field(discriminator="type")]


class _CalledFunction(_Wire):
    name: str
    arguments: str


class _ToolCall(_Wire):
    id: str
    type: Literal["function"]
    function: _CalledFunction
    extra_content: JsonObject | None = None


class _Message(_Wire):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        match self.content:
            case None:
                return ""
            case str(text):
                return text
            case parts:
                return "\n".join(part.text for part in parts if isinstance(part, _TextPart))

    @property
    def media(self) -> int:
        return sum(isinstance(part, _ImagePart) for part in self.content or () if not isinstance(part, str))


class _FunctionTool(_Wire):
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class _Tool(_Wire):
    type: Literal["function"]
    function: _FunctionTool


class _JsonSchema(_Wire):
    name: str = Field(min_length=1, max_length=64)
    schema_: JsonObject = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class _ResponseFormat(_Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(_Wire):
    include_usage: bool = False


class _ThinkingConfig(_Wire):
    include_thoughts: bool = False
    thinking_level: str | None = None
    thinking_budget: int | None = None


class _Google(_Wire):
    thinking_config: _ThinkingConfig = _ThinkingConfig()


class _ExtraBody(_Wire):
    google: _Google = _Google()


class _Body(_Wire):
    model: str = Field(min_length=1)
    messages: list[_Message] = Field(min_length=1)
    stream: bool = False
    stream_options: _StreamOptions | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    include_thoughts: bool | None = None
    extra_body: _ExtraBody | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    n: int | None = Field(default=None, ge=1, le=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    metadata: JsonObject | None = None


def read(body: bytes) -> Asked:
    """What a request body asks for.

    Raises:
        Refused: It is malformed, or asks for things that exclude each other.
    """
    try:
        asked = _Body.model_validate_json(body)
    except ValidationError as error:
        raise Refused(400, first_problem(error)) from None
    _consistent(asked)
    search, functions = _tools(asked)
    thinking = asked.extra_body.google.thinking_config if asked.extra_body else _ThinkingConfig()
    form = asked.response_format
    shown = asked.include_thoughts or thinking.include_thoughts
    effort = asked.reasoning_effort or thinking.thinking_level
    return Asked(
        dialect="chat",
        model=asked.model.removeprefix("models/"),
        turns=tuple(
            _turn(message) for message in asked.messages if message.role not in ("system", "developer")
        ),
        system="\n".join(
            message.text for message in asked.messages if message.role in ("system", "developer")
        ),
        schema=form.json_schema.schema_ if form and form.json_schema else None,
        json_wanted=form is not None and form.type != "text",
        search=search,
        functions=functions,
        thoughts=shown or (asked.include_thoughts is None and effort in ("low", "medium", "high")),
        effort=effort,
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
        max_tokens=asked.max_tokens or asked.max_completion_tokens,
        framed=asked.stream,
    )


def check_base64(text: str) -> None:
    """Accept standard base64 that holds something.

    Raises:
        ValueError: It is not.
    """
    try:
        held = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("is not valid base64") from None
    if not held:
        raise ValueError("holds no bytes")


def first_problem(error: ValidationError) -> str:
    """The first thing wrong, with its place, and nothing of the value itself."""
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in problem["loc"]) or "body"
    if problem["type"] == "extra_forbidden":
        return f'Invalid JSON payload received. Unknown name "{place}": Cannot find field.'
    return f"Invalid value at '{place}': {problem['msg']}"


def _consistent(asked: _Body) -> None:
    if not any(message.role == "user" for message in asked.messages):
        raise Refused(400, "Invalid value at 'messages': one message from the user is needed.")
    if any(
        message.role == "user" and not (message.text.strip() or message.media) for message in asked.messages
    ):
        raise Refused(400, "Invalid value at 'messages': a user message is empty.")
    form = asked.response_format
    if form and (form.type == "json_schema") != (form.json_schema is not None):
        raise Refused(
            400, "Invalid value at 'response_format': type json_schema and json_schema go together."
        )
    if form and form.type != "text" and asked.tools:
        message = "Tool use with a response mime type: 'application/json' is unsupported"
        raise Refused(400, message, wrapped=True)
    if asked.stream_options and not asked.stream:
        raise Refused(400, "Invalid value at 'stream_options': only allowed when stream is true.")
    if asked.tool_choice is not None and asked.model == "gemini-3.7-flash":
        raise Refused(400, "gemini-3.7-flash takes no tool_choice.", code="unsupported_model_capability")
    thinking = asked.extra_body.google.thinking_config if asked.extra_body else None
    if (
        thinking
        and asked.reasoning_effort
        and (thinking.thinking_level or thinking.thinking_budget is not None)
    ):
        raise Refused(400, "reasoning_effort and thinking_config exclude each other.", wrapped=True)


def _tools(asked: _Body) -> tuple[bool, tuple[Function, ...]]:
    declared = [tool.function for tool in asked.tools or ()]
    search = any(function.name == SEARCH for function in declared)
    functions = (
        Function(function.name, function.parameters or {}) for function in declared if function.name != SEARCH
    )
    return search, tuple(functions)


def _turn(message: _Message) -> Turn:
    match message.role:
        case "assistant":
            return Turn("model", message.text)
        case "tool":
            return Turn("tool", message.text)
        case _:
            return Turn("user", message.text, message.media)

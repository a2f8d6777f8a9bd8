"""Reading a streamGenerateContent request: camelCase or snake_case, enums in any case (docs/wire.md §6.1)."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from runapi_mcp.sim.asked import Asked, Function, JsonObject, Refused, Turn
from runapi_mcp.sim.requests_chat import check_base64, first_problem


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class _Blob(_Wire):
    mime_type: str = Field(pattern=r"^[\w.+-]+/[\w.+-]+$")
    data: str
    display_name: str | None = None

    @field_validator("data")
    @classmethod
    def _readable(cls, held: str) -> str:
        check_base64(held)
        return held


class _File(_Wire):
    mime_type: str | None = None
    file_uri: str = Field(pattern=r"^(https?|gs)://\S+$")
    display_name: str | None = None


class _Part(_Wire):
    text: str | None = None
    inline_data: _Blob | None = None
    file_data: _File | None = None
    function_call: JsonObject | None = None
    function_response: JsonObject | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    video_metadata: JsonObject | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "_Part":
        kinds = (self.text, self.inline_data, self.file_data, self.function_call, self.function_response)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "a part holds exactly one of text, inlineData, fileData, functionCall, functionResponse"
            )
        return self


class _Content(_Wire):
    role: str = "user"
    parts: list[_Part] = Field(min_length=1)

    @field_validator("role")
    @classmethod
    def _known(cls, role: str) -> str:
        if role not in ("user", "model", "function"):
            raise ValueError("Please use a valid role: user, model")
        return role

    @property
    def text(self) -> str:
        return "".join(part.text or "" for part in self.parts if not part.thought)

    @property
    def media(self) -> int:
        return sum(part.inline_data is not None or part.file_data is not None for part in self.parts)


class _System(_Wire):
    role: str | None = None
    parts: list[_Part] = Field(min_length=1)


class _Declaration(_Wire):
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$")
    description: str | None = None
    parameters: JsonObject | None = None
    parameters_json_schema: JsonObject | None = None
    behavior: str | None = None
    response: JsonObject | None = None
    response_json_schema: JsonObject | None = None


class _Tool(_Wire):
    google_search: JsonObject | None = None
    function_declarations: list[_Declaration] | None = None


class _Thinking(_Wire):
    include_thoughts: bool = False
    thinking_level: str | None = None
    thinking_budget: int | None = None

    @field_validator("thinking_level")
    @classmethod
    def _known(cls, level: str | None) -> str | None:
        if level is not None and level.lower() not in ("minimal", "low", "medium", "high"):
            raise ValueError("unknown thinking level")
        return level.lower() if level else None


class _Generation(_Wire):
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: float | None = None
    candidate_count: int | None = Field(default=None, ge=1, le=1)
    seed: int | None = None
    stop_sequences: list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    media_resolution: str | None = None
    response_mime_type: str | None = None
    response_schema: JsonObject | None = None
    response_json_schema: JsonObject | None = None
    thinking_config: _Thinking = _Thinking()


class _Body(_Wire):
    contents: list[_Content] = Field(min_length=1)
    system_instruction: _System | None = None
    tools: list[_Tool] | None = None
    tool_config: JsonObject | None = None
    safety_settings: list[JsonObject] | None = None
    generation_config: _Generation = _Generation()


def read(body: bytes, model: str, *, framed: bool) -> Asked:
    """What a request body asks for of the model named in its path.

    Raises:
        Refused: It is malformed, or asks for things that exclude each other.
    """
    try:
        asked = _Body.model_validate_json(body)
    except ValidationError as error:
        raise Refused(400, first_problem(error)) from None
    _consistent(asked)
    config, tools = asked.generation_config, asked.tools or []
    return Asked(
        dialect="native",
        model=model,
        turns=tuple(_turn(content) for content in asked.contents),
        system="".join(part.text or "" for part in asked.system_instruction.parts)
        if asked.system_instruction
        else "",
        schema=config.response_json_schema or config.response_schema,
        json_wanted=config.response_mime_type == "application/json",
        search=any(tool.google_search is not None for tool in tools),
        functions=tuple(
            Function(declared.name, declared.parameters_json_schema or declared.parameters or {})
            for tool in tools
            for declared in tool.function_declarations or ()
        ),
        thoughts=config.thinking_config.include_thoughts,
        effort=config.thinking_config.thinking_level,
        max_tokens=config.max_output_tokens,
        framed=framed,
    )


def _consistent(asked: _Body) -> None:
    config = asked.generation_config
    if not any(
        content.role == "user" and (content.text.strip() or content.media) for content in asked.contents
    ):
        raise Refused(400, "Invalid value at 'contents': one content from the user is needed.")
    if config.thinking_config.thinking_level and config.thinking_config.thinking_budget is not None:
        raise Refused(400, "You can only set only one of thinking budget and thinking level.")
    if config.response_schema is not None and config.response_json_schema is not None:
        raise Refused(400, "responseSchema and responseJsonSchema exclude each other.")
    shaped = config.response_schema is not None or config.response_json_schema is not None
    if shaped and config.response_mime_type != "application/json":
        raise Refused(400, "A response schema needs responseMimeType application/json.")
    if any(
        (tool.google_search is None) == (tool.function_declarations is None) for tool in asked.tools or ()
    ):
        raise Refused(400, "A tool holds either googleSearch or functionDeclarations here.")


def _turn(content: _Content) -> Turn:
    if content.role == "model":
        return Turn("model", content.text)
    if any(part.function_response is not None for part in content.parts):
        return Turn("tool", content.text)
    return Turn("user", content.text, content.media)

"""A server for the published conformance suite: its fixed names, through our tool layer and transports.

Run as a script it listens on a free port of this machine, prints its URL, and serves until SIGTERM.
"""

import sys
import warnings
from typing import Any

import anyio
import mcp_types as types
from fixture_asking import PIXEL, Call, answers, asking_tools, embedded, missing, needs, object_of
from fixture_tools import Jobs, elicitation, our_tools, tool
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from runapi_mcp.request import Run
from runapi_mcp.server.app import App, build_server, open_app
from runapi_mcp.server.boundary import TASKS, Context, declares_tasks
from runapi_mcp.settings import Settings
from runapi_mcp.tools import Args, Reply
from runapi_mcp.transports.http.options import HttpOptions
from runapi_mcp.transports.http.serve import listening
from runapi_mcp.transports.process_exit import signals_received

_TASK_ONLY = ("failing_job", "test_tool_with_task")
_TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched resource content.",
}


def fixture_server(app: App) -> Server[Any]:
    """The product's server with the suite's tools in place of ours, and its resources and prompts."""
    jobs = Jobs()
    asking = asking_tools(jobs)

    async def elsewhere(_args: Args, _run: Run) -> Reply:
        raise AssertionError("answered before our layer is asked")

    listed = [*our_tools(jobs), *(tool(name, args, elsewhere) for name, (args, _) in asking.items())]
    server = build_server(app, tools={each.name: each for each in listed}, tasks=jobs)
    ours = server.get_request_handler("tools/call")
    assert ours is not None

    async def call(ctx: Context, params: types.CallToolRequestParams) -> Any:
        if params.name in _TASK_ONLY and not declares_tasks(ctx):
            raise missing({"extensions": {TASKS: {}}})
        special: Call | None = asking.get(params.name, (None, None))[1]
        return await (special(ctx, params) if special else ours.handler(ctx, params))

    server.add_request_handler("tools/call", types.CallToolRequestParams, call)
    _add_resources(server)
    _add_prompts(server)
    return server


def _add_resources(server: Server[Any]) -> None:
    async def listed(_ctx: Context, _params: types.PaginatedRequestParams) -> types.ListResourcesResult:
        uris = (*_TEXTS, "test://static-binary")
        return types.ListResourcesResult(resources=[types.Resource(uri=uri, name=uri) for uri in uris])

    async def templates(
        _ctx: Context, _params: types.PaginatedRequestParams
    ) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(uri_template="test://template/{id}/data", name="template")
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def read(_ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        found = _contents(str(params.uri))
        return types.ReadResourceResult(contents=[found], ttl_ms=0, cache_scope="private")

    async def nothing(_ctx: Context, _params: types.RequestParams) -> types.EmptyResult:
        return types.EmptyResult()

    server.add_request_handler("resources/list", types.PaginatedRequestParams, listed)
    server.add_request_handler("resources/templates/list", types.PaginatedRequestParams, templates)
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, read)
    server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, nothing)
    server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, nothing)
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, nothing)


def _contents(uri: str) -> types.TextResourceContents | types.BlobResourceContents:
    if uri == "test://static-binary":
        return types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PIXEL)
    text = _TEXTS.get(uri)
    if uri.startswith("test://template/") and uri.endswith("/data"):
        text = f'{{"id": "{uri.split("/")[3]}", "templateTest": true}}'
    if text is None:
        raise MCPError(code=types.INVALID_PARAMS, message="There is no such resource.", data={"uri": uri})
    return types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)


_PROMPTS: dict[str, tuple[str, ...]] = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}


def _add_prompts(server: Server[Any]) -> None:
    async def listed(_ctx: Context, _params: types.PaginatedRequestParams) -> types.ListPromptsResult:
        prompts = [
            types.Prompt(
                name=name,
                description=f"Fixture of the conformance suite: {name}.",
                arguments=[types.PromptArgument(name=each, required=True) for each in arguments],
            )
            for name, arguments in _PROMPTS.items()
        ]
        return types.ListPromptsResult(prompts=prompts)

    async def get(_ctx: Context, params: types.GetPromptRequestParams) -> Any:
        if params.name not in _PROMPTS:
            raise MCPError(code=types.INVALID_PARAMS, message="There is no such prompt.")
        if params.name == "test_input_required_result_prompt" and not answers(params):
            ask = elicitation("What context should the prompt use?", object_of(context={"type": "string"}))
            return needs({"user_context": ask})
        content = _content(params.name, params.arguments or {})
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=c) for c in content])

    async def complete(_ctx: Context, _params: types.CompleteRequestParams) -> types.CompleteResult:
        return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))

    server.add_request_handler("prompts/list", types.PaginatedRequestParams, listed)
    server.add_request_handler("prompts/get", types.GetPromptRequestParams, get)
    server.add_request_handler("completion/complete", types.CompleteRequestParams, complete)


def _content(name: str, arguments: dict[str, str]) -> list[types.ContentBlock]:
    match name:
        case "test_prompt_with_arguments":
            said = f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"
            return [types.TextContent(text=said)]
        case "test_prompt_with_embedded_resource":
            found = embedded(arguments["resourceUri"], "text/plain", "Embedded resource content.")
            return [found, types.TextContent(text="Please process the embedded resource above.")]
        case "test_prompt_with_image":
            picture = types.ImageContent(data=PIXEL, mime_type="image/png")
            return [picture, types.TextContent(text="Please analyze the image above.")]
        case _:
            return [types.TextContent(text="This is a simple prompt for testing.")]


async def main() -> None:
    with signals_received() as signals:
        async with (
            open_app(Settings()) as app,
            listening(app, HttpOptions(port=0), server=fixture_server(app)) as running,
        ):
            print(f"{running.base_url}/mcp", flush=True)
            await anext(signals)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the suite asks for deprecated methods, too
    anyio.run(main)
    sys.exit(0)

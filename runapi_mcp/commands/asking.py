"""ask, search, extract and models: their flags, and the questions they stand for."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runapi_mcp.commands.surroundings import Surroundings
from runapi_mcp.errors import InputError

if TYPE_CHECKING:
    from runapi_mcp.commands import Subparsers
    from runapi_mcp.terminal import Question
    from runapi_mcp.wire.types import JsonObject

_EFFORTS: Final = ("low", "medium", "high")
_MOST_STDIN: Final = 16_000_000


def add_tools(commands: "Subparsers") -> None:
    """Add ask, search, extract and models."""
    ask = commands.add_parser("ask", help="ask a model, here in the terminal")
    ask.add_argument("prompt", nargs="+", help="the question; - reads it from stdin")
    ask.add_argument("--system", help="system instruction")
    ask.add_argument("--effort", choices=_EFFORTS, help="how hard to think")
    ask.add_argument("--thoughts", action="store_true", help="show a summary of the thinking first")
    ask.set_defaults(person=_tool, question=_ask)
    search = commands.add_parser("search", help="answer a question from Google Search, with sources")
    search.add_argument("prompt", nargs="+", metavar="query", help="the question; - reads it from stdin")
    search.set_defaults(person=_tool, question=_search)
    extract = commands.add_parser("extract", help="turn text or files into JSON that conforms to a schema")
    extract.add_argument("files", nargs="+", metavar="FILE", help="material; - reads text from stdin")
    extract.add_argument("--schema", required=True, metavar="FILE", help="JSON Schema of the result")
    extract.add_argument("--instructions", help="what to look for, units, what to skip")
    extract.set_defaults(person=_tool, question=_extract)
    models = commands.add_parser("models", help="list the models and what each can do")
    models.set_defaults(person=_tool, question=_models)
    ask.add_argument(
        "--file", action="append", default=[], metavar="FILE", help="attach a file, URL or data: URL"
    )
    for parser in (ask, search, extract):
        parser.add_argument("--model", dest="which_model", metavar="ID", help="model; models shows them")
    for parser in (ask, search, extract, models):
        parser.add_argument("--json", action="store_true", help="print text, structure and receipt as JSON")


def _tool(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp import terminal
    from runapi_mcp.terminal.printing import EXIT_CODES, Paper

    question: Question = given.question(given, around)
    settings = around.settings()
    on_terminal = around.out.isatty()
    screen: terminal.Screen = terminal.no_screen
    if not given.json and (on_terminal or around.err.isatty()):
        screen = terminal.live_screen(around.out if on_terminal else around.err, with_text=on_terminal)
    outcome = anyio.run(terminal.perform, question, settings, screen)
    if given.json:
        around.say(json.dumps(terminal.as_json(outcome), ensure_ascii=False, indent=2))
        return EXIT_CODES[outcome.ending]
    return terminal.printed(outcome, Paper(around.out, around.say, around.note, on_terminal))


def _ask(given: argparse.Namespace, around: Surroundings) -> "Question":
    arguments: JsonObject = {"prompt": _prompt(given, around)}
    if given.file:
        arguments["files"] = list(given.file)
    if given.thoughts:
        arguments["include_thoughts"] = True
    chosen = {"model": given.which_model, "system": given.system, "reasoning_effort": given.effort}
    return _question("ask_gemini", arguments | _given(chosen), given.file)


def _search(given: argparse.Namespace, around: Surroundings) -> "Question":
    arguments: JsonObject = {"query": _prompt(given, around)}
    return _question("search_web", arguments | _given({"model": given.which_model}))


def _extract(given: argparse.Namespace, around: Surroundings) -> "Question":
    arguments: JsonObject = {"schema": _schema(given.schema)}
    if given.files == ["-"]:
        arguments["text"] = around.stdin.read(_MOST_STDIN)
    else:
        arguments["files"] = list(given.files)
    chosen = {"model": given.which_model, "instructions": given.instructions}
    return _question("extract_json", arguments | _given(chosen), given.files)


def _models(_given: argparse.Namespace, _around: Surroundings) -> "Question":
    return _question("list_models", {})


def _question(tool: str, arguments: "JsonObject", files: Sequence[str] = ()) -> "Question":
    from runapi_mcp.terminal import Question

    return Question(tool, arguments, files)


def _given(chosen: Mapping[str, str | None]) -> "JsonObject":
    return {name: value for name, value in chosen.items() if value is not None}


def _prompt(given: argparse.Namespace, around: Surroundings) -> str:
    return around.stdin.read(_MOST_STDIN) if given.prompt == ["-"] else " ".join(given.prompt)


def _schema(name: str) -> "JsonObject":
    try:
        schema = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read as a JSON Schema ({error}).") from None
    if not isinstance(schema, dict):
        raise InputError(f"{name} is not a JSON object.", advice="Give a JSON Schema.")
    return schema

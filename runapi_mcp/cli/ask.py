"""ask, search, extract and models: their flags, and how they are carried out."""

import argparse
import json
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings, add_command

if TYPE_CHECKING:
    from runapi_mcp.cli.screen import Screen

EFFORTS: Final = ("low", "medium", "high")
DEPTHS: Final = ("quick", "thorough")
AGES: Final = ("day", "week", "month", "year")


def add_tools(commands: Subparsers) -> None:
    """Add ask, search, extract and models."""
    _add_ask(commands)
    _add_search(commands)
    _add_extract(commands)
    models = add_command(
        commands,
        "models",
        "list the models and what each can do",
        takes="[OPTIONS]",
        examples=["runapi-mcp models", "runapi-mcp models --json"],
    )
    models.set_defaults(person=_tool, tool="list_models")
    _add_json(models)


def _add_ask(commands: Subparsers) -> None:
    ask = add_command(
        commands,
        "ask",
        "ask a model, here in the terminal",
        takes="[OPTIONS] [PROMPT ...]",
        description="Ask a model. What is piped in follows the prompt, or is the prompt.",
        examples=[
            'git diff | runapi-mcp ask "What could break?"',
            'runapi-mcp ask -f plan.pdf --effort high "Which step is missing?"',
        ],
        partial=True,
        words="prompt",
    )
    ask.set_defaults(person=_tool, tool="ask_gemini")
    ask.add_argument("prompt", nargs="*", metavar="PROMPT", help="the question; - is where stdin goes")
    ask.add_argument("-s", "--system", metavar="TEXT", help="system instruction")
    ask.add_argument(
        *("-f", "--file"),
        dest="files",
        action="append",
        metavar="FILE",
        help="attach a file, URL or data: URL; - attaches stdin; may be given again",
    )
    _add_model(ask)
    ask.add_argument("--effort", dest="reasoning_effort", choices=EFFORTS, help="how hard to think")
    ask.add_argument(
        "--thoughts", dest="include_thoughts", action="store_true", help="show a summary of the thinking too"
    )
    ask.add_argument("--max-output-tokens", type=int, metavar="N", help="thinking counts; best left out")
    ask.add_argument("--temperature", type=float, metavar="N", help="0 to 2")
    ask.add_argument("--stop", action="append", metavar="TEXT", help="ends the answer; may be given again")
    ask.add_argument("--seed", type=int, metavar="N", help="for repeatable answers")
    ask.add_argument("--messages", metavar="FILE", help="JSON: earlier turns, as ask_gemini takes them")
    ask.add_argument("--functions", metavar="FILE", help="JSON: functions, as ask_gemini takes them")
    _add_json(ask)


def _add_search(commands: Subparsers) -> None:
    search = add_command(
        commands,
        "search",
        "answer a question from Google Search, with sources",
        takes="[OPTIONS] [QUERY ...]",
        examples=[
            'runapi-mcp search "What changed in Python 3.14?"',
            "runapi-mcp search --recency week --include-domain python.org latest release",
        ],
        partial=True,
        words="query",
    )
    search.set_defaults(person=_tool, tool="search_web")
    search.add_argument("query", nargs="*", metavar="QUERY", help="the question; - is where stdin goes")
    _add_model(search)
    search.add_argument("--depth", choices=DEPTHS, help="how hard to search")
    search.add_argument("--recency", choices=AGES, help="how old pages may be")
    for name, what in (("include", "only this site"), ("exclude", "not this site")):
        search.add_argument(
            f"--{name}-domain",
            dest=f"{name}_domains",
            action="append",
            metavar="DOMAIN",
            help=f"{what}; may be given again",
        )
    search.add_argument("--language", metavar="LANGUAGE", help="of the pages, such as de")
    search.add_argument("--max-sources", type=int, metavar="N", help="most to list. Default: 10")
    _add_json(search)


def _add_extract(commands: Subparsers) -> None:
    extract = add_command(
        commands,
        "extract",
        "turn text or files into JSON that conforms to a schema",
        takes="[OPTIONS] --schema FILE [FILE ...]",
        examples=[
            "runapi-mcp extract -s invoice.schema.json invoice.pdf",
            "pbpaste | runapi-mcp extract -s person.schema.json --many | jq .",
        ],
        partial=True,
        words="files",
    )
    extract.set_defaults(person=_tool, tool="extract_json")
    extract.add_argument(
        "files", nargs="*", metavar="FILE", help="material: files or URLs; without any, or with -, stdin"
    )
    extract.add_argument(
        "-s", "--schema", required=True, metavar="FILE", help="JSON Schema of the result, or the JSON itself"
    )
    extract.add_argument("--instructions", metavar="TEXT", help="what to look for, units, what to skip")
    extract.add_argument("--many", action="store_true", help="extract a list of items of the schema")
    extract.add_argument(
        "--max-repairs", type=int, metavar="N", help="tries after a wrong answer. Default: 1"
    )
    _add_model(extract)
    _add_json(extract)


def _add_model(parser: Parser) -> None:
    parser.add_argument(
        "-m", "--model", dest="which_model", metavar="ID", help="runapi-mcp models shows them"
    )


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print text, structure and receipt as JSON")


def _tool(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp import logs
    from runapi_mcp.cli.client import perform
    from runapi_mcp.cli.questions import question_of
    from runapi_mcp.cli.view import EXIT_CODES, Paper, as_json, printed
    from runapi_mcp.key import PERSON_SECONDS, own_key

    question = question_of(given, around)
    settings = around.settings()
    logs.configure(settings, around.err)
    keyring = own_key(settings, around.env, PERSON_SECONDS)
    outcome = anyio.run(perform, question, settings, _screen(given, around), keyring)
    if given.json:
        around.say_json(json.dumps(as_json(outcome), ensure_ascii=False, indent=2))
        return EXIT_CODES[outcome.ending]
    terminal = around.out.isatty()
    return printed(outcome, Paper(around.out, around.say, around.say_json, around.note, terminal))


def _screen(given: argparse.Namespace, around: Surroundings) -> "Screen":
    """Return what shows the growing answer: all of it where it will be printed, else a line beside it."""
    from runapi_mcp.cli.screen import live_screen, no_screen

    if given.json:
        return no_screen
    if around.out.isatty():
        return live_screen(around.out, with_text=True)
    return live_screen(around.err, with_text=False) if around.err.isatty() else no_screen

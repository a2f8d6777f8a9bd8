"""ask, chat, search, extract and models: their flags, and how they are carried out."""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings, add_arguments, add_command
from runapi_mcp.cli.stdin import (
    MOST_BYTES,
    STDIN,
    Stdin,
    add_stdin,
    data_url,
    decode,
    read_questions,
    text_of,
    text_of_question,
)
from runapi_mcp.errors import InputError
from runapi_mcp.printable import one_line

if TYPE_CHECKING:
    from runapi_mcp.cli.client import Outcome, Question
    from runapi_mcp.cli.view import Screen
    from runapi_mcp.wire.types import JsonValue

_FETCH_SECONDS: Final = 15.0
_CLASS: Final = re.compile(r"[A-Za-z_][\w.]+:[A-Za-z_][\w.]*")


def add_tools(commands: Subparsers) -> None:
    """Add ask, search, extract and models."""
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
    ask.add_argument("prompt", nargs="*", metavar="PROMPT", help="the question; - is where stdin goes")
    _add_earlier(ask)
    _complete(ask, "ask_gemini", operand="prompt")
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
    search.add_argument("query", nargs="*", metavar="QUERY", help="the question; - is where stdin goes")
    _add_from(search, "go on from this search")
    _complete(search, "search_web", operand="query")
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
    extract.add_argument(
        "files", nargs="*", metavar="FILE", help="material: files or URLs; without any, or with -, stdin"
    )
    _complete(extract, "extract_json", operand="files", required=["schema"])
    models = add_command(
        commands,
        "models",
        "list the models and what each can do",
        takes="[OPTIONS]",
        examples=["runapi-mcp models", "runapi-mcp models --json"],
    )
    models.set_defaults(person=_tool, tool="list_models")
    _add_json(models)


def _add_earlier(parser: Parser) -> None:
    parser.add_argument(
        "-c", "--continue", dest="goes_on", action="store_true", help="go on from your last conversation"
    )
    _add_from(parser, "go on from this answer")


def _add_from(parser: Parser, about: str) -> None:
    parser.add_argument("--from", dest="continue_from", type=_named, metavar="HANDLE", help=about)


def _named(handle: str) -> str:
    """Return a handle; a variable that was never set is none, and no question begins anew for it."""
    if not handle.strip():
        raise argparse.ArgumentTypeError("what is the handle? runapi-mcp history lists them.")
    return handle


def _find_earlier(given: argparse.Namespace, around: Surroundings) -> None:
    """Have -c stand for the handle of the last answer."""
    if given.goes_on and given.continue_from:
        # Elsewhere one of the two is ignored without a word (simonw/llm#1140).
        given.parser.error(
            "-c goes on from your last answer, --from from the one it names: give one of them."
        )
    if given.goes_on:
        import anyio

        from runapi_mcp.cli.history import find_last

        given.continue_from = anyio.run(find_last, around)


def _complete(parser: Parser, tool: str, *, operand: str, required: Sequence[str] = ()) -> None:
    """Add a tool's flags to its command, and those of its own."""
    parser.set_defaults(person=_tool, tool=tool)
    add_arguments(parser, tool, operand=operand, required=required)
    parser.add_argument(
        "--no-stdin", action="store_true", help="leave a pipe on stdin alone, unless - is given"
    )
    _add_json(parser)


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print text, structure and receipt as JSON")


def _tool(given: argparse.Namespace, around: Surroundings) -> int:
    from importlib import import_module

    from runapi_mcp.boot.prologue import quick_imports

    # A person waits for the first word: without the collector and httpx's own command line it comes sooner.
    with quick_imports():
        import_module("runapi_mcp.cli.view")
    if given.tool == "ask_gemini":
        _find_earlier(given, around)
    return answer(question_of(given, around), around, as_json=given.json)


def answer(question: "Question", around: Surroundings, *, as_json: bool) -> int:
    """Ask a question, print what comes of it, and return the exit code that stands for that."""
    from runapi_mcp.cli.view import EXIT_CODES, print_reply, structure

    outcome, screen = _ask_and_watch(question, around, quiet=as_json)
    if as_json:
        around.say_json(json.dumps(structure(outcome), ensure_ascii=False, indent=2))
        code = EXIT_CODES[outcome.ending]
    else:
        code = print_reply(outcome, screen, around)
    if outcome.lost:
        around.note(outcome.lost)
    if outcome.rest:
        around.note(f"The rest: runapi-mcp resume {outcome.rest}")
    _die_if_told(outcome)
    return code


def _die_if_told(outcome: "Outcome") -> None:
    if outcome.dies_of is not None:
        import signal

        signal.raise_signal(outcome.dies_of)


def _ask_and_watch(
    question: "Question", around: Surroundings, *, quiet: bool = False
) -> "tuple[Outcome, Screen]":
    """Ask a question, and show its answer as it grows unless that is to be `quiet`."""
    import anyio

    from runapi_mcp import logs
    from runapi_mcp.cli.client import perform
    from runapi_mcp.cli.view import screen_for
    from runapi_mcp.key import PERSON_SECONDS, own_key

    settings = around.settings()
    logs.configure(settings, around.err)
    screen = screen_for(around.out, around.err, around.env, quiet=quiet)
    keyring = own_key(settings, around.env, PERSON_SECONDS)
    return anyio.run(perform, question, settings, screen.show, keyring, around.env), screen


def question_of(given: argparse.Namespace, around: Surroundings) -> "Question":
    """Return the question that a command line stands for.

    Raises:
        InputError: It cannot be asked; nothing was sent.
        SystemExit: It asks nothing; how it is written was said.
    """
    match given.tool:
        case "ask_gemini":
            return _ask(given, around)
        case "search_web":
            return _search(given, around)
        case "extract_json":
            return _extract(given, around)
        case _:
            return _question(given)


def _ask(given: argparse.Namespace, around: Surroundings) -> "Question":
    stdin = Stdin(around.stdin, around.note, closed=given.no_stdin)
    files: list[str] = given.files or []
    if STDIN in files:
        if STDIN in given.prompt or files.count(STDIN) > 1:
            raise InputError("There is one stdin.", advice="Give - once.")
        attached = data_url(stdin.read_all())
        given.files = [attached if file == STDIN else file for file in files]
        given.prompt = " ".join(given.prompt)
    else:
        given.prompt = add_stdin(given.prompt, stdin)
    for name in ("messages", "functions"):
        if (written := getattr(given, name)) is not None:
            setattr(given, name, _json(written))
    if not given.prompt and not given.messages:
        given.parser.error("what is the question? Type it, or pipe it in.")
    return _question(given, files)


def _search(given: argparse.Namespace, around: Surroundings) -> "Question":
    given.query = add_stdin(given.query, Stdin(around.stdin, around.note, closed=given.no_stdin))
    if not given.query:
        given.parser.error("what is the question? Type it, or pipe it in.")
    return _question(given)


def _extract(given: argparse.Namespace, around: Surroundings) -> "Question":
    stdin = Stdin(around.stdin, around.note, closed=given.no_stdin)
    if given.schema == STDIN:
        if not given.files or STDIN in given.files:
            raise InputError(
                "There is one stdin, and the schema is to come from it.", advice="Name the material's files."
            )
        given.schema = _parse(stdin.read_all(), "What came on stdin")
        return _question(given, given.files)
    named: list[str] = given.files or [STDIN]
    if not given.files and not stdin.offers:
        given.parser.error("what is to be read? Name files, or pipe it in.")
    given.schema = _class_schema(given.schema) if _CLASS.fullmatch(given.schema) else _json(given.schema)
    if named.count(STDIN) > 1:
        raise InputError("There is one stdin.", advice="Give - once.")
    if STDIN in named:
        _take_stdin(given, named, stdin.read_all())
    return _question(given, named)


def _take_stdin(given: argparse.Namespace, named: Sequence[str], content: bytes) -> None:
    """Make what was piped in the text to extract from; beside files, or if it is no text, a file."""
    if not content.strip():
        raise InputError("Nothing came on stdin.", advice="Name files, or pipe text in.")
    if len(named) == 1:
        try:
            given.text, given.files = text_of(content), None
        except InputError:
            pass
        else:
            return
    given.files = [data_url(content) if file == STDIN else file for file in named]


def _question(given: argparse.Namespace, files: Sequence[str] = ()) -> "Question":
    """Return the question that the flags stand for: those that are named as an argument of the tool."""
    # Not at the top: what a tool takes need not be imported to show a command's help.
    from runapi_mcp.cli.client import Question
    from runapi_mcp.tools import TOOLS

    # --model is a setting too, and given.model that setting.
    chosen = vars(given) | {"model": getattr(given, "which_model", None)}
    known = [field.alias or name for name, field in TOOLS[given.tool].args.model_fields.items()]
    arguments = {name: value for name in known if _is_given(value := chosen.get(name))}
    return Question(given.tool, arguments, [file for file in files if file != STDIN])


def _is_given(value: object) -> bool:
    """Whether a flag was given; 0 is a value."""
    return value is not None and value is not False and value not in ([], "")


def _json(named: str) -> "JsonValue":
    """Return the JSON that is in a file or behind a URL, or that was typed itself.

    Raises:
        InputError: It is none.
    """
    if named.lstrip().startswith(("{", "[")):
        return _parse(named.encode(), "What was typed")
    if named.startswith(("https://", "http://")):
        return _parse(_fetch(named), named)
    try:
        return _parse(_content(Path(named).expanduser()), named)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{named} cannot be read ({why}).", advice="") from None


def _fetch(url: str) -> bytes:
    """Return what is behind a URL that a person named; no key goes there.

    Raises:
        InputError: It cannot be had, or is too much.
    """
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=_FETCH_SECONDS) as response:  # noqa: S310  # http or https, as was looked at
            content: bytes = response.read(MOST_BYTES + 1)
    except (OSError, ValueError, HTTPException) as error:
        raise InputError(f"{url} cannot be read ({one_line(str(error), 200)}).", advice="") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{url} cannot be read as JSON (it has more than {MOST_BYTES // 1_000_000} MB).")
    return content


def _parse(content: bytes, what: str) -> "JsonValue":
    try:
        return cast("JsonValue", json.loads(decode(content)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} cannot be read as JSON ({error}).", advice="") from None


def _content(path: Path) -> bytes:
    """Return the bytes of a file; what has no end, such as a device, is not read to it."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} cannot be read as JSON (it has more than {MOST_BYTES // 1_000_000} MB).")
    return content


def _class_schema(named: str) -> "JsonValue":
    """Return the JSON Schema of a class of pydantic's, or of a type that pydantic knows, by `module:Class`.

    The module is imported, from the working directory too: a person named it.

    Raises:
        InputError: There is none, importing it fails, or it has no schema.
    """
    import importlib
    import sys

    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    module, _, name = named.partition(":")
    sys.path.insert(0, ".")
    try:
        kind: Any = importlib.import_module(module)
        for part in name.split("."):
            kind = getattr(kind, part)
        return cast("JsonValue", TypeAdapter(kind).json_schema())
    except PydanticUserError as error:
        raise InputError(
            f"{named} has no JSON Schema ({error.message.splitlines()[0]}).", advice=""
        ) from None
    except Exception as error:  # noqa: BLE001  # importing runs a stranger's module
        raise InputError(
            f"{named} cannot be imported ({type(error).__name__}: {one_line(str(error), 200)}).",
            advice="It takes module:Class, with the module in the working directory or installed.",
        ) from None
    finally:
        sys.path.remove(".")


# ---------------------------------------------------------------- chat


def add_chat(commands: Subparsers) -> None:
    """Add chat."""
    chat = add_command(
        commands,
        "chat",
        "keep asking, each question going on from the last answer",
        takes="[OPTIONS]",
        examples=["runapi-mcp chat -c", "runapi-mcp chat --from g_EXAMPLE"],
        description="Ends at an empty line, or the end of what is typed. Lines pasted at once are one "
        "question, which an empty line ends.",
        partial=True,
    )
    _add_earlier(chat)
    chat.add_argument("-s", "--system", metavar="TEXT", help="system instruction")
    chat.add_argument("-m", "--model", dest="which_model", metavar="ID", help="runapi-mcp models shows them")
    chat.set_defaults(person=_chat)


def _chat(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp.cli.client import LOST, Question
    from runapi_mcp.cli.view import EXIT_CODES, print_reply
    from runapi_mcp.generations.store import store_folder
    from runapi_mcp.generations.store.place import Unusable, check_folder

    folder = store_folder(around.settings(), around.env)
    if folder is None:
        raise InputError("chat needs a store on this machine.", advice="Unset RUNAPI_MCP_STORE.")
    try:
        if isinstance(folder, Unusable):
            raise folder
        check_folder(folder)
    except Unusable as why:
        raise InputError(
            f"chat needs a store on this machine: {why}.", advice="Name another folder in RUNAPI_MCP_STORE."
        ) from None
    _find_earlier(given, around)
    first = {"model": given.which_model, "system": given.system, "continue_from": given.continue_from}
    known = {name: value for name, value in first.items() if value}
    code = 0
    for question in read_questions(around.stdin, around.err.write):
        try:
            prompt = text_of_question(question, typed=around.stdin.isatty())
        except InputError as error:
            around.note(f"runapi-mcp: {error}")
            code = EXIT_CODES["refused"]
            continue
        if not prompt.strip():  # blanks that are none in ASCII
            return code
        outcome, screen = _ask_and_watch(Question("ask_gemini", known | {"prompt": prompt}), around)
        code = print_reply(outcome, screen, around)
        _die_if_told(outcome)
        view = outcome.view
        if view is None or not view.answer.text:
            if outcome.ending == "refused":
                return EXIT_CODES[outcome.ending]
        elif view.status == "running":  # by another process, which goes on
            around.note(f"runapi-mcp resume {view.handle} waits for the rest. {_NOT_KNOWN}")
        elif outcome.kept:
            known = {"continue_from": view.handle}
        else:
            around.note(f"{outcome.lost or LOST} {_NOT_KNOWN}")
    return code


_NOT_KNOWN: Final = "The next question does not know it."

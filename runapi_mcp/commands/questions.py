"""What the flags of ask, search, extract and models ask for, with what was piped in."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from runapi_mcp.commands.piped import MOST_BYTES, STDIN, Stdin, data_url, text_of, with_stdin
from runapi_mcp.commands.surroundings import Surroundings
from runapi_mcp.errors import InputError
from runapi_mcp.terminal.asking import Question
from runapi_mcp.tools import TOOLS
from runapi_mcp.wire.types import JsonValue


def question_of(given: argparse.Namespace, around: Surroundings) -> Question:
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


def _ask(given: argparse.Namespace, around: Surroundings) -> Question:
    stdin = Stdin(around.stdin, around.note)
    files: list[str] = given.files or []
    if STDIN in files:
        if STDIN in given.prompt or files.count(STDIN) > 1:
            raise InputError("There is one stdin.", advice="Give - once.")
        attached = data_url(stdin.wanted())
        given.files = [attached if file == STDIN else file for file in files]
        given.prompt = " ".join(given.prompt)
    else:
        given.prompt = with_stdin(given.prompt, stdin)
    for name in ("messages", "functions"):
        if (written := getattr(given, name)) is not None:
            setattr(given, name, _json(written))
    if not given.prompt and not given.messages:
        given.parser.error("what is the question? Type it, or pipe it in.")
    return _question(given, files)


def _search(given: argparse.Namespace, around: Surroundings) -> Question:
    given.query = with_stdin(given.query, Stdin(around.stdin, around.note))
    if not given.query:
        given.parser.error("what is the question? Type it, or pipe it in.")
    return _question(given)


def _extract(given: argparse.Namespace, around: Surroundings) -> Question:
    named: list[str] = given.files or [STDIN]
    stdin = Stdin(around.stdin, around.note)
    if not given.files and not stdin.offers:
        given.parser.error("what is to be read? Name files, or pipe it in.")
    given.schema = _json(given.schema)
    if named.count(STDIN) > 1:
        raise InputError("There is one stdin.", advice="Give - once.")
    if STDIN in named:
        _take_stdin(given, named, stdin.wanted())
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


def _question(given: argparse.Namespace, files: Sequence[str] = ()) -> Question:
    """Return the question that the flags stand for: those that are named as an argument of the tool."""
    # --model is a setting too, and given.model that setting.
    chosen = vars(given) | {"model": getattr(given, "which_model", None)}
    known = [field.alias or name for name, field in TOOLS[given.tool].args.model_fields.items()]
    arguments = {name: value for name in known if _is_given(value := chosen.get(name))}
    return Question(given.tool, arguments, [file for file in files if file != STDIN])


def _is_given(value: object) -> bool:
    """Whether a flag was given; 0 is a value."""
    return value is not None and value is not False and value not in ([], "")


def _json(written: str) -> JsonValue:
    """Return the JSON that is in a file, or that was typed itself.

    Raises:
        InputError: It is none.
    """
    typed = written.lstrip().startswith(("{", "["))
    try:
        return cast("JsonValue", json.loads(written if typed else _content(Path(written))))
    except (OSError, ValueError) as error:
        what = "What was typed" if typed else written
        raise InputError(f"{what} cannot be read as JSON ({error}).", advice="") from None


def _content(path: Path) -> str:
    """Return the text of a file; what has no end, such as a device, is not read to it."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES // 1_000_000} MB")
    return content.decode()

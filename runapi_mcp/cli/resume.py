"""resume: an answer that was cut or stopped goes on; the last such one is kept for that, in a file."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import chdir, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError

if TYPE_CHECKING:
    from runapi_mcp.cli.client import Outcome, Question

_MOST_BYTES: Final = 64_000_000
_NOTHING: Final = "There is no answer to go on with: the last one was whole, or nothing had come of it."


def add_resume(commands: Subparsers) -> None:
    """Add resume."""
    resume = add_command(
        commands,
        "resume",
        "go on with the last answer that was cut or stopped",
        takes="[OPTIONS]",
        description="Go on with the last answer of ask, search or extract that was cut or stopped, and print "
        "all of it.",
        examples=["runapi-mcp resume", "runapi-mcp resume > answer.md"],
        partial=True,
    )
    resume.add_argument("--json", action="store_true", help="print text, structure and receipt as JSON")
    resume.set_defaults(person=_resume)


def _resume(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp.cli.ask import answer

    question, folder = _read(_place(around.env))
    # Files and refs were named from there.
    with chdir(folder if Path(folder).is_dir() else Path.cwd()):
        return answer(question, around, as_json=given.json)


def remember(outcome: "Outcome", around: Surroundings) -> bool:
    """Keep what it takes to go on with an answer, or forget an earlier one that is whole now.

    What is kept is the question and what came of it, in a file that only its owner can read. The value
    says whether there is something to go on with.
    """
    place, question, view = _place(around.env), outcome.question, outcome.view
    text = view.answer.text if view is not None else ""
    if outcome.ending not in ("partial", "interrupted") or not text:
        if question.begin and outcome.ending == "complete":
            place.unlink(missing_ok=True)
        return False
    kept = {
        "tool": question.tool,
        "arguments": question.arguments,
        "files": [*question.files],
        "begin": text,
        "folder": str(Path.cwd()),
    }
    return _write(place, json.dumps(kept))


def _place(env: Mapping[str, str]) -> Path:
    """Return where the last cut answer is kept."""
    home = Path(env.get("USERPROFILE" if sys.platform == "win32" else "HOME") or Path.home())
    if sys.platform == "win32":
        state = Path(env.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        state = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state")
    return state / "runapi-mcp" / "cut.json"


def _write(place: Path, text: str) -> bool:
    import tempfile

    if len(text) > _MOST_BYTES:
        return False
    # Not to be kept is no failure: the answer itself was printed.
    with suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(dir=place.parent)  # readable by its owner alone
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(beside).replace(place)
        return True
    return False


def _read(place: Path) -> "tuple[Question, str]":
    """Return the question that is to go on, and the folder that it was asked in.

    Raises:
        InputError: There is none.
    """
    from runapi_mcp.cli.client import Question

    try:
        kept: Any = json.loads(place.read_text(encoding="utf-8"))
        question = Question(kept["tool"], kept["arguments"], kept["files"], kept["begin"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(_NOTHING, advice="") from None
    return question, str(kept.get("folder", ""))

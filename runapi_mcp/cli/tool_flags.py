"""The flags of a command, from what its tool takes: what is added to a tool can be typed at once.

They are read from the list of tools as it is packed, which the tests hold to the real one: importing
pydantic to show a command's help would take longer than all the rest.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from runapi_mcp.boot.answers import MODERN
from runapi_mcp.boot.prologue import MANIFEST
from runapi_mcp.cli.parser import Parser

JSON_FILE: Final = "JSON"
_NOT_HERE: Final = ("wait_seconds", "fresh")
"""Arguments that only make sense where a host waits, or generations outlive a call."""
_TYPES: Final[Mapping[str, type]] = {"integer": int, "number": float}
_ANY: Final = "any"
"""What a strict host chooses for nothing; nobody types it."""


@dataclass(frozen=True)
class Spelling:
    """How a person types an argument, where that is not its own name.

    Attributes:
        flags: The flags; the first long one may stand for the name.
        metavar: What stands for its value in the help.
        help: What it is for a person, where what models are told does not fit.
    """

    flags: tuple[str, ...] = ()
    metavar: str = ""
    help: str = ""


_SPELLINGS: Final[Mapping[str, Spelling]] = {
    "model": Spelling(("-m", "--model"), "ID", "runapi-mcp models shows them; or strongest, or cheapest"),
    "system": Spelling(("-s", "--system")),
    "files": Spelling(
        ("-f", "--file"), "FILE", "attach a file, folder, glob, URL or git:REF..REF; - attaches stdin"
    ),
    "schema": Spelling(
        ("-s", "--schema"),
        "FILE",
        "JSON Schema of the result: a file, - for stdin, the JSON itself, or pydantic's module:Class",
    ),
    "reasoning_effort": Spelling(("--effort",)),
    "include_thoughts": Spelling(("--thoughts",)),
    "include_domains": Spelling(("--include-domain",), "DOMAIN", "only this site"),
    "exclude_domains": Spelling(("--exclude-domain",), "DOMAIN", "not this site"),
    "messages": Spelling((), JSON_FILE, "a file of earlier turns, or the JSON itself"),
    "functions": Spelling((), JSON_FILE, "a file of functions the model may ask for, or the JSON itself"),
}


def add_arguments(parser: Parser, tool: str, *, operand: str, required: Sequence[str] = ()) -> None:
    """Add a flag for each argument of a tool but the one that is typed without any.

    Args:
        parser: The command's.
        tool: The tool's name.
        operand: The argument that stands alone.
        required: The flags that must be given.
    """
    for name, schema in _properties(tool).items():
        # What is piped in is the text of an extraction.
        if name not in (operand, "text", *_NOT_HERE):
            _add(parser, name, schema, needed=name in required)


@cache
def _properties(tool: str) -> Mapping[str, Any]:
    """Return the JSON Schema of each argument of a tool."""
    with open(MANIFEST, encoding="utf-8") as file:  # noqa: PTH123  # as the prologue reads it
        listed: list[dict[str, Any]] = json.load(file)["answers"][MODERN]["tools/list"]["tools"]
    named: dict[str, Mapping[str, Any]] = {
        each["name"]: each["inputSchema"].get("properties", {}) for each in listed
    }
    return named[tool]


def _add(parser: Parser, name: str, schema: Mapping[str, Any], *, needed: bool) -> None:
    spelling = _SPELLINGS.get(name, Spelling())
    flags = spelling.flags or (f"--{name.replace('_', '-')}",)
    about = spelling.help or _for_people(schema.get("description", ""))
    # --model is a setting too, and given.model that setting.
    dest = "which_model" if name == "model" else name
    more: dict[str, Any] = {"required": True} if needed else {}
    match schema:
        case {"type": "boolean"}:
            more |= {"action": "store_true"}
        case {"enum": [*words]}:
            more |= {"choices": [word for word in words if word != _ANY]}
        case {"type": "array", "items": {"type": "string"}}:
            about = f"{about}; may be given again"
            more |= {"action": "append", "metavar": spelling.metavar or "TEXT"}
        case {"type": "integer" | "number" as kind}:
            more |= {"type": _TYPES[kind], "metavar": "N"}
        case {"type": "array" | "object"}:
            more |= {"metavar": spelling.metavar or JSON_FILE}
        case _:
            more |= {"metavar": spelling.metavar or "TEXT"}
    parser.add_argument(*flags, dest=dest, help=about.replace("%", "%%"), **more)


def _for_people(told: str) -> str:
    """Return what models are told of an argument, without what only models need, as help is written."""
    plain = re.sub(r";? any: [^;.]*", "", told).strip().rstrip(".")
    return plain[:1].lower() + plain[1:] if plain[1:2].islower() else plain

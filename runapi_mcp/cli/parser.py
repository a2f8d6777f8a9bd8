"""What is typed: a parser whose errors take three lines, the flags that it has, and their completion.

The flags of the settings come from their metadata, those of a tool from what it takes: what is added there
can be typed, and is completed, at once.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, TypeAlias, TypeVar

from runapi_mcp.boot.answers import MODERN
from runapi_mcp.boot.prologue import MANIFEST
from runapi_mcp.cli.outlet import printable
from runapi_mcp.printable import escape_unseen
from runapi_mcp.settings import Option, Settings, options


@dataclass(frozen=True)
class Surroundings:
    """What a command is given of the process it runs in.

    Attributes:
        env: The environment.
        settings: Reads the settings; raises what is wrong with them.
        flags: The settings that were given as flags, as they were given.
        stdin: Where `-` reads from.
        out: Where answers go; it flushes itself.
        err: Where what is said about them goes; it flushes itself.
        variables: The settings that were given as flags, as the variables they stand for.
    """

    env: Mapping[str, str]
    settings: Callable[[], Settings]
    flags: Sequence[str]
    stdin: TextIO
    out: TextIO
    err: TextIO
    variables: Mapping[str, str] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Write a line to `out`; what others wrote in it cannot command the terminal."""
        self.out.write(f"{printable(line)}\n")

    def say_json(self, text: str) -> None:
        """Write a JSON text to `out`; what is not seen or what its encoding lacks is escaped in it.

        So programs read the same.
        """
        self.say(escape(escape_unseen(text), self.out.encoding or "utf-8"))

    def note(self, line: str) -> None:
        """Write a line to `err`; what others wrote in it cannot command the terminal."""
        self.err.write(f"{printable(line)}\n")


def escape(text: str, encoding: str) -> str:
    """Return a JSON text in characters that an encoding has; others can only stand in its strings."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in text)
    return text


if TYPE_CHECKING:
    # Where argparse keeps the type of what add_subparsers() returns.
    from argparse import _SubParsersAction as SubParsersAction

Subparsers: TypeAlias = "SubParsersAction[Parser]"

T = TypeVar("T")

PROGRAM: Final = "runapi-mcp"
_USAGE: Final = 2
_FOUND: Final = "exit codes: 0 complete, 1 failed, 2 wrong call or no key, 3 partial, 130 interrupted"
_DONE: Final = "exit codes: 0 done, 1 failed, 2 wrong call or no key, 130 interrupted"


class Parser(argparse.ArgumentParser):
    """A parser for a command.

    Args:
        about: A line on what it does.
        takes: How its arguments are written, for the usage line.
        examples: Commands as one would type them, shown at the end of the help.
        partial: Whether what it gives may be partial, which has an exit code.
        words: The name of the argument that words between the flags belong to.
        more: What :class:`argparse.ArgumentParser` takes.
    """

    def __init__(
        self,
        *,
        about: str = "",
        takes: str = "",
        examples: Sequence[str] = (),
        partial: bool = False,
        words: str = "",
        **more: Any,  # noqa: ANN401  # handed on as it is
    ) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more)
        self.usage = f"{self.prog} {takes}".strip()
        self.about = about
        self._words = words
        if examples:
            codes = _FOUND if partial else _DONE
            self.epilog = "\n".join(["examples:", *(f"  {line}" for line in examples), "", codes])
        self.set_defaults(parser=self)

    @property
    def flags(self) -> "list[argparse.Action]":
        """The flags that its help shows."""
        return [a for a in self._actions if a.option_strings and a.help != argparse.SUPPRESS]

    @property
    def operands(self) -> "list[argparse.Action]":
        """What it takes beside flags."""
        return [action for action in self._actions if not action.option_strings]

    @property
    def names(self) -> list[str]:
        """Every flag it takes, shown or not, by each of its names."""
        return [name for action in self._actions for name in action.option_strings]

    def understand(self, words: Sequence[str]) -> argparse.Namespace:
        """Return what the words say; leave with how to write them if they say nothing that is known."""
        given, left = self.parse_known_args(words)
        parser: Parser = given.parser
        if left:
            parser.take(left, given)
        return given

    def take(self, left: Sequence[str], given: argparse.Namespace) -> None:
        """Take words that argparse left over, because flags stood before them; flags are refused."""
        unknown = next((word for word in left if word.startswith("-") and word != "-"), None)
        if unknown is None and self._words:
            setattr(given, self._words, [*getattr(given, self._words), *left])
        elif unknown is None:
            self.error(f"{left[0]!r} is one word too many.")
        elif Path(unknown).exists():
            # A glob catches such names, and nobody typed them.
            self.error(f"{unknown} is taken for a flag; for the file write ./{unknown}")
        else:
            name = unknown.partition("=")[0]
            self.error(f"there is no {name[:40]} here.{_suggest(name, self.names)}")

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, how the command is used and where more is said, and leave."""
        self.exit(_USAGE, f"{PROGRAM}: {message}\n{self.format_usage()}{self.prog} --help says more.\n")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        choices = [str(choice) for choice in action.choices or ()]
        if not choices or value in choices:
            return
        if action.dest == "command_name":
            raise argparse.ArgumentError(None, f"no command {value!r}.{_suggest(str(value), choices)}")
        listed = ", ".join(choices)
        raise argparse.ArgumentError(action, f"{value!r} is none of {listed}.{_suggest(str(value), choices)}")


def add_command(
    commands: Subparsers,
    name: str,
    about: str,
    *,
    takes: str,
    examples: Sequence[str],
    description: str = "",
    partial: bool = False,
    words: str = "",
) -> Parser:
    """Add a command; see :class:`Parser` for what it says of itself.

    Args:
        commands: Where it is added.
        name: What is typed.
        about: A line on what it does.
        takes: How its arguments are written.
        examples: Commands as one would type them.
        description: More on what it does.
        partial: Whether what it gives may be partial.
        words: The name of the argument that words between the flags belong to.
    """
    return commands.add_parser(
        name,
        help=about,
        about=about,
        description=description or f"{about[0].upper()}{about[1:]}.",
        prog=f"{PROGRAM} {name}",
        takes=takes,
        examples=examples,
        partial=partial,
        words=words,
    )


def make_type(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a reader of settings as argparse calls one, which then tells what it takes.

    Args:
        read: Raises ValueError with what it takes.
    """

    def typed(text: str) -> T:
        try:
            return read(text)
        except ValueError as wanted:
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is not {wanted}.") from None

    return typed


def _suggest(word: str, known: Sequence[str]) -> str:
    """Return the question whether something known was meant, if something is near."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


# ---------------------------------------------------------------- flags of settings


_GROUPS: Final = {
    "RunAPI": ("base_url", "chat_path", "connect_timeout", "keyring"),
    "models": ("model", "search_model", "dialect"),
    "time": ("hold", "task_after", "idle_timeout", "deadline"),
    "files": ("allow_dirs", "max_file_bytes"),
    "how much": (
        *("max_result_chars", "max_running", "max_waiting", "max_calls_per_user", "max_tokens_per_day"),
        *("max_cost_per_day", "ask_above_cost"),
        "prices",
        *("max_event_bytes", "max_stream_bytes", "max_answer_bytes", "memory_bytes"),
    ),
    "what is kept": ("keep_seconds", "keep_generations", "keep_bytes", "store", "finish_detached"),
    "logs, start": ("log", "log_content", "fast_boot", "always_load"),
}
_OTHERS: Final = "others"
_METAVARS: Final = {
    "base_url": "URL",
    "chat_path": "PATH",
    "model": "ID",
    "search_model": "ID",
    "hold": "SECONDS",
    "idle_timeout": "SECONDS",
    "deadline": "SECONDS",
    "connect_timeout": "SECONDS",
    "keep_seconds": "SECONDS",
    "allow_dirs": "DIRS",
    "prices": "FILE",
    "store": "WHERE",
}


def add_settings(parser: "Parser", *, default: str | None = None) -> None:
    """Add a flag for each setting, in groups."""
    left = {option.name: option for option in options()}
    for title, names in _GROUPS.items():
        group = parser.add_argument_group(f"settings: {title}", argument_default=default)
        for option in (left.pop(name) for name in names if name in left):
            _add(group, option, _about(option))
    if left:
        group = parser.add_argument_group(f"settings: {_OTHERS}", argument_default=default)
        for option in left.values():
            _add(group, option, _about(option))


def understand_settings(parser: "Parser") -> None:
    """Have a command understand the flags of the settings without showing them; its own go first."""
    taken = set(parser.names)
    group = parser.add_argument_group(argument_default=argparse.SUPPRESS)
    for option in options():
        if option.flag not in taken:
            _add(group, option, argparse.SUPPRESS)


def _add(group: "argparse._ArgumentGroup", option: Option, about: str) -> None:
    choices = f"{{{','.join(option.choices)}}}" if option.choices else ""
    group.add_argument(
        option.flag, dest=option.name, metavar=choices or _METAVARS.get(option.name, "N"), help=about
    )


def _about(option: Option) -> str:
    default = f"Default: {option.default_text}." if option.default_text else ""
    return " ".join(part for part in (option.about, default, option.env) if part).replace("%", "%%")


# ---------------------------------------------------------------- flags of tools


_JSON_FILE: Final = "JSON"
_NOT_HERE: Final = ("wait_seconds", "fresh")
"""Arguments that only make sense where a host waits, or generations outlive a call."""
_TYPES: Final[Mapping[str, type]] = {"integer": int, "number": float}
_ANY: Final = "any"
"""What a strict host chooses for nothing; nobody types it."""


@dataclass(frozen=True)
class _Spelling:
    """How a person types an argument, where that is not its own name.

    Attributes:
        flags: The flags; the first long one may stand for the name.
        metavar: What stands for its value in the help.
        help: What it is for a person, where what models are told does not fit.
    """

    flags: tuple[str, ...] = ()
    metavar: str = ""
    help: str = ""


_SPELLINGS: Final[Mapping[str, _Spelling]] = {
    "model": _Spelling(("-m", "--model"), "ID", "runapi-mcp models shows them; or strongest, or cheapest"),
    "system": _Spelling(("-s", "--system")),
    "files": _Spelling(
        ("-f", "--file"), "FILE", "attach a file, folder, glob, URL or git:REF..REF; - attaches stdin"
    ),
    "schema": _Spelling(
        ("-s", "--schema"),
        "FILE",
        "JSON Schema of the result: a file or URL, - for stdin, the JSON, or pydantic's module:Class",
    ),
    "reasoning_effort": _Spelling(("--effort",)),
    "include_thoughts": _Spelling(("--thoughts",)),
    "include_domains": _Spelling(("--include-domain",), "DOMAIN", "only this site"),
    "exclude_domains": _Spelling(("--exclude-domain",), "DOMAIN", "not this site"),
    "messages": _Spelling((), _JSON_FILE, "a file of earlier turns, or the JSON itself"),
    "functions": _Spelling((), _JSON_FILE, "a file of functions the model may ask for, or the JSON itself"),
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
            _add_argument(parser, name, schema, needed=name in required)


@cache
def _properties(tool: str) -> Mapping[str, Any]:
    """Return the JSON Schema of each argument of a tool.

    From the list of tools as it is packed, which the tests hold to the real one: importing pydantic to show
    a command's help would take longer than all the rest.
    """
    with open(MANIFEST, encoding="utf-8") as file:  # noqa: PTH123  # as the prologue reads it
        listed: list[dict[str, Any]] = json.load(file)["answers"][MODERN]["tools/list"]["tools"]
    named: dict[str, Mapping[str, Any]] = {
        each["name"]: each["inputSchema"].get("properties", {}) for each in listed
    }
    return named[tool]


def _add_argument(parser: Parser, name: str, schema: Mapping[str, Any], *, needed: bool) -> None:
    spelling = _SPELLINGS.get(name, _Spelling())
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
            more |= {"metavar": spelling.metavar or _JSON_FILE}
        case _:
            more |= {"metavar": spelling.metavar or "TEXT"}
    parser.add_argument(*flags, dest=dest, help=about.replace("%", "%%"), **more)


def _for_people(told: str) -> str:
    """Return what models are told of an argument, without what only models need, as help is written."""
    plain = re.sub(r";? any: [^;.]*", "", told).strip().rstrip(".")
    return plain[:1].lower() + plain[1:] if plain[1:2].islower() else plain


# ---------------------------------------------------------------- completion


_SHELLS: Final = ("bash", "zsh", "fish", "powershell", "tcsh")
_NAMES_OF_FILES: Final = ("FILE", _JSON_FILE)
"""How the help shows what is a file."""


def add_completion(commands: Subparsers, whole: Parser) -> None:
    """Add completion, for the commands beside it and the flags before them."""
    completion = add_command(
        commands,
        "completion",
        f"print a completion script for {', '.join(_SHELLS[:-1])} or {_SHELLS[-1]}",
        takes="|".join(_SHELLS),
        examples=[
            'eval "$(runapi-mcp completion bash)"',
            "runapi-mcp completion fish > ~/.config/fish/completions/runapi-mcp.fish",
        ],
    )
    completion.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=f"one of {', '.join(_SHELLS)}")
    completion.set_defaults(person=lambda given, around: _print(given, around, commands, whole))


def _print(given: argparse.Namespace, around: Surroundings, commands: Subparsers, whole: Parser) -> int:
    """Print a script that knows the commands and their flags; the parsers are fit for nothing else then."""
    import shtab

    known = _list_words()
    for command, parser in [("", whole), *commands.choices.items()]:
        for action in (*parser.flags, *parser.operands):
            name = action.dest if action.option_strings else f"{command} {action.dest}"
            if action.choices is None and (words := known.get(name)):
                action.choices = words
            elif action.metavar in _NAMES_OF_FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # as shtab has it set
    around.say(shtab.complete(whole, given.shell).rstrip("\n"))
    return 0


def _list_words() -> Mapping[str, Sequence[str]]:
    """Return the words that an argument takes, by its name, where the parser does not list them.

    Those that stand alone are named behind their command.
    """
    from runapi_mcp.hosts import HOSTS
    from runapi_mcp.models import ALIASES, MODELS, WISHES
    from runapi_mcp.settings import options
    from runapi_mcp.sim import SCENARIOS

    models = (*(model.id for model in MODELS), *ALIASES, *WISHES)
    return {
        **{option.name: option.choices for option in options() if option.choices},
        **dict.fromkeys(("model", "which_model", "search_model"), models),
        "scenario": tuple(SCENARIOS),
        "install host": tuple(HOSTS),
        "uninstall host": tuple(HOSTS),
    }

"""completion: what the commands take, told to a script that a shell can run."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from runapi_mcp.commands.keys import DEEDS
from runapi_mcp.commands.parser import Parser, Subparsers, add_command
from runapi_mcp.commands.surroundings import Surroundings

if TYPE_CHECKING:
    from runapi_mcp.terminal.completion import Command, Flag

_HOST_COMMANDS: Final = ("install", "uninstall")
_FILE: Final = "FILE"


def add_completion(commands: Subparsers, whole: Parser) -> None:
    """Add completion, for the commands beside it and the flags before them."""
    completion = add_command(
        commands,
        "completion",
        "print a completion script for bash, zsh or fish",
        takes="bash|zsh|fish",
        examples=[
            'eval "$(runapi-mcp completion bash)"',
            "runapi-mcp completion fish > ~/.config/fish/completions/runapi-mcp.fish",
        ],
    )
    completion.add_argument("shell", metavar="bash|zsh|fish")
    completion.set_defaults(person=lambda given, around: _print(given, around, commands, whole))


def _print(given: argparse.Namespace, around: Surroundings, commands: Subparsers, whole: Parser) -> int:
    from runapi_mcp.terminal.completion import SHELLS, script

    if given.shell not in SHELLS:
        given.parser.error(f"{given.shell[:20]!r} is no shell this knows. Shells: {', '.join(SHELLS)}.")
    words, values = _words(), _values()
    known = [_command(name, parser, words.get(name, ()), values) for name, parser in commands.choices.items()]
    around.say(script(given.shell, _command("", whole, (), values), known).rstrip("\n"))
    return 0


def _words() -> Mapping[str, Sequence[str]]:
    """Return the words that may follow a command."""
    from runapi_mcp.hosts import HOSTS
    from runapi_mcp.terminal.completion import SHELLS

    return dict.fromkeys(_HOST_COMMANDS, tuple(HOSTS)) | {"completion": SHELLS, "key": DEEDS}


def _values() -> Mapping[str, Sequence[str]]:
    """Return the words that may follow a flag, where the flag itself does not list them."""
    from runapi_mcp.catalog import ALIASES, MODELS
    from runapi_mcp.settings import options
    from runapi_mcp.sim import SCENARIOS

    models = (*(model.id for model in MODELS), *ALIASES)
    listed = {option.flag: option.choices for option in options() if option.choices}
    return {**listed, "--model": models, "--search-model": models, "--scenario": tuple(SCENARIOS)}


def _command(
    name: str, parser: Parser, words: Sequence[str], values: Mapping[str, Sequence[str]]
) -> "Command":
    from runapi_mcp.terminal.completion import Command

    flags = tuple(_flag(action, values) for action in parser.flags)
    files = any(action.metavar == _FILE for action in parser.operands)
    return Command(name, parser.about, flags, tuple(words), files)


def _flag(action: argparse.Action, values: Mapping[str, Sequence[str]]) -> "Flag":
    from runapi_mcp.terminal.completion import Flag

    long = next(name for name in action.option_strings if name.startswith("--"))
    about = (action.help or "").replace("%%", "%")
    words = tuple(map(str, action.choices or values.get(long, ())))
    return Flag(tuple(action.option_strings), about, action.nargs != 0, words if action.nargs != 0 else ())

"""Completion for shells: a script that knows the commands and their flags, and needs nothing to run."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from runapi_mcp.cli.key import DEEDS
from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings, add_command

SHELLS: Final = ("bash", "zsh", "fish", "powershell", "tcsh")
_FILES: Final = ("FILE", "JSON")
"""How the help shows what is a file."""


def add_completion(commands: Subparsers, whole: Parser) -> None:
    """Add completion, for the commands beside it and the flags before them."""
    completion = add_command(
        commands,
        "completion",
        f"print a completion script for {', '.join(SHELLS[:-1])} or {SHELLS[-1]}",
        takes="|".join(SHELLS),
        examples=[
            'eval "$(runapi-mcp completion bash)"',
            "runapi-mcp completion fish > ~/.config/fish/completions/runapi-mcp.fish",
        ],
    )
    completion.add_argument("shell", metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    completion.set_defaults(person=lambda given, around: _print(given, around, commands, whole))


def _print(given: argparse.Namespace, around: Surroundings, commands: Subparsers, whole: Parser) -> int:
    if given.shell not in SHELLS:
        given.parser.error(f"{given.shell[:20]!r} is no shell this knows. Shells: {', '.join(SHELLS)}.")
    around.say(write_script(given.shell, commands, whole).rstrip("\n"))
    return 0


def write_script(shell: str, commands: Subparsers, whole: Parser) -> str:
    """Return a completion script; afterwards the parsers are fit for nothing else.

    Args:
        shell: One of :data:`SHELLS`.
        commands: The commands.
        whole: The parser that they are commands of.
    """
    import shtab

    known = _list_words()
    for command, parser in [("", whole), *commands.choices.items()]:
        for action in (*parser.flags, *parser.operands):
            name = action.dest if action.option_strings else f"{command} {action.dest}"
            if action.choices is None and (words := known.get(name)):
                action.choices = words
            elif action.metavar in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # as shtab has it set
    return shtab.complete(whole, shell)


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
        "completion shell": SHELLS,
        "key deed": DEEDS,
    }

"""The commands people type, as opposed to hosts: their flags, and what each does with them.

The environment and the streams come from the command line; what a command needs is imported when it runs.
"""

import argparse
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from runapi_mcp.commands.asking import add_tools
from runapi_mcp.commands.hosting import add_doctor, add_install
from runapi_mcp.commands.surroundings import Surroundings

if TYPE_CHECKING:
    # Where argparse keeps the type of what add_subparsers() returns.
    from argparse import _SubParsersAction as SubParsersAction

__all__ = ["Subparsers", "Surroundings", "add_commands"]

Subparsers: TypeAlias = "SubParsersAction[argparse.ArgumentParser]"
_HOST_COMMANDS: Final = ("install", "uninstall")


def add_commands(commands: Subparsers) -> None:
    """Add the parsers of every command here; each sets `person` to what carries it out."""
    add_install(commands)
    add_doctor(commands)
    add_tools(commands)
    completion = commands.add_parser("completion", help="print a completion script for bash, zsh or fish")
    completion.add_argument("shell", metavar="bash|zsh|fish")
    completion.set_defaults(person=lambda given, around: _completion(given, around, commands))


def _completion(given: argparse.Namespace, around: Surroundings, commands: Subparsers) -> int:
    from runapi_mcp.hosts import HOSTS
    from runapi_mcp.terminal import script
    from runapi_mcp.terminal.completion import SHELLS

    flags = {
        name: sorted(set(re.findall(r"--[a-z][a-z0-9-]+", parser.format_help())))
        for name, parser in commands.choices.items()
    }
    words = dict.fromkeys(_HOST_COMMANDS, tuple(HOSTS)) | {"completion": SHELLS}
    around.say(script(given.shell, flags, words).rstrip("\n"))
    return 0

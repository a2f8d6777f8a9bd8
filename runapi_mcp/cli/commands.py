"""The commands people type, as opposed to hosts: their flags, and what each does with them.

The environment and the streams come from the command line; what a command needs is imported when it runs.
"""

from runapi_mcp.cli.ask import add_tools
from runapi_mcp.cli.chat import add_chat
from runapi_mcp.cli.completion import add_completion
from runapi_mcp.cli.doctor import add_doctor
from runapi_mcp.cli.history import add_history, add_resume
from runapi_mcp.cli.install import add_install
from runapi_mcp.cli.key import add_key
from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings
from runapi_mcp.cli.token import add_token_command
from runapi_mcp.cli.try_out import add_trying
from runapi_mcp.cli.usage import add_usage

__all__ = ["Parser", "Subparsers", "Surroundings", "add_commands"]


def add_commands(commands: Subparsers, whole: Parser) -> None:
    """Add the parsers of every command here; each sets `person` to what carries it out.

    Args:
        commands: Where they are added.
        whole: The parser that they are commands of.
    """
    add_tools(commands)
    add_resume(commands)
    add_chat(commands)
    add_history(commands)
    add_install(commands)
    add_key(commands)
    add_token_command(commands)
    add_usage(commands)
    add_doctor(commands)
    add_trying(commands)
    add_completion(commands, whole)

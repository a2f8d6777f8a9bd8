"""token: make, revoke and list the bearer tokens that a server of yours hands out."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError

DEEDS: Final = ("add", "revoke", "list")


def add_token_command(commands: Subparsers) -> None:
    """Add token."""
    token = add_command(
        commands,
        "token",
        "make, revoke and list the tokens of a server of yours",
        takes=f"{'|'.join(DEEDS)} [NAME] --tokens FILE",
        examples=[
            "runapi-mcp token add ann --tokens /etc/runapi-mcp/tokens",
            "runapi-mcp token revoke ann --tokens /etc/runapi-mcp/tokens",
        ],
        description="add makes a token for NAME, shows it once and writes its hash into FILE; revoke takes "
        "NAME's tokens out, or the one of --id; list shows whose there are. A running server reads FILE "
        "again within two seconds.",
    )
    token.add_argument("deed", choices=DEEDS, metavar="|".join(DEEDS))
    token.add_argument("name", nargs="?", metavar="NAME", help="whose token it is")
    token.add_argument("--tokens", metavar="FILE", required=True, help="the file of serve --auth token")
    token.add_argument("--id", metavar="ID", help="with revoke: which of NAME's tokens, as list shows it")
    token.add_argument("--admin", action="store_true", help="with add: its holder sees what everybody used")
    token.set_defaults(person=_token)


def _token(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp.transports.http.tokens import add_token, list_tokens, revoke_tokens

    path = Path(given.tokens)
    if given.deed == "list":
        return _list(path, around)
    if not given.name:
        raise InputError("Whose token?", advice=f"runapi-mcp token {given.deed} NAME --tokens {path}")
    if given.deed == "add":
        token = add_token(path, given.name, datetime.now(UTC).date(), admin=given.admin)
        around.say(token)
        around.note(f"This is {given.name}'s new token; it is shown this once. {path} holds its hash.")
        others = sum(line.name == given.name for line in list_tokens(path)) - 1
        if others:
            around.note(f"Of {given.name}'s older tokens {others} still hold, until revoked; see token list.")
        return 0
    count = revoke_tokens(path, given.name, given.id)
    around.say(f"{given.name}: {count} token{'' if count == 1 else 's'} revoked.")
    left = sum(line.name == given.name for line in list_tokens(path))
    if left:
        around.note(f"{given.name} still has {left}.")
    return 0


def _list(path: Path, around: Surroundings) -> int:
    from runapi_mcp.transports.http.tokens import list_tokens

    if not path.exists():
        raise InputError(f"There is no {path}.", advice="runapi-mcp token add NAME makes it.")
    lines = list_tokens(path)
    width = max((len(line.name) for line in lines), default=0)
    for line in lines:
        note = line.note if line.hashed else "in clear text: add another, then revoke this one"
        note = f"admin  {note}" if line.admin else note
        around.say(f"{line.name:{width}}  {line.id}  {note}".rstrip())
    if not lines:
        around.note(f"{path} holds no token.")
    return 0

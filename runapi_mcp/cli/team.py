"""token and usage: whose bearer tokens a server of yours takes, and who used what."""

import argparse
import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError, StoreDown

if TYPE_CHECKING:
    from runapi_mcp.generations.spending import Row

_DEEDS: Final = ("add", "revoke", "list")


def add_token_command(commands: Subparsers) -> None:
    """Add token."""
    token = add_command(
        commands,
        "token",
        "make, revoke and list the tokens of a server of yours",
        takes=f"{'|'.join(_DEEDS)} [NAME] --tokens FILE",
        examples=[
            "runapi-mcp token add ann --tokens /etc/runapi-mcp/tokens",
            "runapi-mcp token revoke ann --tokens /etc/runapi-mcp/tokens",
        ],
        description="add makes a token for NAME, shows it once and writes its hash into FILE; revoke takes "
        "NAME's tokens out, or the one of --id; list shows whose there are. A running server reads FILE "
        "again within two seconds.",
    )
    token.add_argument("deed", choices=_DEEDS, metavar="|".join(_DEEDS))
    token.add_argument("name", nargs="?", metavar="NAME", help="whose token it is")
    token.add_argument("--tokens", metavar="FILE", required=True, help="the file of serve --auth token")
    token.add_argument("--id", metavar="ID", help="with revoke: which of NAME's tokens, as list shows it")
    token.add_argument("--admin", action="store_true", help="with add: its holder sees what everybody used")
    token.set_defaults(person=_token)


def _token(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp.transports.http.tokens import add_token, list_tokens, revoke_tokens

    path = Path(given.tokens)
    if given.deed == "list":
        return _list_tokens(path, around)
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


def _list_tokens(path: Path, around: Surroundings) -> int:
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


# ---------------------------------------------------------------- usage


_DAYS: Final = 7
_HEAD: Final = ("DAY", "WHO", "MODEL", "CALLS", "READ", "WRITTEN", "SEARCHES", "COST")
_LEFT: Final = 3
"""Columns of words; the others are numbers."""


def add_usage(commands: Subparsers) -> None:
    """Add usage."""
    usage = add_command(
        commands,
        "usage",
        "show who used what, by day, from the store",
        takes="[OPTIONS] [WHO]",
        examples=["runapi-mcp usage --days 31", "runapi-mcp usage ann --store redis://localhost:6379/0"],
        description="Shows generations, tokens and cost by day (UTC), caller and model, of this machine, "
        "or of all servers that share --store. A month is kept.",
    )
    usage.add_argument("who", nargs="?", metavar="WHO", help="this caller alone")
    usage.add_argument(
        "--days", type=int, default=_DAYS, metavar="N", help=f"how many days. Default: {_DAYS}"
    )
    usage.add_argument("--json", action="store_true", help="print it as JSON")
    usage.set_defaults(person=_usage)


def _usage(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    rows = [row for row in anyio.run(_read, given.days, around) if given.who in (None, row.principal)]
    if given.json:
        around.say_json(json.dumps([row.as_json() for row in rows], ensure_ascii=False, indent=2))
    elif rows:
        _show(rows, around)
    else:
        around.note("Nothing was used, or by another key or base URL.")
    return 0


async def _read(days: int, around: Surroundings) -> "list[Row]":
    import time

    from runapi_mcp.generations.spending import sort_rows
    from runapi_mcp.generations.store import shared_store
    from runapi_mcp.generations.store.engine import Down

    shared = shared_store(around.settings(), time.monotonic, around.env)
    if shared is None:
        raise InputError("Nothing is kept: RUNAPI_MCP_STORE says so.", advice="Name the server's store.")
    async with shared.opened():
        with suppress(Down):
            return sort_rows(await shared.days.read(max(days, 1)))
    raise StoreDown("What was used cannot be read: the store does not answer.", advice="Check --store.")


def _show(rows: "list[Row]", around: Surroundings) -> None:
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell.ljust(width) if place < _LEFT else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        around.say("  ".join(padded).rstrip())
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.counts)
    if total["unpriced"]:
        around.note(f"Of {total['unpriced']:,} of these calls the cost is not known.")


def _cells(row: "Row") -> tuple[str, ...]:
    counts = row.counts
    written = counts["output_tokens"] + counts["thinking_tokens"]
    numbers = (counts["generations"], counts["input_tokens"], written, counts["searches"])
    cost = " ".join(f"{sum_:,.4f} {unit}" for unit, sum_ in row.costs.items()) or "-"
    return (row.day, row.principal, row.model, *(f"{number:,}" for number in numbers), cost)

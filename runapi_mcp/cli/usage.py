"""usage: who used what on this machine or a server of yours, by day."""

import argparse
import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError, StoreDown

if TYPE_CHECKING:
    from runapi_mcp.generations.spending import Row

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

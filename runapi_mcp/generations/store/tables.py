"""What the file of SQLite holds: its tables, and what each operation does to them.

Text is kept as bytes, for it may hold half a surrogate pair, which UTF-8 cannot. Nothing here is newer than
SQLite 3.24: RHEL 8 has not much more.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Final

from runapi_mcp.generations.store import engine as do
from runapi_mcp.generations.store.engine import LENIENT, Entry, Op

if TYPE_CHECKING:
    import sqlite3  # imported in the engine's thread, at the first call

_ROWS: Final = 100
"""Rows that one statement is about: SQLite before 3.32 takes no more than 999 values."""

SCHEMA: Final = """
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS generations (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, server TEXT NOT NULL, epoch INTEGER NOT NULL,
  handle TEXT NOT NULL, owner TEXT NOT NULL, live BLOB NOT NULL, final BLOB,
  delivered INTEGER NOT NULL DEFAULT 0, expires INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (
  generation INTEGER PRIMARY KEY REFERENCES generations ON DELETE CASCADE, json BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
  generation INTEGER NOT NULL REFERENCES generations ON DELETE CASCADE, position INTEGER NOT NULL,
  round INTEGER NOT NULL, characters INTEGER NOT NULL, text BLOB NOT NULL, thoughts BLOB NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS entries_in_order ON entries (generation, position);
CREATE TABLE IF NOT EXISTS leases (key TEXT PRIMARY KEY, holder TEXT NOT NULL, expires INTEGER NOT NULL)
WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fields (
  key TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, expires INTEGER NOT NULL,
  PRIMARY KEY (key, field)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
  id INTEGER PRIMARY KEY, server TEXT NOT NULL, text BLOB NOT NULL, expires INTEGER NOT NULL);
"""
# Facts stand apart, for SQLite writes a row anew whenever anything in it changes.

_BEGIN: Final = """
INSERT OR REPLACE INTO generations (name, server, epoch, handle, owner, live, expires) VALUES {rows}
"""
_FACTS: Final = """
INSERT INTO facts WITH told (name, json) AS (VALUES {rows})
SELECT id, json FROM told JOIN generations USING (name)
"""
_HELD: Final = """
WITH told (name, server, epoch, at) AS (VALUES {rows})
SELECT group_concat(name || ' ' || id) FROM told JOIN generations USING (name, server, epoch)
WHERE ifnull((SELECT max(position) FROM entries WHERE generation = id), -1) = at - 1
"""
_ENTRIES: Final = "INSERT INTO entries VALUES {rows}"
_STANDS: Final = """
INSERT INTO generations (name, server, epoch, handle, owner, live, final, expires)
WITH told (name, json, over, till) AS (VALUES {rows})
SELECT name, server, epoch, handle, owner, ifnull(json, live), over, till
FROM told JOIN generations USING (name) WHERE true
ON CONFLICT (name) DO UPDATE SET live = excluded.live, final = excluded.final, expires = excluded.expires
"""
_HOLD: Final = """
INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (key)
DO UPDATE SET holder = excluded.holder, expires = excluded.expires
WHERE expires <= ? OR ? = '*' OR holder IN (excluded.holder, ?)
"""
# Who comes back after days reads before anything is cleared away.
_READ: Final = """
SELECT id, server, epoch, live, final, delivered FROM generations
WHERE name = ? AND (final IS NULL OR expires > ?)
"""
_ADD: Final = """
INSERT INTO fields VALUES {rows} ON CONFLICT (key, field)
DO UPDATE SET value = value + excluded.value, expires = excluded.expires
"""


def perform(file: "sqlite3.Connection", ops: Sequence[Op], now: int) -> Sequence[Any]:
    """Do operations of one kind, and return what each gives; `now` is the wall clock, in milliseconds.

    Of beginnings and batches there are as many at once as generations run, so they are done together.
    """
    begun = [op for op in ops if isinstance(op, do.Begin)]
    appended = [op for op in ops if isinstance(op, do.Append)]
    if begun:
        return _begin(file, begun, now)
    return _append(file, appended, now) if appended else [_perform_one(file, op, now) for op in ops]


def _perform_one(file: "sqlite3.Connection", op: Op, now: int) -> Any:  # noqa: ANN401  # one case an operation
    row: tuple[str | bytes | int, ...]
    match op:
        case do.Read():
            return _read(file, op, now)
        case do.Deliver():
            file.execute("UPDATE generations SET delivered = 1 WHERE name = ?", (op.name,))
        case do.Forget():
            file.execute("DELETE FROM generations WHERE name = ?", (op.name,))
        case do.Hold():
            row = (op.key, op.holder, now + op.ms, now, op.replaces, op.replaces)
            held = None if file.execute(_HOLD, row).rowcount else _read_lease(file, op.key, now)
            return held[0] if held else op.holder
        case do.Held():
            return _read_lease(file, op.key, now)
        case do.Add():
            _add(file, op, now)
        case do.Take():
            return _take(file, op, now)
        case do.Get():
            return dict(file.execute("SELECT field, value FROM fields WHERE key = ?", (op.key,)))
        case do.Tell():
            row = (op.server, encode(f"{op.order} {op.name}"), now + 60_000)
            file.execute("INSERT INTO orders (server, text, expires) VALUES (?, ?, ?)", row)
    return None


def _begin(file: "sqlite3.Connection", ops: Sequence[do.Begin], now: int) -> Sequence[bool]:
    rows = [(op.name, op.server, op.epoch, op.handle, op.owner, encode(op.live), now + op.ms) for op in ops]
    _about(file, _BEGIN, rows)
    _about(file, _FACTS, [(op.name, encode(op.facts)) for op in ops])
    return [True] * len(ops)


def _append(file: "sqlite3.Connection", ops: Sequence[do.Append], now: int) -> Sequence[bool]:
    """Add to the generations of which what is held is what their server thinks; return which those are."""
    told = [(op.name, op.server, op.epoch, op.at) for op in ops]
    ids = dict(pair.split(" ") for (said,) in _about(file, _HELD, told) if said for pair in said.split(","))
    right = [op for op in ops if op.name in ids]
    entries = [
        (int(ids[op.name]), at, each.round, len(each.text), encode(each.text), encode(each.thoughts))
        for op in right
        for at, each in enumerate(op.entries, op.at)
    ]
    stands = [
        (op.name, encode(op.live) if op.live else None, encode(op.final) if op.final else None, now + op.ms)
        for op in right
        if op.live or op.final or not op.entries
    ]
    _about(file, _ENTRIES, entries)
    _about(file, _STANDS, stands)
    return [op.name in ids for op in ops]


def _about(file: "sqlite3.Connection", sql: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Run a statement about rows, as many at once as old SQLites take, and return what it gives.

    With each statement the thread lets go of the interpreter, and to get it back from a busy event loop
    costs both of them more than SQLite takes.
    """
    given: list[tuple[Any, ...]] = []
    for at in range(0, len(rows), _ROWS):
        some = rows[at : at + _ROWS]
        marks = ", ".join([f"({', '.join('?' * len(some[0]))})"] * len(some))
        given += file.execute(sql.format(rows=marks), [*chain.from_iterable(some)])
    return given


def _read(file: "sqlite3.Connection", op: do.Read, now: int) -> do.Record | None:
    found = file.execute(_READ, (op.name, now)).fetchone()
    if found is None:
        return None
    id_, server, epoch, live, final, delivered = found
    facts = ""
    if op.facts:
        [kept] = file.execute("SELECT json FROM facts WHERE generation = ?", (id_,)).fetchone()
        facts = decode(kept)
    first, count, beside = int(op.cursor or 0), -1, (0, 0)
    if op.part is not None and final is not None:
        first, count, beside = _find_part(file, id_, op.part) or (first, count, beside)
    since = "SELECT position, round, text, thoughts FROM entries WHERE generation = ? AND position >= ?"
    rows = file.execute(f"{since} ORDER BY position LIMIT ?", (id_, first, count))
    entries = [
        (str(position + 1), Entry(number, decode(text), decode(thoughts)))
        for position, number, text, thoughts in rows
    ]
    return do.Record(
        server,
        str(epoch),
        facts,
        decode(live),
        bool(delivered),
        entries,
        beside=beside,
    )


def _find_part(file: "sqlite3.Connection", id_: int, part: range) -> tuple[int, int, tuple[int, int]] | None:
    """Return the first entry of a part, of how many, and the characters beside them; `None` for all."""
    sql = "SELECT round, characters FROM entries WHERE generation = ? ORDER BY position"
    rows: list[tuple[int, int]] = file.execute(sql, (id_,)).fetchall()
    ends = [*accumulate(characters for _, characters in rows)]
    if not rows or rows[-1][0] > 1 or part.start >= ends[-1]:
        return None
    first, last = bisect_right(ends, part.start), min(bisect_left(ends, part.stop), len(ends) - 1)
    return first, last - first + 1, (ends[first] - rows[first][1], ends[-1] - ends[last])


def _add(file: "sqlite3.Connection", op: do.Add, now: int) -> None:
    mark, turn = f"added:{op.server}", str(op.turn)
    if (held := _read_lease(file, mark, now)) and held[0] == turn:
        return
    file.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (mark, turn, now + do.ADDED_MS))
    _about(file, _ADD, [(op.key, name, count, now + op.ms) for name, count in op.counts.items()])


def _take(file: "sqlite3.Connection", op: do.Take, now: int) -> int | None:
    rows = file.execute("SELECT field, value FROM fields WHERE key = ? AND expires > ?", (op.key, now))
    held = {field: [int(word) for word in value.split()] for field, value in rows}
    own = held.pop(op.field, None)
    if own is not None and op.turn <= own[1]:
        return None
    if op.limit >= 0 and op.there and own is None:
        return do.LOST
    others = sum(count for count, _ in held.values())
    if 0 <= op.limit < others + op.count:
        return others
    row = (op.key, op.field, f"{op.count} {op.turn}", now + op.ms)
    file.execute("INSERT OR REPLACE INTO fields VALUES (?, ?, ?, ?)", row)
    return None


def _read_lease(file: "sqlite3.Connection", key: str, now: int) -> tuple[str, int] | None:
    row = file.execute("SELECT holder, expires FROM leases WHERE key = ?", (key,)).fetchone()
    return (row[0], row[1] - now) if row and row[1] > now else None


def encode(text: str) -> bytes:
    """Return a text as it is kept."""
    return text.encode("utf-8", "surrogatepass")


def decode(held: bytes) -> str:
    """Return the text that was kept; bytes of others, as far as they are one."""
    return held.decode("utf-8", LENIENT)

"""What is written of a generation, and what is read of it: without a Redis between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from fleet.replicas import job
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.engine import START, Entry, Record
from runapi_mcp.generations.store.records import Facts, Stand, read, write
from runapi_mcp.generations.store.redis import _entry as read_entry
from runapi_mcp.generations.store.replica import CUT, STALE, Replica
from runapi_mcp.generations.store.sqlite import SqliteEngine
from runapi_mcp.generations.store.writer import MOST_CHARS, Log
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import ThoughtDelta


def generation_with(text: str) -> Generation:
    return Generation(replace(job("How long?"), begin=text), anyio.current_time)


@dataclass(frozen=True)
class Batch:
    entries: Sequence[Entry]
    live: str
    final: str


def all_batches(generation: Generation) -> list[Batch]:
    """What is told of a generation at once, as long as there is more."""
    log, batches = Log(generation, "name"), list[Batch]()
    while not batches or log.more:
        batches.append(Batch(*log.batch()))
    return batches


def copied(generation: Generation, batches: list[Batch]) -> Replica:
    facts = Facts(generation.job, generation.created)
    nowhere = SqliteEngine(Path("nowhere"))
    copy = Replica(nowhere, "name", generation.handle, facts, record(batches[0]))
    for number, batch in enumerate(batches[1:], 1):
        assert copy.take(record(batch, number))
    return copy


def record(batch: Batch, number: int = 0, epoch: str = "1") -> Record:
    entries = [(f"{number}-{at + 1}", entry) for at, entry in enumerate(batch.entries)]
    return Record("server", epoch, "", batch.live, delivered=False, entries=entries, more=False)


async def test_a_long_text_is_written_and_read_to_its_last_character() -> None:
    text = "".join(f"{number:07}\n" for number in range(400_000))
    generation = generation_with(text)
    generation.abandon()
    batches = all_batches(generation)
    assert [bool(batch.final) for batch in batches] == [False] * (len(batches) - 1) + [True]
    view = copied(generation, batches).view()
    assert view.answer.text == text
    assert (view.status, view.note) == ("cancelled", "")
    assert view.answer == generation.view().answer


async def test_beyond_what_is_shared_the_text_is_cut_and_says_so() -> None:
    generation = generation_with("x" * (MOST_CHARS + 10))
    generation.abandon()
    view = copied(generation, all_batches(generation)).view()
    assert len(view.answer.text) == MOST_CHARS
    assert view.note == CUT


async def test_nothing_is_due_once_all_of_it_is_told_until_it_is_told_anew() -> None:
    generation = generation_with("Some text.")
    log = Log(generation, "name")
    assert log.due
    log.batch()
    assert not log.due
    generation.abandon()
    assert log.due
    log.batch()
    assert not log.due
    log.begin_anew()
    assert log.due
    assert log.batch()[0] == [Entry(1, "Some text.", "")]


async def test_a_later_round_is_told_from_its_own_beginning() -> None:
    generation = generation_with("abc")
    log = Log(generation, "name")
    log.batch()
    generation._earlier = ["abcd"]
    generation._round.fold.feed(ThoughtDelta("o"))
    entries, _, _ = log.batch()
    assert entries == [Entry(1, "d", ""), Entry(2, "abc", "o")]
    generation._earlier = ["abcd", "abc"]
    generation._round.fold = Fold()
    entries, _, _ = log.batch()
    assert entries == [Entry(3, "", "")], "which says that it has begun"


async def test_a_text_that_is_written_anew_is_read_anew() -> None:
    generation = generation_with("First, and then more.")
    batches = all_batches(generation)
    copy = copied(generation, batches)
    assert copy.cursor == "0-1"
    assert not copy.take(record(replace(batches[0], entries=()), epoch="2"))
    assert (copy.cursor, copy.text(1), copy.evidence().tail) == (START, "", "")
    assert copy.take(record(batches[0], 7, epoch="2"))
    assert (copy.cursor, copy.text(1)) == ("7-1", "First, and then more.")


async def test_a_copy_says_what_its_server_left_when_it_is_gone() -> None:
    copy = copied(generation_with("Half of it"), all_batches(generation_with("Half of it")))
    assert copy.status == "running"
    copy.stale = True
    assert copy.view().note == STALE
    copy.alive = False
    view = copy.view()
    assert (view.status, view.receipt.status, view.note) == ("partial", "partial", "")
    assert "its server went away" in str(view.error)
    assert getattr(view.error, "partial", None) == "Half of it"


async def test_facts_name_no_owner() -> None:
    generation = Generation(job("Whose?", owner="user:ann"), anyio.current_time)
    text = write(Facts.of(generation))
    assert "ann" not in text
    assert read(Facts, text) == Facts(replace(generation.job, owner=""), generation.created)


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{}", '{"job": 1}', "[" * 100_000, '{"job": {}}'])
@pytest.mark.parametrize("kind", [Facts, Stand])
def test_what_another_version_wrote_is_a_value_error(kind: type, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(kind, text)


@pytest.mark.parametrize("fields", [{}, {"round": "1"}, {"round": "x", "text": "", "thoughts": ""}])
def test_an_entry_of_another_version_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_entry(fields)

"""What is written of a generation, and what is read of it: without a Redis between them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from fleet.replicas import job
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.protocol import START, Entry, Record
from runapi_mcp.generations.store.records import (
    MOST_CHARS,
    Batch,
    Facts,
    Written,
    due,
    facts_read,
    facts_written,
    next_batch,
)
from runapi_mcp.generations.store.redis import _entry as read_entry
from runapi_mcp.generations.store.replica import CUT, STALE, Copy, Known


def generation_with(text: str) -> Generation:
    return Generation(replace(job("How long?"), begin=text), anyio.current_time)


def all_batches(generation: Generation) -> list[Batch]:
    """What is written of a generation at once, as long as there is more."""
    written, batches = Written(), list[Batch]()
    while not batches or written.more:
        batches.append(next_batch(generation, written))
        written = written.after(batches[-1])
    return batches


def copied(generation: Generation, batches: list[Batch], epoch: str = "1") -> Copy:
    copy = Copy(generation.handle, Facts(generation.job, generation.created))
    for number, batch in enumerate(batches):
        assert copy.take(known(batch, epoch), found(batch.entries, number))
    return copy


def known(batch: Batch, epoch: str = "1") -> Known:
    return Known.of(record(epoch, batch.live, batch.final))


def record(epoch: str, live: str, final: str = "") -> Record:
    return Record("server", epoch, "", live, final, delivered=False, entries=(), more=False)


def found(entries: tuple[Entry, ...], number: int) -> list[tuple[str, Entry]]:
    return [(f"{number}-{at + 1}", entry) for at, entry in enumerate(entries)]


async def test_a_long_text_is_written_and_read_to_its_last_character() -> None:
    text = "".join(f"{number:07}\n" for number in range(400_000))
    generation = generation_with(text)
    generation.abandon()
    batches = all_batches(generation)
    assert [bool(batch.final) for batch in batches] == [False] * (len(batches) - 1) + [True]
    view = copied(generation, batches).view(generation.created)
    assert view.answer.text == text
    assert (view.status, view.note) == ("cancelled", "")
    assert view.answer == generation.view().answer


async def test_beyond_what_is_shared_the_text_is_cut_and_says_so() -> None:
    generation = generation_with("x" * (MOST_CHARS + 10))
    generation.abandon()
    view = copied(generation, all_batches(generation)).view(generation.created)
    assert len(view.answer.text) == MOST_CHARS
    assert view.note == CUT


async def test_nothing_is_due_once_all_of_it_is_written() -> None:
    generation = generation_with("Some text.")
    assert due(generation, Written())
    written = Written().after(next_batch(generation, Written()))
    assert not due(generation, written)
    generation.abandon()
    assert due(generation, written)
    written = written.after(next_batch(generation, written))
    assert not due(generation, written)


async def test_a_later_round_is_counted_from_its_own_beginning() -> None:
    batch = next_batch(generation_with(""), Written())
    entries = (Entry(1, "abc", "th"), Entry(2, "", ""), Entry(2, "de", "o"))
    written = Written(text=4, thoughts=1).after(replace(batch, entries=entries))
    assert (written.entries, written.total) == (3, 8)
    assert (written.round, written.text, written.thoughts) == (2, 2, 1)


async def test_a_text_that_is_written_anew_is_read_anew() -> None:
    generation = generation_with("First, and then more.")
    batches = all_batches(generation)
    copy = copied(generation, batches)
    assert copy.cursor == "0-1"
    again = known(batches[0], "2")
    assert not copy.take(again, [])
    assert (copy.cursor, copy.text(1), copy.tail()) == (START, "", "")
    assert copy.take(again, found(batches[0].entries, 7))
    assert (copy.cursor, copy.text(1)) == ("7-1", "First, and then more.")


async def test_a_copy_says_what_its_server_left_when_it_is_gone() -> None:
    copy = copied(generation_with("Half of it"), all_batches(generation_with("Half of it")))
    assert copy.status == "running"
    copy.stale = True
    assert copy.view(copy.facts.created).note == STALE
    copy.alive = False
    view = copy.view(copy.facts.created + timedelta(hours=1))
    assert (view.status, view.receipt.status, view.note) == ("partial", "partial", "")
    assert "its server went away" in str(view.error)
    assert getattr(view.error, "partial", None) == "Half of it"


async def test_facts_name_no_owner_and_get_the_one_who_asks() -> None:
    facts = Facts(job("Whose?", owner="user:ann"), datetime(2026, 5, 4, tzinfo=UTC))
    text = facts_written(facts)
    assert "ann" not in text
    assert facts_read(text, "user:ann") == facts


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{}", '{"job": 1}', "[" * 100_000, '{"job": {}}'])
def test_what_another_version_wrote_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        facts_read(text, "ann")
    with pytest.raises(ValueError, match=r".+"):
        Known.of(record("1", text))


@pytest.mark.parametrize("fields", [{}, {"round": "1"}, {"round": "x", "text": "", "thoughts": ""}])
def test_an_entry_of_another_version_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_entry(fields)

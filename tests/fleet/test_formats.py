"""What is written of a generation, and what is read of it: without a Redis between them."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from fleet.replicas import job
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.store.protocol import START, Entry, Record
from runapi_mcp.generations.store.records import (
    MOST_CHARS,
    Batch,
    Ending,
    Facts,
    Live,
    Written,
    due,
    next_batch,
    read,
    write,
)
from runapi_mcp.generations.store.redis import _entry as read_entry
from runapi_mcp.generations.store.replica import CUT, STALE, Copy


def generation_with(text: str) -> Generation:
    return Generation(replace(job("How long?"), begin=text), anyio.current_time)


def all_batches(generation: Generation) -> list[Batch]:
    """What is written of a generation at once, as long as there is more."""
    written, batches = Written(), list[Batch]()
    while not batches or written.more:
        batches.append(next_batch(generation, written))
        written = batches[-1].after
    return batches


def copied(generation: Generation, batches: list[Batch]) -> Copy:
    facts = Facts(generation.job, generation.created)
    copy = Copy(generation.handle, facts, record(batches[0]))
    for number, batch in enumerate(batches[1:], 1):
        assert copy.take(record(batch, number))
    return copy


def record(batch: Batch, number: int = 0, epoch: str = "1") -> Record:
    entries = [(f"{number}-{at + 1}", entry) for at, entry in enumerate(batch.entries)]
    return Record("server", epoch, "", batch.live, batch.final, delivered=False, entries=entries, more=False)


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


async def test_nothing_is_due_once_all_of_it_is_written() -> None:
    generation = generation_with("Some text.")
    assert due(generation, Written())
    written = next_batch(generation, Written()).after
    assert not due(generation, written)
    generation.abandon()
    assert due(generation, written)
    written = next_batch(generation, written).after
    assert not due(generation, written)


async def test_a_later_round_is_counted_from_its_own_beginning() -> None:
    entries = (Entry(1, "abc", "th"), Entry(2, "", ""), Entry(2, "de", "o"))
    written = Written(text=4, thoughts=1).after(entries)
    assert (written.entries, written.total) == (3, 8)
    assert (written.round, written.text, written.thoughts) == (2, 2, 1)


async def test_a_text_that_is_written_anew_is_read_anew() -> None:
    generation = generation_with("First, and then more.")
    batches = all_batches(generation)
    copy = copied(generation, batches)
    assert copy.cursor == "0-1"
    assert not copy.take(record(replace(batches[0], entries=()), epoch="2"))
    assert (copy.cursor, copy.text(1), copy.tail()) == (START, "", "")
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
@pytest.mark.parametrize("kind", [Facts, Live, Ending])
def test_what_another_version_wrote_is_a_value_error(kind: type, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read(kind, text)


@pytest.mark.parametrize("fields", [{}, {"round": "1"}, {"round": "x", "text": "", "thoughts": ""}])
def test_an_entry_of_another_version_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_entry(fields)

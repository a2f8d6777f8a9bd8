"""Rounds: what follows a wrong answer, what all of them come to, and when a text is looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from waiting import ended

from generations.played import STOP, Gate, Passing, Step, bench, job
from runapi_mcp.errors import Interrupted, StreamCut
from runapi_mcp.generations.policy import Looks, Plain
from runapi_mcp.settings import Settings
from runapi_mcp.wire.types import (
    Answer,
    Call,
    FunctionCallDelta,
    Grounding,
    JsonObject,
    Source,
    TextDelta,
    Usage,
)
from runapi_mcp.wire.usage import add_usage, all_tokens

AGAIN = replace(job().call, system="Again.")


@dataclass
class Repairing(Plain):
    """Asks again until an answer is right, and gives up on a text that goes wrong."""

    seen: list[tuple[str, ...]] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        self.seen.append((*earlier, answer.text))
        return None if "right" in answer.text or len(earlier) == 2 else AGAIN

    def describe(self, text: str) -> str:
        self.looked_at.append(text)
        return f"{len(text)} letters"

    def hopeless(self, text: str) -> str:
        return "it went astray" if "astray" in text else ""


@dataclass
class Judging(Repairing):
    """Counts the letters of every round, and asks again as it was told."""

    told: list[JsonObject | None] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    async def judge(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        self.begun.append(begin)
        return {"letters": [len(text) for text in texts]}

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        self.told.append(verdict)
        return super().follow_up(answer, earlier, verdict)


class Linking(Plain):
    """Has the links of an answer resolved."""

    def links(self, answer: Answer) -> tuple[str, ...]:
        return tuple(source.url for source in answer.grounding.sources)


# ---------------------------------------------------------------- follow-ups


async def test_a_wrong_answer_is_followed_up_and_the_tokens_of_all_rounds_count() -> None:
    policy = Repairing()
    wrong: list[Step] = [TextDelta("wrong"), STOP, Usage(3, 5)]
    right: list[Step] = [TextDelta("right"), STOP, Usage(4, None, 2)]
    async with bench(wrong, right) as made:
        generation = await made.ended(job(), policy=policy)
        view = generation.view()
    assert [asked.call for asked in made.upstream.asked] == [job().call, AGAIN]
    assert policy.seen == [("wrong",), ("wrong", "right")]
    assert (view.status, view.answer.text, view.earlier) == ("complete", "right", ("wrong",))
    assert view.receipt.tokens == Usage(7, 5, 2)
    assert (view.receipt.rounds, view.receipt.requests) == (2, 2)


async def test_two_generations_of_one_course_do_not_know_of_each_other() -> None:
    policy = Repairing()
    async with bench([TextDelta("right"), STOP]) as made:
        await made.ended(job("One"), policy=policy)
        await made.ended(job("Two"), policy=policy)
    assert policy.seen == [("right",), ("right",)]


async def test_what_a_resume_continues_belongs_to_its_first_round() -> None:
    gate = Gate()
    second: list[Step] = [TextDelta("ri"), gate, TextDelta("ght"), STOP]
    async with bench([TextDelta("rong"), STOP], second) as made:
        generation = await made.start(job(begin="A long beginning, w"), policy=Repairing())
        await gate.reached.wait()
        assert generation.evidence().phase == "writing"
        gate.open.set()
        await ended(generation)
        view = generation.view()
    assert (view.earlier, view.answer.text) == (("A long beginning, wrong",), "right")


async def test_all_rounds_together_have_the_deadline_and_the_patience_of_one() -> None:
    steps: list[Step] = [Passing(10), TextDelta("wrong"), STOP]
    async with bench(steps, steps, steps, settings=Settings(deadline=100.0)) as made:
        generation = await made.ended(job(), policy=Repairing())
    assert generation.receipt.rounds == 3
    assert [asked.within for asked in made.upstream.asked] == [100, 90, 80]
    assert [asked.patience for asked in made.upstream.asked] == [50, 40, 30]


async def test_every_round_is_judged_once_and_the_last_verdict_is_kept() -> None:
    policy = Judging()
    async with bench([TextDelta("rong"), STOP], [TextDelta("right"), STOP]) as made:
        generation = await made.ended(job(begin="w"), policy=policy)
    assert policy.told == [{"letters": [5]}, {"letters": [5, 5]}]
    assert policy.begun == ["w", "w"]
    assert generation.view().verdict == generation.view().verdict == {"letters": [5, 5]}


async def test_what_a_cut_round_came_to_is_judged_and_a_verdict_counts_against_the_bytes_kept() -> None:
    class Wordy(Judging):
        async def judge(self, texts: Sequence[str], begin: str) -> JsonObject | None:
            return {"said": "x" * 10_000}

    async with bench([TextDelta("wrong"), StreamCut("It stopped.")]) as made:
        generation = await made.ended(job(), policy=Wordy())
    assert generation.view().verdict == {"said": "x" * 10_000}
    assert generation.size > 20_000


async def test_a_cut_second_round_keeps_what_the_first_wrote() -> None:
    async with bench([TextDelta("wrong"), STOP], [StreamCut("It stopped.")]) as made:
        view = (await made.ended(job(), policy=Repairing())).view()
    assert (view.status, view.earlier) == ("failed", ("wrong",))


async def test_every_round_counts_against_the_bytes_kept() -> None:
    wrong: list[Step] = [TextDelta("w" * 10_000), FunctionCallDelta(0, "1", "f", "x" * 10_000), STOP]
    async with bench(wrong, [TextDelta("right"), STOP]) as made:
        generation = await made.ended(job(), policy=Repairing())
    assert 20_000 < generation.size < 40_000  # a call of a function is no part of what is kept of a round


# ---------------------------------------------------------------- giving up


async def test_a_hopeless_text_ends_its_round_and_is_followed_up() -> None:
    gate = Gate()
    async with bench([TextDelta("It goes astray"), gate], [TextDelta("right"), STOP]) as made:
        view = (await made.ended(job(), policy=Repairing())).view()
    assert not gate.reached.is_set()
    assert (view.status, view.hopeless, view.earlier) == ("complete", "", ("It goes astray",))


async def test_a_last_round_without_hope_says_why_it_was_ended() -> None:
    async with bench([TextDelta("It goes astray"), Gate()]) as made:
        view = (await made.ended(job(), policy=Repairing())).view()
    assert (view.status, view.hopeless, view.receipt.rounds) == ("partial", "it went astray", 3)
    assert isinstance(view.error, Interrupted)
    assert view.error.partial == "It goes astray"


async def test_progress_says_what_the_text_amounts_to_without_reading_it_at_every_look() -> None:
    policy, gate = Repairing(), Gate()
    async with bench([TextDelta("x" * 1000), gate, TextDelta("y"), STOP]) as made:
        generation = await made.start(job(), policy=policy)
        await gate.reached.wait()
        for _ in range(10):
            assert generation.evidence().described == "1000 letters"
    assert len(policy.looked_at) == 1


# ---------------------------------------------------------------- links


async def test_the_links_of_an_answer_are_resolved_before_it_has_ended() -> None:
    grounded: list[Step] = [TextDelta("Found."), Grounding((Source("https://x.test/1"),)), STOP]
    async with bench(grounded) as made:
        view = (await made.ended(job(), policy=Linking())).view()
    assert made.upstream.resolved == [("https://x.test/1",)]
    assert view.links == {"https://x.test/1": "https://x.test/1/resolved"}


async def test_nothing_is_resolved_for_an_answer_without_links() -> None:
    async with bench() as made:
        await made.ended(job(), policy=Linking())
    assert not made.upstream.resolved


# ---------------------------------------------------------------- looks


def due(looks: Looks, length: int) -> bool:
    """Whether a text of this length is to be looked at; then it was."""
    if length < looks.next:
        return False
    looks.note(length)
    return True


def test_a_growing_text_is_looked_at_often_at_first_and_then_at_every_quarter_more() -> None:
    looks = Looks()
    lengths = [length for length in range(100_000) if due(looks, length)]
    assert lengths[:3] == [1, 17, 33]
    assert all(after - before >= min(before // 4, 16) for before, after in pairwise(lengths))
    assert len(lengths) < 60


def test_all_looks_together_read_a_text_a_few_times_over() -> None:
    looks = Looks()
    assert sum(length for length in range(1_000_000) if due(looks, length)) < 5_000_000 + 100_000


def test_nothing_is_not_looked_at_and_no_length_twice() -> None:
    looks = Looks()
    assert not due(looks, 0)
    assert due(looks, 500)
    assert not due(looks, 500)


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, None, None),
        (Usage(1), None, Usage(1)),
        (None, Usage(1), Usage(1)),
        (Usage(1, 2, None, None), Usage(10, None, 30, None), Usage(11, 2, 30, None)),
        (Usage(0), Usage(0), Usage(0)),
    ],
)
def test_what_was_said_is_added_up_and_what_was_not_stays_unsaid(
    one: Usage | None, other: Usage | None, both: Usage | None
) -> None:
    assert add_usage(one, other) == both


def test_thinking_counts_and_what_was_not_said_does_not() -> None:
    counted: Callable[[Usage | None], int] = all_tokens
    assert [counted(usage) for usage in (Usage(10, 20, 30, 5), Usage(None, 20), None)] == [60, 20, 0]

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import fold

from runapi_mcp.errors import Blocked, EmptyAnswer, FailedMidway, StreamCut
from runapi_mcp.wire.fold import Ending, Fold, join_texts
from runapi_mcp.wire.types import (
    Done,
    Event,
    Failure,
    Finish,
    FunctionCall,
    FunctionCallDelta,
    Grounding,
    PromptBlocked,
    Served,
    Source,
    Support,
    TextDelta,
    ThoughtDelta,
    Usage,
)

STOP = Finish("stop", "stop")
HALF = [TextDelta("Ha"), TextDelta("lf")]

unfinished_events = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(max_size=5)),
        st.builds(ThoughtDelta, st.text(max_size=5)),
        st.builds(Usage, st.integers(0, 9)),
        st.builds(FunctionCallDelta, st.integers(0, 2), st.just("a"), st.text(max_size=2), st.just("{}")),
        st.just(Done()),
        st.just(Served("m")),
        st.just(Grounding((Source("https://a.example"),))),
    )
)  # fmt: skip


@given(unfinished_events)
def test_a_stream_without_a_finish_is_never_an_answer(stream: list[Event]) -> None:
    folded = fold(stream)
    assert not folded.finished
    with pytest.raises(StreamCut) as raised:
        folded.answer()
    assert raised.value.partial == "".join(e.text for e in stream if isinstance(e, TextDelta))


@given(unfinished_events, unfinished_events)
def test_a_failure_is_never_an_answer_wherever_it_comes(before: list[Event], after: list[Event]) -> None:
    with pytest.raises(FailedMidway):
        fold([*before, Failure("no"), *after, STOP]).answer()


@given(unfinished_events.map(lambda stream: [TextDelta("x"), *stream]))
def test_a_finish_at_the_end_makes_an_answer_of_everything_before_it(stream: list[Event]) -> None:
    folded = fold([*stream, STOP])
    answer = folded.answer()
    assert answer.text == "".join(e.text for e in stream if isinstance(e, TextDelta))
    assert answer.thoughts == "".join(e.text for e in stream if isinstance(e, ThoughtDelta))
    assert folded.characters == len(answer.text)
    assert folded.thought_characters == len(answer.thoughts)


@pytest.mark.parametrize("confirmation", [STOP, Usage(1), Done()])
def test_text_after_a_finish_takes_it_back_until_it_is_confirmed(confirmation: Event) -> None:
    stream: Sequence[Event] = [STOP, *HALF]
    assert isinstance(fold(stream).error(), StreamCut)
    assert fold([*stream, confirmation]).answer().text == "Half"


def test_a_thought_or_a_source_after_the_finish_does_not_take_it_back() -> None:
    assert fold([*HALF, STOP, ThoughtDelta("hm"), Grounding()]).answer().text == "Half"


@pytest.mark.parametrize(
    ("stream", "error", "words"),
    [
        ([], StreamCut, "before any answer came"),
        (HALF, StreamCut, "stopped in the middle"),
        ([PromptBlocked("SAFETY"), Usage(1)], Blocked, r"blocked the prompt \(SAFETY\)"),
        ([PromptBlocked("\u202e<b>")], Blocked, r"\(b\)"),
        ([PromptBlocked("…")], Blocked, "no reason given"),
        ([Finish("SAFETY", "filtered")], Blocked, r"before it had any text \(SAFETY\)"),
        ([ThoughtDelta("hm"), Finish("length", "length")], EmptyAnswer, "used up the whole output limit"),
        ([STOP], EmptyAnswer, r"finished \(stop\) without writing an answer\."),
        ([Finish("OTHER", "unknown", "It was, well.")], EmptyAnswer, "an answer: It was, well"),
        ([*HALF, Failure("no", status=503)], FailedMidway, r"error \(503\): “no”\."),
        ([Failure("")], FailedMidway, "no reason was given"),
    ],
)
def test_an_ending_that_is_no_answer_says_what_happened(
    stream: list[Event], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fold(stream).answer()


def test_a_failure_keeps_the_text_before_and_the_first_one_counts() -> None:
    with pytest.raises(FailedMidway, match="first") as raised:
        fold([*HALF, Failure("first", retry_after=3.0), Failure("second")]).answer()
    assert raised.value.partial == "Half"
    assert raised.value.retry_after == 3.0


def test_an_answer_blocked_after_some_text_says_so_in_its_finish() -> None:
    answer = fold([*HALF, PromptBlocked("SAFETY")]).answer()
    assert answer.finish == Finish("SAFETY", "filtered")


@pytest.mark.parametrize("reason", ["stop", "unknown"])
def test_a_finish_after_a_function_call_is_a_call_for_it(reason: str) -> None:
    said = Finish("X", "stop" if reason == "stop" else "unknown")
    answer = fold([FunctionCallDelta(0, "a", "f", "{"), FunctionCallDelta(0, "", "", "}"), said]).answer()
    assert answer.finish == Finish("X", "tool")
    assert answer.function_calls == (FunctionCall("a", "f", "{}"),)


class Weighed(str):
    """Text that counts the characters which adding it to other text copies."""

    copied = 0
    __slots__ = ()

    def __add__(self, other: str) -> "Weighed":
        return self._counted(str.__add__(self, other))

    def __radd__(self, other: str) -> "Weighed":
        return self._counted(str.__add__(other, self))

    def _counted(self, made: str) -> "Weighed":
        Weighed.copied += len(made)
        return Weighed(made)


def test_what_adding_to_a_call_copies_does_not_grow_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Weighed, "copied", 0)
    deltas = [FunctionCallDelta(0, "a", "f", Weighed("x" * 50)) for _ in range(200)]
    assert fold([*deltas, STOP]).answer().function_calls == (FunctionCall("a", "f", "x" * 50 * 200),)
    assert Weighed.copied <= 50 * 200


def test_a_call_that_is_read_twice_is_joined_once() -> None:
    folded = fold([FunctionCallDelta(0, "a", "f", "{"), FunctionCallDelta(0, "", "", "}" * 50)])
    (once,), (again,) = folded.partial().function_calls, folded.partial().function_calls
    assert once.arguments is again.arguments


@pytest.mark.parametrize(
    ("event", "empty"),
    [
        (TextDelta("x"), False),
        (FunctionCallDelta(0, "", "f", ""), False),
        (TextDelta(""), True),
        (ThoughtDelta("hm"), True),
        (Grounding((Source("https://a.example"),)), True),
        (STOP, True),
    ],
)
def test_a_fold_is_empty_until_text_or_a_call_has_come(event: Event, *, empty: bool) -> None:
    assert Fold().empty
    assert fold([event]).empty is empty


events_of_all_kinds = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(max_size=5)),
        st.builds(ThoughtDelta, st.text(max_size=5)),
        # Ids that upstream left out are made, and not held.
        st.builds(FunctionCallDelta, st.integers(0, 2), st.just(""), *[st.text(max_size=3)] * 3),
        st.builds(
            Grounding,
            st.lists(
                st.builds(Source, *[st.text(max_size=3)] * 2, st.just("relay"), st.text(max_size=3))
            ).map(tuple),
            st.lists(st.builds(Support, st.just(0), st.just(0), st.text(max_size=3), st.just((0,)))).map(
                tuple
            ),
            st.lists(st.text(max_size=3)).map(tuple),
        ),
    )
)


@given(events_of_all_kinds)
def test_the_size_is_the_characters_of_all_that_is_held(stream: list[Event]) -> None:
    folded = fold(stream)
    held = folded.partial()
    assert folded.size == sum(
        map(
            len,
            [
                held.text,
                held.thoughts,
                *(said for c in held.function_calls for said in (c.name, c.arguments, c.signature)),
                *(said for s in held.grounding.sources for said in (s.url, s.title, s.snippet)),
                *(support.text for support in held.grounding.supports),
                *held.grounding.queries,
            ],
        )
    )


def test_function_calls_come_in_the_order_of_their_index() -> None:
    stream: list[Event] = [FunctionCallDelta(1, "b", "g", ""), FunctionCallDelta(0, "a", "f", ""), STOP]
    assert [call.id for call in fold(stream).answer().function_calls] == ["a", "b"]


def test_a_later_usage_replaces_only_what_it_names() -> None:
    folded = fold([Usage(8, 1, 2, 3), Usage(9, None, None, None)])
    assert folded.usage == Usage(9, 1, 2, 3)
    assert fold([Usage(8, 1), Usage(None, 2, 5, 7)]).usage == Usage(8, 2, 5, 7)


def test_the_model_that_served_is_named() -> None:
    assert fold([Served("m"), *HALF, STOP]).answer().model == "m"


@given(st.lists(st.text(max_size=4), max_size=8), st.integers(1, 20))
def test_the_tail_is_the_end_of_the_text(pieces: list[str], characters: int) -> None:
    assert fold([TextDelta(piece) for piece in pieces]).tail(characters) == "".join(pieces)[-characters:]


def test_the_tail_is_of_the_thoughts_while_there_is_no_text() -> None:
    folded = fold([ThoughtDelta("thinking")])
    assert folded.tail(3) == "ing"
    folded.feed(TextDelta("x"))
    assert folded.tail(3) == "x"


def test_a_fold_can_be_read_while_it_grows() -> None:
    folded = Fold()
    folded.feed(TextDelta("a"))
    assert folded.partial().text == "a"
    folded.feed(TextDelta("b"))
    assert folded.partial().text == "ab"


def test_nothing_more_is_due_once_text_usage_and_finish_have_come() -> None:
    ending = Ending()
    stream: list[tuple[Event, bool]] = [
        (Usage(1), False),
        (STOP, False),
        (TextDelta("x"), False),
        (STOP, True),
    ]
    for event, settled in stream:
        ending.feed(event)
        assert ending.settled is settled


def test_a_finish_after_a_failure_is_none_and_a_failure_after_the_finish_is_forgivable() -> None:
    assert not fold([*HALF, Failure("no"), STOP]).finished
    assert fold([*HALF, STOP, Failure("no")]).finished


def test_an_error_after_the_finish_is_kept_with_the_answer_if_there_is_one() -> None:
    late = Failure("busy", 503)
    assert fold([*HALF, STOP, late]).answer().failure == late
    assert isinstance(fold([STOP, late]).error(), FailedMidway)
    assert isinstance(fold([*HALF, late, STOP]).error(), FailedMidway)


def test_a_block_after_some_text_is_no_stop() -> None:
    assert fold([*HALF, STOP, PromptBlocked("SAFETY")]).answer().finish == Finish("SAFETY", "filtered")


counts = st.none() | st.integers(0, 2)
mixed_events = st.lists(
    st.one_of(
        st.builds(TextDelta, st.sampled_from("ab")),
        st.builds(Usage, counts, counts, counts, counts),
        st.sampled_from(
            [STOP, Done(), Failure("no"), ThoughtDelta("t"), Served("m"), PromptBlocked("SAFETY")]
        ),
    )
)


@given(mixed_events, st.integers(0, 9))
def test_what_came_together_adds_up_to_what_came_apart(events: list[Event], parted: int) -> None:
    apart, together = fold(events), fold([*join_texts(events[:parted]), *join_texts(events[parted:])])
    assert together.partial() == apart.partial()
    assert vars(together.ending) == vars(apart.ending)


def test_texts_that_came_together_are_one_with_the_last_count_before_it() -> None:
    assert join_texts([Usage(9, 1), TextDelta("a"), Usage(9, 2), TextDelta("b"), STOP]) == [
        Usage(9, 2),
        TextDelta("ab"),
        STOP,
    ]
    assert join_texts([STOP, TextDelta("a"), Usage(9, 2)]) == [STOP, TextDelta("a"), Usage(9, 2)]

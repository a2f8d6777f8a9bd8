"""What is drawn: the end of a text, and nothing that commands a terminal."""

import re
import signal
import subprocess
from collections.abc import Callable

import pytest
from forked import forked
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.cli.outlet import printable
from runapi_mcp.cli.view import find_settled, tail
from runapi_mcp.sim import Simulator
from terminal.typed import Run, Screen

STORY = "\n".join(f"line {number}" for number in range(100))


def test_the_end_of_a_long_text_is_drawn() -> None:
    assert tail(STORY, 3) == "line 97\nline 98\nline 99"
    assert tail("short", 10) == "short"
    assert tail("", 10) == ""


def test_a_fence_that_opened_above_is_opened_again() -> None:
    text = "before\n```python\n" + STORY
    assert tail(text, 2) == "```\nline 98\nline 99"
    assert tail(text + "\n```\nafter", 1) == "after"


def test_control_characters_are_not_drawn() -> None:
    assert printable("a\x1b[2Jb\x07\x9b1mc\r") == "a[2Jb1mc\n"
    assert printable("tab\tline\nÜnï 🌱 👩‍🚀") == "tab\tline\nÜnï 🌱 👩‍🚀"
    assert printable("half \ud83c") == "half �"


def test_a_very_long_line_is_cut_to_its_end() -> None:
    assert len(tail("x" * 1_000_000, 10)) <= 20_000


BLOCKS: tuple[str, ...] = (
    "A paragraph\nof two lines.",
    "# A heading",
    "- one\n- two\n\n- three",
    "1. a\n\n   more of a\n\n2. b",
)
BLOCKS += (
    "```py\na = 1\n\nb = 2\n```",
    "~~~\n```\n\nx\n~~~",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "> said\n> so",
)


@given(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6), st.data())
def test_what_is_whole_stays_whole_whatever_follows(blocks: list[str], data: st.DataObject) -> None:
    text = "\n\n".join(blocks)
    end = 0
    for cut in sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10))):
        before, end = end, find_settled(text[:cut], end)
        assert before <= end <= cut
    # Blocks alone: what was printed is some of them, whole.
    assert end == 0 or text[:end] in {"\n\n".join(blocks[:count]) + "\n\n" for count in range(len(blocks))}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("one\n\ntwo", "one\n\n"),
        ("one\n\n", ""),
        ("one\n\n ", ""),
        ("- a\n\n- b\n\nafter", "- a\n\n- b\n\n"),
        ("- a\n\n1", ""),
        ("- a\n\n  more", ""),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n\nafter", "```\na\n\nb\n```\n\n"),
        ("one\n\n- a\n\n- b", "one\n\n"),
    ],
)
def test_a_block_is_whole_once_something_else_has_begun(text: str, whole: str) -> None:
    assert text[: find_settled(text)] == whole


LONG = "\n\n".join(f"paragraph {number}" for number in range(80))


def test_an_answer_taller_than_the_window_is_printed_once_from_top_to_bottom(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    sim.play(f"default text='{LONG}'")
    screen = terminal("ask", "Tell me", LINES="20", COLUMNS="80", NO_COLOR="1")
    assert screen.end() == 0
    # Each is drawn while it is written, and printed once it is whole: the last of each stand in order.
    found = [(int(number), at) for at, number in enumerate(re.findall(r"paragraph (\d+)\s", screen.seen))]
    places = dict(found)
    assert [places[number] for number in range(80)] == sorted(places.values())


def test_a_pipe_gets_the_text_as_it_comes(sim: Simulator, env: dict[str, str]) -> None:
    sim.play("stall-middle seconds=60")
    words = [*forked(), "ask", "--thoughts", "Hello?"]
    with subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        assert process.poll() is None
        process.kill()


def test_a_terminal_that_can_do_nothing_gets_the_text_as_it_comes_and_nothing_else(
    terminal: Callable[..., Screen], sim: Simulator
) -> None:
    sim.play("stall-middle seconds=60")
    screen = terminal("ask", "Hello?", TERM="dumb")
    screen.until(r"\w+ \w+")
    assert screen.process.poll() is None
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert "\x1b" not in screen.seen
    assert "▸" not in screen.seen


def test_the_models_fit_eighty_columns(run: Run) -> None:
    lines = run("models").stdout.splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) < 80

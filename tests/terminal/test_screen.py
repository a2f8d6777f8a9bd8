"""What is drawn: the end of a text, and nothing that commands a terminal."""

from runapi_mcp.cli.screen import printable, tail

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
    assert printable("a\x1b[2Jb\x07\x9b1mc\r") == "a�[2Jb��1mc�"
    assert printable("tab\tline\nÜnï 🌱 👩‍🚀") == "tab\tline\nÜnï 🌱 👩‍🚀"
    assert printable("half \ud83c") == "half �"


def test_a_very_long_line_is_cut_to_its_end() -> None:
    assert len(tail("x" * 1_000_000, 10)) <= 20_000

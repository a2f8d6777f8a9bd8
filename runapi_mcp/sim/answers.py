"""What the simulated model says: the same words for the same question, and honest about being simulated."""

import re
from collections.abc import Iterator
from itertools import chain, cycle, islice

DEFAULT_WORDS = 60

_SENTENCES = (
    "Words like these arrive in small pieces, at whatever pace the simulator was given.",
    "Nothing here was reasoned out — it is filler, written so that streaming can be watched.",
    "A café in Kraków, the Greek word λόγος and a small 🌱 keep the byte counts honest.",
    "The same question always gets the same sentences, so a resumed answer can be checked.",
    "Ask a real model through RunAPI when the content of an answer matters.",
)
_THOUGHTS = (
    "**Reading the question**\n\nThe simulator pretends to think about what was asked. ",
    "It notes the words it was given and finds them sufficient. ",
    "**Choosing an answer**\n\nA deterministic one is best, because tests compare it. ",
    "Now it writes. ",
)
_PARAGRAPH = 5


def plain_answer(question: str, words: int = DEFAULT_WORDS) -> str:
    """A text of exactly `words` words (at least one) that quotes the question and says it is simulated."""
    opening = f"This is a simulated answer: no model was asked. The question was “{quoted(question)}”."
    source = chain(opening.split(" "), chain.from_iterable(_paragraphs()))
    text = " ".join(islice(source, max(words, 1))).replace("\n\n ", "\n\n").strip()
    return text if text.endswith((".", "”.")) else text.rstrip("—,;: ") + "."


def _paragraphs() -> Iterator[list[str]]:
    return (_closing(number, sentence) for number, sentence in enumerate(cycle(_SENTENCES), 1))


def _closing(number: int, sentence: str) -> list[str]:
    words = sentence.split(" ")
    if number % _PARAGRAPH == 0:
        words[-1] += "\n\n"
    return words


def quoted(question: str, limit: int = 60) -> str:
    """The question on one line, cut to `limit` characters."""
    line = " ".join(question.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def thoughts(pieces: int = 4) -> list[str]:
    """The pieces of a simulated train of thought."""
    return list(islice(cycle(_THOUGHTS), pieces))


def rest_of(full: str, partial: str) -> str:
    """What is still to be said after `partial`, or all of `full` when that is no beginning of it."""
    if partial and full.startswith(partial) and len(partial) < len(full):
        return full[len(partial) :]
    return full


def first_words(text: str, count: int) -> str:
    """The first `count` words with the blanks between them, exactly as in the text."""
    return "".join(islice(re.findall(r"\s*\S+", text), count))


def count_words(text: str) -> int:
    """How many words a text has; the simulator counts one token a word."""
    return len(text.split())


def pieces(text: str, words: int = 6) -> list[str]:
    """The text in pieces of `words` words; joined they are the text again."""
    tokens = re.findall(r"\S+\s*|\s+", text)
    return ["".join(tokens[at : at + words]) for at in range(0, len(tokens), words)]


def slices(text: str, size: int = 24) -> list[str]:
    """The text in pieces of `size` characters, as JSON is streamed."""
    return [text[at : at + size] for at in range(0, len(text), size)]

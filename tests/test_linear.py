"""What reads strangers' text takes twice as long for twice as much of it, whatever the text is.

Processor time of one thread, the least of several tries, so that a busy machine spoils nothing: what is
linear takes twice as long, what is quadratic four times. Each scanner is fed texts that are nothing but one
piece, over and over, as a model that is stuck or somebody hostile writes them; `LAWS=by-chance` makes them up
to 4 MB long and joins pieces by chance.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import pytest
from pydantic import SecretStr

from runapi_mcp.citations.annotate import annotate, find_sentences
from runapi_mcp.citations.markdown import read_layout
from runapi_mcp.citations.report import check_report
from runapi_mcp.citations.sources import plain_title, safe_url
from runapi_mcp.errors import RunapiError
from runapi_mcp.extraction.folding import Folded, contradicts, fold_plain
from runapi_mcp.extraction.model_json import is_closed, scan_answer
from runapi_mcp.extraction.notation import find_days, find_figures, find_moments
from runapi_mcp.extraction.rounds import describe_progress, why_hopeless
from runapi_mcp.files.kinds import read_data_url
from runapi_mcp.generations.policy import find_loop, shorten_loops
from runapi_mcp.printable import escape_unseen, one_line, remove_unseen
from runapi_mcp.tools import TOOLS
from runapi_mcp.tools.coercion import list_of, read_object, read_scalar, read_text
from runapi_mcp.transports.http.options import HostName, read_origin, read_prefix
from runapi_mcp.transports.messages import LineSplitter, read
from runapi_mcp.upstream.redact import Redacting, redact
from runapi_mcp.wire.chunks import ThoughtTags, json_frames, split_thoughts, stray_failure
from runapi_mcp.wire.faults import allows_nothing, headline, read_failure_body, read_wait
from runapi_mcp.wire.function_calls import GrowingCalls
from runapi_mcp.wire.grounding import Citations
from runapi_mcp.wire.json_text import dump, dump_pieces
from runapi_mcp.wire.types import Answer, FunctionCallDelta, Grounding, Source, Support, TextDelta

BY_CHANCE: Final = os.environ.get("LAWS") == "by-chance"
LONGEST: Final = 4_000_000 if BY_CHANCE else 64_000
MOST: Final = 2.5
TELLING: Final = 0.002
"""Seconds that are long enough to be compared."""
MEMORY: Final = 5e-9
"""Seconds a character that memory itself takes, whose costs jump with the size of what is asked for."""
KEY: Final = SecretStr("sk-canary-0123456789")


def pieces(text: str) -> Iterable[str]:
    """The text as a stream brings it."""
    return (text[at : at + 40] for at in range(0, len(text), 40))


def cite(text: str) -> object:
    """The text with markers for a hundred stretches of it."""
    step = max(len(text) // 100, 1)
    supports = tuple(Support(at, at + step, "", (0,)) for at in range(0, len(text), step))
    sources = (Source("https://example.org/a", "A"),)
    return annotate(Answer(text=text, grounding=Grounding(sources, supports)), 20)


def read_thoughts(text: str) -> object:
    tags = ThoughtTags()
    told = [list(tags.feed(piece)) for piece in pieces(text)]
    return [*told, list(tags.end(followed=False))]


def read_flagged(text: str) -> object:
    tags = ThoughtTags()
    told = [list(tags.feed(piece, flagged=True)) for piece in pieces(text)]
    return [*told, list(tags.end(followed=False))]


def read_reasoning(text: str) -> object:
    citations = Citations()
    return [list(citations.reasoning(piece)) for piece in pieces(text)]


def take_key_out(text: str) -> object:
    redacting = Redacting(KEY)
    return [redacting.feed([TextDelta(piece)]) for piece in pieces(text)]


def join_call(text: str) -> object:
    calls = GrowingCalls()
    for piece in pieces(text):
        calls.add(FunctionCallDelta(index=0, id="", name="f", arguments=piece))
    return calls.joined()


def read_message(text: str) -> object:
    return read(text.encode("utf-8", "replace"))


def read_call(text: str) -> object:
    params = {"name": "ask_gemini", "arguments": {"prompt": text}}
    return read(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode())


def read_arguments(text: str) -> object:
    return TOOLS["ask_gemini"].args.read({"prompt": text, "files": text, "stop": text, "messages": text})


def read_names(text: str) -> object:
    names = dict.fromkeys(map(str, range(len(text) // 10)), text[:4])
    return TOOLS["ask_gemini"].args.read({"prompt": "?", "messages": [names]})


def split_lines(text: str) -> object:
    splitter = LineSplitter()
    return [splitter.feed(piece.encode("utf-8", "replace")) for piece in pieces(text)]


SCANNERS: Final[dict[str, Callable[[str], object]]] = {
    "sentences": lambda text: list(find_sentences(text)),
    "fences, tables, lists": read_layout,
    "markers and supports": cite,
    "links of an answer": lambda text: annotate(Answer(text=text), 20),
    "a report's markers": lambda text: check_report(text, {1: [text], 2: ["x"]}, contradicts),
    "titles": plain_title,
    "addresses": safe_url,
    "one line": lambda text: one_line(text, 300),
    "the unseen": remove_unseen,
    "the unseen in JSON": lambda text: escape_unseen(json.dumps(text)),
    "the key": lambda text: redact(text, KEY),
    "the key in a stream": take_key_out,
    "thoughts": read_thoughts,
    "flagged thoughts": read_flagged,
    "thoughts of a whole answer": split_thoughts,
    "sources in reasoning": read_reasoning,
    "function calls": join_call,
    "JSON in an answer": scan_answer,
    "JSON that is closed": is_closed,
    "partial JSON": lambda text: describe_progress(text, (("a",),)),
    "JSON without hope": lambda text: why_hopeless(text, frozenset({"object"})),
    "loops": find_loop,
    "loops, shortened": shorten_loops,
    "JSON text": dump,
    "JSON text in pieces": lambda text: list(dump_pieces([text])),
    "figures": lambda text: list(find_figures(text)),
    "days": lambda text: list(find_days(text)),
    "times": lambda text: list(find_moments(text)),
    "texts to compare": fold_plain,
    "what two texts say of each other": lambda text: contradicts(text, f"not {text}"),
    "a source to compare": lambda text: Folded(text).fold_written(),
    "a refusal's body": read_failure_body,
    "a refusal's headline": headline,
    "a refusal's wait": read_wait,
    "a refusal's quota": allows_nothing,
    "a body that is no stream": lambda text: list(json_frames(text)),
    "the end of a stream": stray_failure,
    "a message": read_message,
    "a call": read_call,
    "lines": split_lines,
    "arguments": read_arguments,
    "names of an argument": read_names,
    "a scalar": read_scalar,
    "a file's base64": lambda text: read_data_url(f"data:;base64,{text}", len(text)),
    "a file as text": lambda text: read_data_url(f"data:text/plain,{text}", len(text)),
    "a file in Punycode": lambda text: read_data_url(f"data:;charset=punycode,-{text}", len(text)),
    "a Host header": lambda text: HostName.parse(f"{text}!"),
    "an Origin header": lambda text: read_origin(f"http://{text}!"),
    "a proxy's prefix": lambda text: read_prefix(f"/{text}!"),
    "a list": list_of(read_text, ","),
    "an object": read_object,
}

PIECES: Final = (
    *(
        ". ",
        ".",
        "Dr. ",
        "A. ",
        "e.g. ",
        "a ",
        "a",
        "\n",
        " ",
        "\r\n",
        "\u3000",
        "a\n",
        "é",
        "你",
        "。",
        "🌱",
        "ﷺ",
    ),
    *("```\n", "~~~\n", "`", "*", "_", "|", "|a|\n|-|\n", "#\n", "- a\n", "    a\n", "> ", "[a]: b\n", "1. "),
    *("[", "](", "[a](", "[1]", "[1", "【3†", "[cite: 1", "https://a ", "https://", "<", "<!--", "$", "\\("),
    *("<think>", "</think>", "<think a", "<thought>", "\U0001f1e6", "\u200d", "\u0301", "\u2066", "\ufe0f"),
    *(
        "\U000e0061",
        "\U0001f3f4\U000e0067",
        "{",
        "[[",
        '{"a":',
        "[1,",
        '"',
        "\\",
        "\\u",
        "\\ud83d",
        '"a",',
        "1",
    ),
    *(
        "1,",
        "1e",
        ":",
        "12:",
        "1 May ",
        "2020-01-0",
        "s",
        "sk-canary-012345678",
        "&#",
        "%73",
        '{"error":',
        "retry in ",
    ),
)
"""What texts are made of."""


def texts() -> list[Callable[[int], str]]:
    """What makes a text of about so many characters, for each text there is to try."""
    chance = random.Random(None if BY_CHANCE else 7)
    units = list(PIECES)
    units += ["".join(chance.sample(PIECES, 2)) for _ in range(30 if BY_CHANCE else 10)]
    return [lambda size, unit=unit: unit * (size // len(unit)) + "a" for unit in units]  # type: ignore[misc]


def seconds(scan: Callable[[str], object], text: str) -> float:
    """Processor time that it takes."""
    began = time.thread_time()
    with suppress(RunapiError, ValueError):  # a refusal is an answer, too
        scan(text)
    return time.thread_time() - began


def double(scan: Callable[[str], object], make: Callable[[int], str], size: int, one: float = 0.0) -> float:
    """How many times as long twice a size takes, the least of several tries; 2 where memory is all of it.

    What a text of that size was just seen to take may be given.
    """
    once, twice = make(size), make(2 * size)
    ratio = 9.0
    for tries in range(8):
        # Mostly once tells; a second look is taken when a machine is busy.
        looks = 1 + (tries > 0)
        if tries or not one:
            one = min(seconds(scan, once) for _ in range(looks))
        two = min(seconds(scan, twice) for _ in range(looks))
        if two < len(twice) * MEMORY:
            return 2.0
        ratio = min(ratio, two / max(one, 1e-9))
        if ratio <= MOST:
            break
    return ratio


@pytest.mark.parametrize("name", SCANNERS)
def test_twice_the_text_takes_twice_the_time(name: str) -> None:
    scan = SCANNERS[name]
    seconds(scan, "a")  # what is loaded or built once
    for make in texts():
        size, one = 500, seconds(scan, make(500))
        while one < TELLING and size < LONGEST // 2:
            # A little more than would tell if it is linear; never very much more at once, for it may not be.
            size = min(int(size * min(max(1.3 * TELLING / max(one, 1e-9), 1.5), 16)), LONGEST // 2)
            one = seconds(scan, make(size))
        if one < TELLING:
            continue
        grows = double(scan, make, size, one)
        if grows > MOST:
            # From some length on a text may be read in another way, which is a step: what grows, grows on.
            goes_on = double(scan, make, 2 * size)
            shown = f"{grows:.1f} and {goes_on:.1f} times as long for twice {make(size)[:40]!r}"
            assert 1 <= goes_on <= MOST, f"{shown}, {size:,} characters"

"""The material of an extraction: how it is put to the model, and the texts in it that can be quoted.

One place knows both, so that an offset counts from where the caller's own text begins, and a file's from the
beginning of that file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from runapi_mcp.wire.types import Call, Part, Text

_MATERIAL: Final = "Material:\n"
_IN_FILES: Final = "The material is in the files."
_FILE: Final = re.compile(r"File ([^\n]{1,400}):\n\n")
_FOLDER: Final = re.compile(r"Files of [^\n]{1,400}:\n\n")
_DIFF: Final = re.compile(r"Diff ([^\n]{1,200}):\n\n")
_NEXT_FILE: Final = re.compile(r"\n(?=File [^\n]{1,400}:\n\n)")


class Source(NamedTuple):
    """A text of the material; `name` is its file's, empty for the text that was given as such."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Material:
    """What can be quoted, and whether there is more.

    Attributes:
        sources: The texts; a file's has its name.
        others: Whether there are files that are no text.
    """

    sources: tuple[Source, ...]
    others: bool


def write_material(text: str | None, instructions: str | None) -> tuple[Part, ...]:
    """Return what is put to the model behind the files: instructions, if any, and the text."""
    asked = f"Instructions: {instructions}" if instructions else ""
    if text is None:
        return (Text(f"{asked}\n\n{_IN_FILES}" if asked else _IN_FILES),)
    # Two parts, lest words of the instructions be taken for the beginning of the text.
    return (*((Text(asked),) if asked else ()), Text(f"{_MATERIAL}{text}"))


def read_material(call: Call) -> Material:
    """Return what can be quoted of the material in a call that :func:`write_material` took part in."""
    *files, last = call.turns[0].parts if call.turns else (Text(""),)
    sources: list[Source] = []
    others = False
    if isinstance(last, Text) and last.text.startswith(_MATERIAL):
        return Material((Source("", last.text.removeprefix(_MATERIAL)),), others=False)
    for part in files:
        if isinstance(part, Text):
            sources += _texts(part.text)
        else:
            others = True
    return Material(tuple(sources), others)


def _texts(written: str) -> Iterator[Source]:
    """Yield the texts of a file, a folder or a diff, without what was written around them."""
    if folder := _FOLDER.match(written):
        for one in _NEXT_FILE.split(written[folder.end() :]):
            yield from _texts(one)
    elif head := _FILE.match(written):
        yield Source(head[1], written[head.end() :].removesuffix("\n"))
    elif head := _DIFF.match(written):
        yield Source(head[1], written[head.end() :])

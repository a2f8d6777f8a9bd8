"""JSON, with or without comments and trailing commas: our member goes in, our member comes out."""

import json
from typing import Final

from runapi_mcp.hosts.formats.text import (
    CORRECT_IT,
    ConfigError,
    Member,
    Node,
    Path,
    Splice,
    gap_end,
    newline_of,
    place,
    scan,
    splice,
)
from runapi_mcp.wire.types import JsonObject, JsonValue

_UNIT: Final = "  "


def read(text: str) -> JsonObject:
    """Return what a text says; a blank one says nothing."""
    if not text.strip("\ufeff \t\r\n"):
        return {}
    return _an_object(scan(text).value)


def read_strict(text: str) -> JsonObject:
    """Return what a text says, where its host takes neither comments nor trailing commas."""
    if not text.strip("\ufeff \t\r\n"):
        return {}
    try:
        return _an_object(json.loads(text.removeprefix("\ufeff")))
    except json.JSONDecodeError as error:
        where = place(text.removeprefix("\ufeff"), error.pos)
        read(text)  # says in plainer words what no reader would take
        what = f"It is broken at {where}: this host reads no comments, and no comma after the last of a list."
        raise ConfigError(what, advice=CORRECT_IT) from None


def insert(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text with a new member at `path`; objects on the way are made."""
    if not text.strip("\ufeff \t\r\n"):
        nested: JsonObject = entry
        for key in reversed(path):
            nested = {key: nested}
        newline = newline_of(text)
        return text + _write(nested, "", _UNIT, newline) + newline
    node, depth = _deepest(scan(text), path)
    value = entry
    for key in reversed(path[depth + 1 :]):
        value = {key: value}
    return splice(text, _insertion(text, node, path[depth], value))


def replace(text: str, path: Path, entry: JsonObject) -> str:
    """Return a text in which the member at `path` has another value."""
    member = _find(scan(text), path)
    line = text[text.rfind("\n", 0, member.start) + 1 : member.start]
    indent = line if not line.strip() else None
    written = _write(entry, indent, _unit(text), newline_of(text))
    return splice(text, [Splice(member.node.start, member.node.end, written)])


def remove(text: str, path: Path) -> str:
    """Return a text without the member at `path`, as it was before :func:`insert`."""
    root = scan(text)
    parent = _find(root, path[:-1]).node if path[1:] else root
    return splice(text, _removal(text, parent, parent.members.index(_find(root, path))))


def _an_object(value: JsonValue) -> JsonObject:
    if not isinstance(value, dict):
        raise ConfigError("It is not a JSON object.", advice=CORRECT_IT)
    return value


def _deepest(node: Node, path: Path) -> tuple[Node, int]:
    """Return the deepest object that is there on the way to `path`, and how deep it is."""
    for depth, key in enumerate(path[:-1]):
        member = node.member(key)
        if member is None:
            return node, depth
        if not isinstance(member.node.value, dict):
            raise ConfigError(f"“{key}” is not an object.", advice="Correct it by hand first.")
        node = member.node
    return node, len(path) - 1


def _find(root: Node, path: Path) -> Member:
    node, member = root, None
    for key in path:
        member = node.member(key)
        if member is None:
            raise ConfigError(f"“{key}” is not there.")
        node = member.node
    if member is None:
        raise ConfigError("There is nothing to find.")
    return member


def _insertion(text: str, node: Node, key: str, value: JsonObject) -> list[Splice]:
    """Return the splices that put a member at the end of an object."""
    closing = node.end - 1
    last = node.members[-1] if node.members else None
    after = max(last.node.end, last.comma + 1) if last else node.start + 1
    at = _content_end(text, after, closing)
    inner, unit, newline = _indent_inside(text, node), _unit(text), newline_of(text)
    one_line = bool(node.members) and "\n" not in text[node.start : node.end]
    if one_line:
        new = f" {_quote(key)}: {_write(value, None, unit, newline)}"
    else:
        new = f"{newline}{inner}{_quote(key)}: {_write(value, inner, unit, newline)}"
    if not node.members and "\n" not in text[at:closing]:
        new += newline + inner.removesuffix(unit)
    if last and last.comma >= 0:
        return [Splice(at, at, new + ",")]
    if last and at != last.node.end:
        # A comment follows the last member: the comma goes before it, the new member after it.
        return [Splice(last.node.end, last.node.end, ","), Splice(at, at, new)]
    return [Splice(at, at, ("," if last else "") + new)]


def _removal(text: str, parent: Node, index: int) -> list[Splice]:
    """Return the splices that take a member out of an object."""
    member, closing = parent.members[index], parent.end - 1
    before = parent.members[index - 1] if index else None
    start = _content_end(text, before.node.end if before else parent.start + 1, member.start)
    end = member.node.end if member.comma < 0 else member.comma + 1
    if (
        not before
        and len(parent.members) == 1
        and not text[start:closing].replace(text[start:end], "").strip()
    ):
        return [Splice(start, closing if start == parent.start + 1 else end, "")]
    splices = [Splice(start, end, "")]
    if before and member.comma < 0 and before.comma < start:
        splices.append(Splice(before.comma, before.comma + 1, ""))
    elif before and member.comma < 0:
        splices = [Splice(before.comma, end, "")]
    return splices


def _content_end(text: str, start: int, end: int) -> int:
    """Return where the last comment or comma between two offsets ends; `start` if there is none."""
    at, content = start, start
    while at < end:
        if text[at] in " \t\r\n":
            at += 1
        elif text[at] == ",":
            at = content = at + 1
        else:
            at = content = _comment_end(text, at)
    return min(content, end)


def _comment_end(text: str, at: int) -> int:
    if text.startswith("//", at):
        line_end = text.find("\n", at)
        return len(text[: line_end if line_end >= 0 else len(text)].rstrip("\r"))
    return max(text.find("*/", at) + 2, at + 1)


def _indent_inside(text: str, node: Node) -> str:
    """Return the indentation of an object's members: as they have it, else one unit more than its line."""
    for member in node.members:
        lead = text[text.rfind("\n", 0, member.start) + 1 : member.start]
        if not lead.strip(" \t"):
            return lead
    line = text[text.rfind("\n", 0, node.start) + 1 : node.start]
    return line[: len(line) - len(line.lstrip(" \t"))] + _unit(text)


def _unit(text: str) -> str:
    """Return one step of a text's indentation."""
    first = gap_end(text, text.find("{") + 1)
    lead = text[text.rfind("\n", 0, first) + 1 : first]
    return lead if lead and not lead.strip(" \t") else _UNIT


def _quote(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)


def _write(value: JsonObject, indent: str | None, unit: str, newline: str) -> str:
    """Return a value as text, on one line without an indentation to go by."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return f"{newline}{indent}".join(lines)

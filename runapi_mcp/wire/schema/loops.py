"""Loops of references in a written schema, as Google takes them.

Its refusal states the rule: "ref loops are only supported if they include optional or nullable property
values, or a potentially-zero-length array items". Null counts as an option of `anyOf` alone, not in a list
of types; members that are named nowhere (`additionalProperties`) do not count as optional.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from runapi_mcp.wire.schema.keywords import as_list, as_object
from runapi_mcp.wire.types import JsonObject, JsonValue

_PREFIX = "#/$defs/"


def open_loops(schema: JsonObject, origins: Mapping[int, tuple[JsonObject, str]]) -> list[str]:
    """Open the loops that Google does not take; return what was left out for it, as JSON Pointers.

    Args:
        schema: The written schema; changed in place.
        origins: Where objects of it stood in the original, by id.
    """
    definitions = as_object(schema.get("$defs"))
    edges = {name: [*_forced(part, strict=False)] for name, part in definitions.items()}
    opened: list[str] = []
    for loop in _loops(edges):
        for name in loop:
            _open(definitions[name], loop, origins, opened)
    return opened


def needs(schema: JsonObject, names: Collection[str], guessed: Collection[int] = ()) -> Iterator[str]:
    """Yield those of the definitions `names` that every value of `schema` has a value of."""
    definitions = as_object(schema.get("$defs"))
    todo, seen = [*_forced(schema, strict=True, guessed=guessed)], set[str]()
    while todo:
        name = todo.pop()
        if name in names:
            yield name
        if name not in seen:
            seen.add(name)
            todo += _forced(definitions.get(name), strict=True, guessed=guessed)


def endless(schema: JsonObject, guessed: Collection[int]) -> str | None:
    """Return a definition that every value of `schema` needs and that needs itself, if there is one."""
    definitions = as_object(schema.get("$defs"))
    edges = {n: [*_forced(part, strict=True, guessed=guessed)] for n, part in definitions.items()}
    looping = {name for loop in _loops(edges) for name in loop}
    return next(needs(schema, looping, guessed), None)


def _forced(schema: JsonValue, *, strict: bool, guessed: Collection[int] = ()) -> Iterator[str]:
    """Yield the definitions that `schema` cannot do without: in JSON Schema's view, if `strict`."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if not isinstance(part, dict) or id(part) in guessed:
            continue
        if isinstance(reference := part.get("$ref"), str):
            yield reference.removeprefix(_PREFIX)
        todo += [below for below, _, _ in _steps(part, strict=strict)]


def _steps(part: JsonObject, *, strict: bool) -> Iterator[tuple[JsonValue, str, str]]:
    """Yield what every value of a subschema has a value of, with the keyword, and name, that asks for it."""
    options = as_list(part.get("anyOf"))
    nullable = any(as_object(option).get("type") == "null" for option in options)
    if len(options) == 1 or not (strict or nullable):
        yield from ((option, "", "") for option in options)
    members = as_object(part.get("properties"))
    for name in map(str, as_list(part.get("required"))):
        if name in members:
            yield members[name], "required", name
    if not strict and "additionalProperties" in part:
        yield part["additionalProperties"], "additionalProperties", ""
    least = part.get("minItems", 0)
    if isinstance(least, int) and least > 0:
        first = as_list(part.get("prefixItems"))
        for below in [*first[:least], *([part.get("items")] if least > len(first) else [])]:
            yield below, "minItems", ""


def _open(
    part: JsonValue,
    loop: Collection[str],
    origins: Mapping[int, tuple[JsonObject, str]],
    opened: list[str],
) -> bool:
    """Open every way from `part` back into the loop, at the step nearest to its end.

    Return whether one is left, which has to be opened further out.
    """
    if not isinstance(part, dict):
        return False
    closed = str(part.get("$ref", "")).removeprefix(_PREFIX) in loop
    for below, key, name in [*_steps(part, strict=False)]:
        if not _open(below, loop, origins, opened):
            continue
        if not key:
            closed = True
            continue
        if key == "required":
            part[key] = [other for other in as_list(part.get(key)) if other != name]
        if key != "required" or not part[key]:
            part.pop(key, None)
        opened.append(f"{origins.get(id(part), (part, ''))[1]}/{key}")
    return closed


def _loops(edges: Mapping[str, Iterable[str]]) -> Iterator[set[str]]:
    """Yield the sets of nodes that lead to each other (Tarjan's algorithm, without recursion)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for start in edges:
        if start in order:
            continue
        walk: list[tuple[str, Iterator[str]]] = []
        _enter(start, edges, order, lowest, stack, on_stack, walk)
        while walk:
            node, targets = walk[-1]
            for target in targets:
                if target not in edges:
                    continue
                if target not in order:
                    _enter(target, edges, order, lowest, stack, on_stack, walk)
                    break
                if target in on_stack:
                    lowest[node] = min(lowest[node], order[target])
            else:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[node])
                if lowest[node] == order[node]:
                    found = {stack.pop()}
                    while node not in found:
                        found.add(stack.pop())
                    on_stack -= found
                    if len(found) > 1 or node in edges[node]:
                        yield found


def _enter(
    node: str,
    edges: Mapping[str, Iterable[str]],
    order: dict[str, int],
    lowest: dict[str, int],
    stack: list[str],
    on_stack: set[str],
    walk: list[tuple[str, Iterator[str]]],
) -> None:
    order[node] = lowest[node] = len(order)
    stack.append(node)
    on_stack.add(node)
    walk.append((node, iter(edges[node])))

"""Strings and numbers that obey the simple keywords of a JSON Schema."""

from collections.abc import Mapping

from runapi_mcp.sim.patterns import matching

Schema = Mapping[str, object]

_FORMATS = {
    "date": "2024-05-17",
    "date-time": "2024-05-17T09:30:00Z",
    "time": "09:30:00Z",
    "duration": "P1DT2H",
    "email": "someone@example.org",
    "uri": "https://example.org/simulated",
    "url": "https://example.org/simulated",
    "uri-reference": "/simulated",
    "json-pointer": "/simulated",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}


def string(schema: Schema, name: str, index: int) -> str:
    """A string of the pattern, format and length asked for; `index` keeps the items of an array apart."""
    pattern, form = schema.get("pattern"), schema.get("format")
    if isinstance(pattern, str) and (made := matching(pattern)) is not None:
        text = made
    elif isinstance(form, str) and form in _FORMATS:
        text = _FORMATS[form]
    else:
        text = f"simulated {name}".strip()
    if index and not pattern and not form:
        text += f" {index + 1}"
    if isinstance(least := schema.get("minLength"), int):
        text = text.ljust(min(least, 1_000_000), "x")
    most = schema.get("maxLength")
    return text[:most] if isinstance(most, int) else text


def number(schema: Schema, index: int, *, whole: bool) -> float:
    """A number within the bounds and on the step asked for; `index` keeps the items of an array apart."""
    low, high = _bound(schema, "minimum"), _bound(schema, "maximum")
    above, below = _bound(schema, "exclusiveMinimum"), _bound(schema, "exclusiveMaximum")
    step = _bound(schema, "multipleOf") or (1.0 if whole else 0.5)
    floor = max((bound for bound in (low, above) if bound is not None), default=None)
    ceiling = min((bound for bound in (high, below) if bound is not None), default=None)
    if floor is None:
        floor = min(1.0, ceiling) if ceiling is not None else 1.0
        if ceiling is not None and floor == ceiling:
            floor = ceiling - step
    value = -(-floor // step) * step + index * step
    while value in (above, below):
        value += step
    if ceiling is not None and (value > ceiling or value == below):
        value = (floor + ceiling) / 2 if not whole else floor
    return value


def _bound(schema: Schema, word: str) -> float | None:
    bound = schema.get(word)
    return float(bound) if isinstance(bound, (int, float)) and not isinstance(bound, bool) else None

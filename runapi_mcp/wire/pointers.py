"""JSON Pointers (RFC 6901)."""


def escaped(key: str) -> str:
    """Return a key as a part of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")

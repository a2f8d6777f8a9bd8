"""What is shown of a config: our own entry, and of that no value that may be a secret.

A file is never shown as it is laid out: its lines may hold other servers' keys, and a config of one
line holds them all.
"""

import difflib
import re
from pathlib import Path
from typing import Final

from runapi_mcp.hosts.entries import ENVS, FORWARDS, KEYRING_VARIABLE, NAME
from runapi_mcp.hosts.rows import Host
from runapi_mcp.wire.types import JsonObject, JsonValue

PLACEHOLDER: Final = "YOUR_RUNAPI_TOKEN"
"""What stands in the place of a key that is to be filled in by hand."""
_HIDDEN: Final = "…"
_OTHERS: Final = "…"
"""What the entries of others are called in what is shown."""
_TELLING: Final = r"[\w-]*(?:key(?!ring)|token|secret|passw|auth|credential)[\w-]*"
_SECRET_NAME: Final = re.compile(_TELLING, re.IGNORECASE)
_SECRET_FLAG: Final = re.compile(rf"--?{_TELLING}", re.IGNORECASE)
_SECRET_SETTING: Final = re.compile(rf"((?:--?)?{_TELLING}=)(.+)", re.IGNORECASE | re.DOTALL)
_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")


def printed(host: Host, entry: JsonObject) -> str:
    """Return a config that holds our entry and nothing else, as the host writes it."""
    return host.format.insert("", (*host.path, NAME), masked(host, entry)).rstrip("\r\n")


def change(host: Host, old: JsonValue, new: JsonValue, file: Path) -> str:
    """Return the lines of our entry that come and go; empty if they differ in nothing that is shown.

    Args:
        host: Whose config it is.
        old: Our entry as it is; `None` if there is none.
        new: Our entry as it will be; `None` if there will be none.
        file: The config, for the heading.
    """
    lines = difflib.unified_diff(
        _beside_others(host, old),
        _beside_others(host, new),
        f"{file} (now)",
        f"{file} (then)",
        lineterm="",
        n=0,
    )
    # The numbers in @@ would be those of what is shown, not of the file.
    return "\n".join(line for line in lines if line.strip("+-") and not line.startswith("@@"))


def _beside_others(host: Host, entry: JsonValue) -> list[str]:
    text = host.format.insert("", (*host.path, _OTHERS), {})
    if isinstance(entry, dict):
        text = host.format.insert(text, (*host.path, NAME), masked(host, entry))
    # In JSON the line above our entry gets a comma; that is no change that anyone looks for.
    return text.replace(f'"{_OTHERS}": {{}},', f'"{_OTHERS}": {{}}').splitlines()


def masked(host: Host, entry: JsonObject) -> JsonObject:
    """Return an entry without the values that may be secret; references to variables stay."""
    shown: JsonObject = {}
    for name, value in entry.items():
        if name in (*ENVS, "headers") and isinstance(value, dict):
            shown[name] = {key: _variable(host, key, inner) for key, inner in value.items()}
        else:
            shown[name] = _masked("" if name in FORWARDS else name, value)
    return shown


def _variable(host: Host, name: str, value: JsonValue) -> JsonValue:
    harmless = isinstance(value, str) and (host.is_reference(value) or value == PLACEHOLDER)
    return value if harmless or name == KEYRING_VARIABLE else _HIDDEN


def _masked(name: str, value: JsonValue) -> JsonValue:
    match value:
        case _ if _SECRET_NAME.fullmatch(name):
            return _HIDDEN
        case dict():
            return {key: _masked(key, inner) for key, inner in value.items()}
        case list():
            flags = ["", *value]
            return [_masked(_named_by(before), inner) for before, inner in zip(flags, value, strict=False)]
        case str():
            return _USER.sub(f"{_HIDDEN}@", _SECRET_SETTING.sub(rf"\1{_HIDDEN}", value))
        case bool() | int() | float() | None:
            return value
    return str(value)  # a date of TOML's or YAML's


def _named_by(word: JsonValue) -> str:
    """Return the name that a flag gives to the word after it, if it is one that hides a secret."""
    flag = isinstance(word, str) and _SECRET_FLAG.fullmatch(word)
    return flag[0].lstrip("-") if flag else ""

"""The settings as flags: in groups where they are shown, and understood after every command."""

import argparse
from typing import TYPE_CHECKING, Final

from runapi_mcp.settings import Option, options

if TYPE_CHECKING:
    from runapi_mcp.commands.parser import Parser

_GROUPS: Final = {
    "RunAPI": ("base_url", "chat_path", "connect_timeout", "keyring"),
    "models": ("model", "search_model", "dialect"),
    "time": ("hold", "idle_timeout", "deadline"),
    "files": ("allow_dirs", "max_file_bytes"),
    "how much": (
        *("max_result_chars", "max_running", "max_waiting", "max_calls_per_user", "max_tokens_per_day"),
        *("max_event_bytes", "max_stream_bytes"),
    ),
    "what is kept": ("keep_seconds", "keep_generations", "keep_bytes", "store"),
    "logs, start": ("log", "log_content", "fast_boot"),
}
_OTHERS: Final = "others"
_METAVARS: Final = {
    "base_url": "URL",
    "chat_path": "PATH",
    "model": "ID",
    "search_model": "ID",
    "hold": "SECONDS",
    "idle_timeout": "SECONDS",
    "deadline": "SECONDS",
    "connect_timeout": "SECONDS",
    "keep_seconds": "SECONDS",
    "allow_dirs": "DIRS",
    "store": "URL",
}


def add_settings(parser: "Parser", *, default: str | None = None) -> None:
    """Add a flag for each setting, in groups."""
    left = {option.name: option for option in options()}
    for title, names in _GROUPS.items():
        group = parser.add_argument_group(f"settings: {title}", argument_default=default)
        for option in (left.pop(name) for name in names if name in left):
            _add(group, option, _about(option))
    if left:
        group = parser.add_argument_group(f"settings: {_OTHERS}", argument_default=default)
        for option in left.values():
            _add(group, option, _about(option))


def understand_settings(parser: "Parser") -> None:
    """Have a command understand the flags of the settings without showing them; its own go first."""
    taken = set(parser.names)
    group = parser.add_argument_group(argument_default=argparse.SUPPRESS)
    for option in options():
        if option.flag not in taken:
            _add(group, option, argparse.SUPPRESS)


def _add(group: "argparse._ArgumentGroup", option: Option, about: str) -> None:
    choices = f"{{{','.join(option.choices)}}}" if option.choices else ""
    group.add_argument(
        option.flag, dest=option.name, metavar=choices or _METAVARS.get(option.name, "N"), help=about
    )


def _about(option: Option) -> str:
    default = f"Default: {option.default_text}." if option.default_text else ""
    return " ".join(part for part in (option.about, default, option.env) if part).replace("%", "%%")

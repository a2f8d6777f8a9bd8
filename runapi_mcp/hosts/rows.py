"""The hosts: one row each, saying where its config is, how it is written, and what it hands to servers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal, TypeAlias

from runapi_mcp.hosts import entries
from runapi_mcp.hosts.entries import Shape
from runapi_mcp.hosts.formats import JSON, JSONC, TOML, YAML, Format
from runapi_mcp.hosts.machine import Machine

KeyWay: TypeAlias = Literal["inherit", "reference", "forward", "store"]
"""How a server comes by its key: it has the host's environment; the config refers to a variable of it;
the config names variables to hand on; or the config must hold the key itself."""


@dataclass(frozen=True)
class Reference:
    """How a config refers to a variable of the host's environment."""

    written: str
    pattern: re.Pattern[str]
    unset_stays: bool = False
    """Whether a reference to a variable that is not set arrives as it is written."""

    def to(self, variable: str) -> str:
        """Return a reference to a variable."""
        return self.written.replace("NAME", variable)

    def filled(self, text: str, env: Mapping[str, str]) -> str:
        """Return a text with its references filled in, as the host does it."""

        def value(found: re.Match[str]) -> str:
            name = next((group for group in found.groups() if group), "")
            return env.get(name, found[0] if self.unset_stays else "")

        return self.pattern.sub(value, text)


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes:
        id: What it is called on the command line.
        title: What people call it.
        format: How its config is written.
        path: Where in the config servers are named.
        places: Where the config may be, the likeliest first.
        shape: How an entry is written.
        key: How a server comes by its key, without further flags.
        reference: How the config refers to a variable, if it can.
        inherits: Whether servers get the host's whole environment.
        menu: Whether it is usually started from a menu, with a bare PATH.
        patience: Seconds it gives a server to start.
        modern: Whether it opens with `server/discover` instead of `initialize`.
        then: What to do once the entry is there.
    """

    id: str
    title: str
    format: Format
    path: tuple[str, ...]
    places: Callable[[Machine], tuple[PurePath, ...]]
    shape: Shape
    key: KeyWay
    reference: Reference | None = None
    inherits: bool = True
    menu: bool = False
    patience: float = 30.0
    modern: bool = False
    then: str = ""


_COLON: Final = Reference("${env:NAME}", re.compile(r"\$\{env:(\w+)\}"))
_BRACES: Final = Reference("${NAME}", re.compile(r"\$\{(\w+)(?::-[^}]*)?\}"), unset_stays=True)
_DOLLAR: Final = Reference("$NAME", re.compile(r"\$\{(\w+)\}|\$(\w+)"))
_CURLY: Final = Reference("{env:NAME}", re.compile(r"\{env:(\w+)\}"))
_SERVERS: Final = ("mcpServers",)


def _claude_desktop(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.app("Claude", "claude_desktop_config.json"),)


def _claude_code(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.named("CLAUDE_CONFIG_DIR", machine.at_home(), ".claude.json"),)


def _cursor(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.at_home(".cursor", "mcp.json"),)


def _vscode(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.app("Code", "User", "mcp.json"),)


def _windsurf(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.at_home(".codeium", "windsurf", "mcp_config.json"),)


def _zed(machine: Machine) -> tuple[PurePath, ...]:
    if machine.platform == "windows":
        return (machine.app("Zed", "settings.json"),)
    if machine.platform == "macos":
        return (machine.at_home(".config", "zed", "settings.json"),)
    return (machine.xdg("zed", "settings.json"),)


def _cline(machine: Machine) -> tuple[PurePath, ...]:
    """Return the place of the command line and newer builds, then that of the VS Code extension."""
    name = ("settings", "cline_mcp_settings.json")
    extension = machine.app("Code", "User", "globalStorage", "saoudrizwan.claude-dev", *name)
    return (machine.named("CLINE_DIR", machine.at_home(".cline"), "data", *name), extension)


def _codex(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.named("CODEX_HOME", machine.at_home(".codex"), "config.toml"),)


def _gemini_cli(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.at_home(".gemini", "settings.json"),)


def _goose(machine: Machine) -> tuple[PurePath, ...]:
    if machine.platform == "windows":
        return (machine.app("Block", "goose", "config", "config.yaml"),)
    if machine.platform == "macos":
        return (machine.at_home(".config", "goose", "config.yaml"),)
    return (machine.xdg("goose", "config.yaml"),)


def _opencode(machine: Machine) -> tuple[PurePath, ...]:
    return (machine.xdg("opencode", "opencode.json"), machine.xdg("opencode", "opencode.jsonc"))


_ROWS: Final = (
    Host(
        "claude-desktop",
        "Claude Desktop",
        JSON,
        _SERVERS,
        _claude_desktop,
        entries.plain,
        key="store",
        inherits=False,
        menu=True,
        then="Quit Claude Desktop and start it again.",
    ),
    Host(
        "claude-code",
        "Claude Code",
        JSON,
        _SERVERS,
        _claude_code,
        entries.typed,
        key="inherit",
        reference=_BRACES,
        modern=True,
        then="Start claude again; /mcp shows the server.",
    ),
    Host(
        "cursor",
        "Cursor",
        JSONC,
        _SERVERS,
        _cursor,
        entries.plain,
        key="reference",
        reference=_COLON,
        menu=True,
        then="Switch the server on in Cursor's settings, under MCP.",
    ),
    Host(
        "vscode",
        "VS Code",
        JSONC,
        ("servers",),
        _vscode,
        entries.typed,
        key="inherit",
        reference=_COLON,
        menu=True,
        then="Run “MCP: List Servers” in VS Code and start it.",
    ),
    Host(
        "windsurf",
        "Windsurf",
        JSONC,
        _SERVERS,
        _windsurf,
        entries.plain,
        key="reference",
        reference=_COLON,
        menu=True,
        then="Press refresh in Windsurf's list of MCP servers.",
    ),
    Host(
        "zed",
        "Zed",
        JSONC,
        ("context_servers",),
        _zed,
        entries.custom,
        key="inherit",
        menu=True,
        patience=60.0,
        then="Zed starts it by itself; the agent panel's settings show a green dot.",
    ),
    Host(
        "cline",
        "Cline",
        JSON,
        _SERVERS,
        _cline,
        entries.plain,
        key="store",
        inherits=False,
        menu=True,
        patience=1.5,
        then="Cline starts it by itself.",
    ),
    Host(
        "codex",
        "Codex CLI",
        TOML,
        ("mcp_servers",),
        _codex,
        entries.codex,
        key="forward",
        inherits=False,
        patience=1.0,
        then="Start codex again; /mcp shows the server.",
    ),
    Host(
        "gemini-cli",
        "Gemini CLI",
        JSONC,
        _SERVERS,
        _gemini_cli,
        entries.plain,
        key="reference",
        reference=_DOLLAR,
        then="Start gemini again; /mcp shows the server.",
    ),
    Host(
        "goose",
        "Goose",
        YAML,
        ("extensions",),
        _goose,
        entries.goose,
        key="forward",
        then="Start a new goose session.",
    ),
    Host(
        "opencode",
        "opencode",
        JSONC,
        ("mcp",),
        _opencode,
        entries.opencode,
        key="inherit",
        reference=_CURLY,
        patience=5.0,
        then="Start opencode again.",
    ),
)

HOSTS: Final[Mapping[str, Host]] = {host.id: host for host in _ROWS}
"""Every host by its id."""

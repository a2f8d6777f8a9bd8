"""The hosts: one row each, saying where its config is, how it is written, and what it hands to servers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal, TypeAlias

from runapi_mcp.hosts import entries, remote
from runapi_mcp.hosts import machine as places
from runapi_mcp.hosts.entries import Shape
from runapi_mcp.hosts.formats import JSON, JSONC, TOML, YAML, Format
from runapi_mcp.hosts.machine import Machine
from runapi_mcp.hosts.remote import RemoteShape

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

    def names(self, text: str) -> list[str]:
        """Return the variables that a text refers to."""
        return [name for found in self.pattern.finditer(text) for name in found.groups() if name]

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
        project: Where it keeps the config of one project, from the project's folder; empty if nowhere.
        shape: How an entry is written.
        key: How a server comes by its key, without further flags.
        reference: How the config refers to a variable, if it can.
        inherits: Whether servers get the host's whole environment.
        menu: Whether it is usually started from a menu, with a bare PATH.
        patience: Seconds it gives a server to start.
        modern: Whether it opens with `server/discover` instead of `initialize`.
        then: What to do once the entry is there.
        remote: How an entry for a server on the network is written; `None` if the config takes none.
        token: How the config refers to the variable with such a server's token, where that is not as
            it refers to any; what it makes itself needs none.
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
    project: str = ""
    menu: bool = False
    patience: float = 30.0
    modern: bool = False
    then: str = ""
    remote: RemoteShape | None = None
    token: Reference | None = None

    def is_reference(self, text: str) -> bool:
        """Whether a value in the config is nothing but a reference to a variable, without a default."""
        if self.reference is None or ":-" in text:
            return False
        return self.reference.pattern.fullmatch(text) is not None

    def fills_in(self, text: str) -> bool:
        """Whether a value in an entry of ours is nothing but a reference to a variable."""
        tokens = self.token is not None and self.token.pattern.fullmatch(text) is not None
        return tokens or self.is_reference(text)


_COLON: Final = Reference("${env:NAME}", re.compile(r"\$\{env:(\w+)\}"))
_BRACES: Final = Reference("${NAME}", re.compile(r"\$\{(\w+)(?::-[^}]*)?\}"), unset_stays=True)
_DOLLAR: Final = Reference("$NAME", re.compile(r"\$\{(\w+)\}|\$(\w+)"))
_CURLY: Final = Reference("{env:NAME}", re.compile(r"\{env:(\w+)\}"))
_SERVERS: Final = ("mcpServers",)

_ROWS: Final = (
    Host(
        "claude-desktop",
        "Claude Desktop",
        JSON,
        _SERVERS,
        places.claude_desktop,
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
        places.claude_code,
        entries.claude_code,
        project=".mcp.json",
        key="inherit",
        reference=_BRACES,
        modern=True,
        then="Start claude again; /mcp shows the server.",
        remote=remote.typed,
    ),
    Host(
        "cursor",
        "Cursor",
        JSONC,
        _SERVERS,
        places.cursor,
        entries.plain,
        project=".cursor/mcp.json",
        key="reference",
        reference=_COLON,
        menu=True,
        then="Switch the server on in Cursor's settings, under MCP.",
        remote=remote.plain,
    ),
    Host(
        "vscode",
        "VS Code",
        JSONC,
        ("servers",),
        places.vscode,
        entries.type_command,
        project=".vscode/mcp.json",
        key="inherit",
        reference=_COLON,
        menu=True,
        then="Run “MCP: List Servers” in VS Code and start it.",
        remote=remote.typed,
    ),
    Host(
        "windsurf",
        "Windsurf",
        JSONC,
        _SERVERS,
        places.windsurf,
        entries.plain,
        key="reference",
        reference=_COLON,
        menu=True,
        then="Press refresh in Windsurf's list of MCP servers.",
        remote=remote.windsurf,
    ),
    Host(
        "zed",
        "Zed",
        JSONC,
        ("context_servers",),
        places.zed,
        entries.custom,
        key="inherit",
        menu=True,
        patience=60.0,
        then="Zed starts it by itself; the agent panel's settings show a green dot.",
        remote=remote.custom,
    ),
    Host(
        "cline",
        "Cline",
        JSON,
        _SERVERS,
        places.cline,
        entries.plain,
        key="store",
        inherits=False,
        menu=True,
        patience=1.5,
        then="Cline starts it by itself.",
        remote=remote.cline,
    ),
    Host(
        "codex",
        "Codex CLI",
        TOML,
        ("mcp_servers",),
        places.codex,
        entries.codex,
        project=".codex/config.toml",
        key="forward",
        inherits=False,
        patience=1.0,
        then="Start codex again; /mcp shows the server.",
        remote=remote.codex,
        token=_BRACES,
    ),
    Host(
        "gemini-cli",
        "Gemini CLI",
        JSONC,
        _SERVERS,
        places.gemini_cli,
        entries.plain,
        project=".gemini/settings.json",
        key="reference",
        reference=_DOLLAR,
        then="Start gemini again; /mcp shows the server.",
        remote=remote.gemini_cli,
    ),
    Host(
        "goose",
        "Goose",
        YAML,
        ("extensions",),
        places.goose,
        entries.goose,
        key="forward",
        then="Start a new goose session.",
        remote=remote.goose,
        token=_BRACES,
    ),
    Host(
        "opencode",
        "opencode",
        JSONC,
        ("mcp",),
        places.opencode,
        entries.opencode,
        project="opencode.json",
        key="inherit",
        reference=_CURLY,
        patience=5.0,
        then="Start opencode again.",
        remote=remote.opencode,
    ),
)

HOSTS: Final[Mapping[str, Host]] = {host.id: host for host in _ROWS}
"""Every host by its id."""

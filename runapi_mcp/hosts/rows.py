"""The hosts: a row each, saying where its config is, how an entry in it is written, and what servers get.

What takes more than a line of its row is a function above the rows; the machine a host is on comes first.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final, Literal, TypeAlias

from runapi_mcp.hosts.entries import ALWAYS_LOAD, NAME, Remote, Wiring
from runapi_mcp.hosts.formats import Format
from runapi_mcp.hosts.formats.jsonc import JSON, JSONC
from runapi_mcp.hosts.formats.toml import TOML
from runapi_mcp.hosts.formats.yaml import YAML
from runapi_mcp.wire.types import JsonObject, JsonValue

Platform: TypeAlias = Literal["linux", "macos", "windows"]
Shape: TypeAlias = Callable[[Wiring], JsonObject]
RemoteShape: TypeAlias = Callable[[Remote], JsonObject]
KeyWay: TypeAlias = Literal["inherit", "reference", "forward", "store"]
"""How a server comes by its key: it has the host's environment; the config refers to a variable of it;
the config names variables to hand on; or the config must hold the key itself."""


def _names_in(folder: str) -> Sequence[str]:
    try:
        return sorted(entry.name for entry in Path(folder).iterdir())
    except OSError:
        return ()


def _start_of(file: Path) -> str:
    try:
        with file.open(errors="replace") as opened:
            return opened.read(65_536)
    except OSError:
        return ""


@dataclass(frozen=True)
class Machine:
    """One person's account on one machine.

    Attributes:
        platform: Its kind.
        env: The environment.
        home: The home folder.
        names_in: The names in a folder; none if it is not there.
    """

    platform: Platform
    env: Mapping[str, str]
    home: str
    names_in: Callable[[str], Sequence[str]] = _names_in

    def session_sets(self, variable: str) -> bool:
        """Whether the session as a whole seems to have a variable: one of its start-up files names it."""
        config = Path(self.env.get("XDG_CONFIG_HOME") or f"{self.home}/.config") / "environment.d"
        started = [*(config / name for name in self.names_in(str(config))), Path("/etc/environment")]
        started += [Path(self.home, name) for name in (".profile", ".pam_environment", ".xprofile")]
        return any(variable in _start_of(file) for file in started) if self.platform == "linux" else False

    def at_home(self, *parts: str) -> PurePath:
        """Return a path under the home folder."""
        return self.path(self.home, *parts)

    def app(self, *parts: str) -> PurePath:
        """Return a path where desktop programs keep their settings."""
        match self.platform:
            case "windows":
                return self.path(self.env.get("APPDATA") or str(self.at_home("AppData", "Roaming")), *parts)
            case "macos":
                return self.at_home("Library", "Application Support", *parts)
            case "linux":
                return self.xdg(*parts)

    def xdg(self, *parts: str) -> PurePath:
        """Return a path under the XDG config folder."""
        return self.path(self.env.get("XDG_CONFIG_HOME") or str(self.at_home(".config")), *parts)

    def under(self, variable: str, default: PurePath, *parts: str) -> PurePath:
        """Return a path under the folder a variable names, else under `default`."""
        return self.path(self.env.get(variable) or str(default), *parts)

    def path(self, *parts: str) -> PurePath:
        """Return a path of this platform's kind."""
        return PureWindowsPath(*parts) if self.platform == "windows" else PurePosixPath(*parts)

    def bare_path(self) -> str:
        """Return the PATH that a program has which was started from a menu, not from a shell."""
        match self.platform:
            case "windows":
                return self.env.get("PATH", "")  # Windows has one PATH for both
            case "macos":
                return "/usr/bin:/bin:/usr/sbin:/sbin"
            case "linux":
                return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def platform_of(name: str) -> Platform:
    """Return the platform for a `sys.platform`."""
    return "windows" if name == "win32" else "macos" if name == "darwin" else "linux"


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

    def fill(self, text: str, env: Mapping[str, str]) -> str:
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
        projects: Where it may be besides, what counts most first; all are read.
        private: Under which key of its own config it keeps servers for one project alone, by the folder.
        gates: Where in its config lists stand of the only servers it starts, and of those it does not.
        more: Configs of its own that it reads besides the one of `places`, or that another build reads.
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
    projects: tuple[str, ...] = ()
    private: str = ""
    gates: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    more: Callable[[Machine], tuple[PurePath, ...]] = lambda _: ()
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


# ---------------------------------------------------------------- what takes more than a line


def _program(**first: JsonValue) -> Shape:
    """Return how most hosts write what they start: what is first, then command, args, env."""

    def write(wiring: Wiring) -> JsonObject:
        entry = first | {"command": wiring.launch.command, "args": list[JsonValue](wiring.launch.args)}
        return entry | ({"env": dict[str, JsonValue](wiring.env)} if wiring.env else {})

    return write


def _address(name: str = "url", **first: JsonValue) -> RemoteShape:
    """Return how most hosts write a server on the network: what is first, then its URL by a name, headers."""
    return lambda remote: {**first, name: remote.url, **remote.headers}


def _claude_desktop_places(machine: Machine) -> tuple[PurePath, ...]:
    name = ("Claude", "claude_desktop_config.json")
    if machine.platform != "windows":
        return (machine.app(*name),)
    # The Windows package, the default since February 2026, reads the file of a folder of its own, while what
    # its "Edit Config" opens may be the other (anthropics/claude-code#26073, #25579).
    local = machine.env.get("LOCALAPPDATA") or str(machine.at_home("AppData", "Local"))
    packages = machine.path(local, "Packages")
    ours = [each for each in machine.names_in(str(packages)) if each.lower().startswith("claude_")]
    return (*(packages.joinpath(each, "LocalCache", "Roaming", *name) for each in ours), machine.app(*name))


def _vscode_more(machine: Machine) -> tuple[PurePath, ...]:
    # Each profile has a config of its own, and reads no other (DeusData/codebase-memory-mcp#431); so has the
    # build for insiders (aovestdipaperino/tokensave#69).
    users = [machine.app(name, "User") for name in ("Code", "Code - Insiders")]
    profiles = [
        user.joinpath("profiles", name) for user in users for name in machine.names_in(str(user / "profiles"))
    ]
    return tuple(folder / "mcp.json" for folder in (*users[1:], *profiles))


def _opencode_places(machine: Machine) -> tuple[PurePath, ...]:
    # It reads both and goes by the second where they differ; that is the one it makes itself (seen with
    # 1.18.33; neon-solutions/add-mcp#95, smart-mcp-proxy/mcpproxy-go#922).
    return tuple(machine.xdg("opencode", f"opencode.{end}") for end in ("jsonc", "json"))


def _zed_places(machine: Machine) -> tuple[PurePath, ...]:
    # Zed has one file for all it can be set, with comments in it: hence a format that keeps them.
    if machine.platform == "windows":
        return (machine.app("Zed", "settings.json"),)
    if machine.platform == "macos":  # where it asks for no variable, by its crates/paths
        return (machine.at_home(".config", "zed", "settings.json"),)
    return (machine.xdg("zed", "settings.json"),)


def _cline_places(machine: Machine) -> tuple[PurePath, ...]:
    name = ("settings", "cline_mcp_settings.json")
    # The command line and newer builds share one; older builds of the VS Code extension have their own.
    extension = machine.app("Code", "User", "globalStorage", "saoudrizwan.claude-dev", *name)
    return (machine.under("CLINE_DIR", machine.at_home(".cline"), "data", *name), extension)


def _goose_places(machine: Machine) -> tuple[PurePath, ...]:
    if machine.platform == "windows":
        return (machine.app("Block", "goose", "config", "config.yaml"),)
    # By the Rust crate etcetera, which goes by XDG on macOS too.
    return (machine.xdg("goose", "config.yaml"),)


def _codex_entry(wiring: Wiring) -> JsonObject:
    # Codex hands on a few variables of its own choice, and those that are named here.
    return _program()(wiring) | ({"env_vars": list[JsonValue](wiring.forward)} if wiring.forward else {})


def _codex_remote(remote: Remote) -> JsonObject:
    # Codex makes the header itself, from a variable.
    return {"url": remote.url, **({"bearer_token_env_var": remote.variable} if remote.variable else {})}


def _opencode_entry(wiring: Wiring) -> JsonObject:
    command: list[JsonValue] = [wiring.launch.command, *wiring.launch.args]
    entry: JsonObject = {"type": "local", "command": command, "enabled": True}
    return entry | ({"environment": dict[str, JsonValue](wiring.env)} if wiring.env else {})


def _goose_entry(wiring: Wiring) -> JsonObject:
    command: JsonObject = {"cmd": wiring.launch.command, "args": list[JsonValue](wiring.launch.args)}
    envs: JsonObject = {"envs": dict[str, JsonValue](wiring.env)} if wiring.env else {}
    return _goose_extension("stdio", command, wiring.forward) | envs


def _goose_remote(remote: Remote) -> JsonObject:
    variables = (remote.variable,) if remote.variable else ()
    return _goose_extension("streamable_http", {"uri": remote.url}, variables) | remote.headers


def _goose_extension(kind: str, what: JsonObject, variables: Sequence[str]) -> JsonObject:
    # Goose looks up what env_keys names in its environment and its keyring, and fills it into headers too.
    about: JsonObject = {"name": NAME, "description": "Gemini through RunAPI"}
    entry: JsonObject = {"enabled": True, "type": kind, **about, **what, "timeout": 300}
    return entry | ({"env_keys": list[JsonValue](variables)} if variables else {})


# Each host fills references in with a spelling of its own, and hands on as text what is another's
# (anthropics/claude-code#40372, google-gemini/gemini-cli#28248): what is written is what it understands.
_COLON: Final = Reference("${env:NAME}", re.compile(r"\$\{env:(\w+)\}"))
_BRACES: Final = Reference("${NAME}", re.compile(r"\$\{(\w+)(?::-[^}]*)?\}"), unset_stays=True)
# A variable that is not set is an empty text to Gemini CLI (google-gemini/gemini-cli#28248).
_DOLLAR: Final = Reference("$NAME", re.compile(r"\$\{(\w+)\}|\$(\w+)"))
_CURLY: Final = Reference("{env:NAME}", re.compile(r"\{env:(\w+)\}"))
_SERVERS: Final = ("mcpServers",)


# ---------------------------------------------------------------- the rows


_ROWS: Final = (
    Host(
        # Servers get some sixteen variables and what stands in the config (anthropics/claude-code#90074),
        # which refers to none: the key has to stand there too. Its JSON is strict, and a byte order mark
        # costs its owner all servers (tradesdontlie/tradingview-mcp#406).
        "claude-desktop",
        "Claude Desktop",
        JSON,
        _SERVERS,
        _claude_desktop_places,
        _program(),
        key="store",
        inherits=False,
        menu=True,
        then="Quit Claude Desktop and start it again.",
    ),
    Host(
        # Without alwaysLoad the first request has no schema of ours, only names: the model looks a tool up
        # before it uses one, and often does not (seen with 2.1.332; colbymchenry/codegraph#1696). Neither
        # comments nor a byte order mark are taken (anthropics/claude-code#9906). What `claude mcp add` adds
        # is for one project alone, unless told otherwise, and goes before all else there (seen with 2.1.197;
        # career-ops-hq/career-ops#4392).
        "claude-code",
        "Claude Code",
        JSON,
        _SERVERS,
        lambda machine: (machine.under("CLAUDE_CONFIG_DIR", machine.at_home(), ".claude.json"),),
        lambda wiring: _program(type="stdio")(wiring) | {ALWAYS_LOAD: True},
        project=".mcp.json",
        private="projects",
        key="inherit",
        reference=_BRACES,
        modern=True,
        then="Start claude again; /mcp shows the server.",
        remote=_address(type="http"),
    ),
    Host(
        # Started from the Dock it has the PATH of launchd, without what shells add (mcpmux/mcp-mux#113).
        "cursor",
        "Cursor",
        JSONC,
        _SERVERS,
        lambda machine: (machine.at_home(".cursor", "mcp.json"),),
        _program(),
        project=".cursor/mcp.json",
        key="reference",
        reference=_COLON,
        menu=True,
        then="Switch the server on in Cursor's settings, under MCP.",
        remote=_address(),
    ),
    Host(
        "vscode",
        "VS Code",
        JSONC,
        ("servers",),
        lambda machine: (machine.app("Code", "User", "mcp.json"),),
        _program(type="stdio"),
        project=".vscode/mcp.json",
        more=_vscode_more,
        key="inherit",
        reference=_COLON,
        menu=True,
        then="Run “MCP: List Servers” in VS Code and start it.",
        remote=_address(type="http"),
    ),
    Host(
        # Its documents name a server on the network by serverUrl (docs.windsurf.com, cascade/mcp).
        "windsurf",
        "Windsurf",
        JSONC,
        _SERVERS,
        lambda machine: (machine.at_home(".codeium", "windsurf", "mcp_config.json"),),
        _program(),
        key="reference",
        reference=_COLON,
        menu=True,
        then="Press refresh in Windsurf's list of MCP servers.",
        remote=_address("serverUrl"),
    ),
    Host(
        # Builds of 2025 did not take an entry without `source` (PostHog/posthog.com#12529); newer ones need
        # none.
        "zed",
        "Zed",
        JSONC,
        ("context_servers",),
        _zed_places,
        _program(source="custom"),
        key="inherit",
        menu=True,
        patience=60.0,
        then="Zed starts it by itself; the agent panel's settings show a green dot.",
        remote=_address(source="custom"),
    ),
    Host(
        # Of the environment servers get PATH alone (cline/cline#3533), so the key stands in the config. Its
        # command line gives `initialize` 1.5 s, and no more. A URL without a type is SSE to it
        # (cline/cline#6767).
        "cline",
        "Cline",
        JSON,
        _SERVERS,
        _cline_places,
        _program(),
        more=_cline_places,
        key="store",
        inherits=False,
        menu=True,
        patience=1.5,
        then="Cline starts it by itself.",
        remote=_address(type="streamableHttp"),
    ),
    Host(
        # Its environment is cleared but for a list of its own and what env_vars names (openai/codex#5246). In
        # `codex exec` the model has only the tools that were listed about a second after the start (seen with
        # 0.171). It refuses a config whose entry says `type` (farion1231/cc-switch#5820), or has `url` beside
        # a program's fields (kurrent-io/kcap-cli#366).
        "codex",
        "Codex CLI",
        TOML,
        ("mcp_servers",),
        lambda machine: (machine.under("CODEX_HOME", machine.at_home(".codex"), "config.toml"),),
        _codex_entry,
        project=".codex/config.toml",
        key="forward",
        inherits=False,
        patience=1.0,
        then="Start codex again; /mcp shows the server.",
        remote=_codex_remote,
        token=_BRACES,
    ),
    Host(
        # Servers get its environment without what looks like a secret, unless `env` names it: so the key is
        # referred to (google-gemini/gemini-cli#17311, #18302). To it `url` is the older SSE, `httpUrl` is
        # Streamable HTTP (its docs/tools/mcp-server.md). What mcp.allowed leaves out it does not start, and
        # says so to who looks alone (google-gemini/gemini-cli#5324).
        "gemini-cli",
        "Gemini CLI",
        JSONC,
        _SERVERS,
        lambda machine: (machine.at_home(".gemini", "settings.json"),),
        _program(),
        project=".gemini/settings.json",
        gates=(("mcp", "allowed"), ("mcp", "excluded")),
        key="reference",
        reference=_DOLLAR,
        then="Start gemini again; /mcp shows the server.",
        remote=_address("httpUrl"),
    ),
    Host(
        # Headers of a server on the network are filled in from what env_keys names alone
        # (aaif-goose/goose#5439).
        "goose",
        "Goose",
        YAML,
        ("extensions",),
        _goose_places,
        _goose_entry,
        key="forward",
        then="Start a new goose session.",
        remote=_goose_remote,
        token=_BRACES,
    ),
    Host(
        # Tools are to be listed within 5 s; its timeout field is for that, not for calls
        # (anomalyco/opencode#23096). Command and arguments are one list.
        "opencode",
        "opencode",
        JSONC,
        ("mcp",),
        _opencode_places,
        _opencode_entry,
        project="opencode.json",
        projects=(".opencode/opencode.jsonc", ".opencode/opencode.json", "opencode.jsonc"),
        more=_opencode_places,
        key="inherit",
        reference=_CURLY,
        patience=5.0,
        then="Start opencode again.",
        remote=lambda remote: {"type": "remote", "url": remote.url, "enabled": True, **remote.headers},
    ),
)

HOSTS: Final[Mapping[str, Host]] = {host.id: host for host in _ROWS}
"""Every host by its id."""

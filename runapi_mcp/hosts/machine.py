"""This machine as hosts see it: its folders, where configs live on it, and what a host is told to start."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final, Literal, TypeAlias

from runapi_mcp.printable import quote_text
from runapi_mcp.wire.types import JsonObject, JsonValue

Platform: TypeAlias = Literal["linux", "macos", "windows"]


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

    def named(self, variable: str, default: PurePath, *parts: str) -> PurePath:
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


_QUOTE_IT: Final = "Put it in quotes, or take it out: some hosts refuse the entry for it."


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in an entry that hosts do not take.

    Attributes:
        what: What it is, as a sentence about the config; no value is in it.
        mend: What mends it, as a sentence.
        fatal: Whether no host could start a program with it; else some do.
    """

    what: str
    mend: str
    fatal: bool = False


def word_flaws(entry: JsonObject) -> Iterator[Flaw]:
    """Yield what is wrong with the command and the arguments of an entry."""
    for name in ("command", "cmd", "args"):
        value = entry.get(name)
        words = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(word, str) and not _passes(word) for word in words):
            what = f"Its {name} holds a character that no program can be given."
            yield Flaw(what, "Take the character out.", fatal=True)
        for word in [word for word in words if not isinstance(word, str)][:1]:
            yield Flaw(f"Its {name} holds {_kind(word)}, where a text belongs.", _QUOTE_IT)


def variable_flaws(env: JsonObject) -> Iterator[Flaw]:
    """Yield what is wrong with the variables of an entry."""
    for name, value in env.items():
        if not names_a_variable(name):
            what = f"Its env has {quote_text(name)}, which is no name for a variable."
            yield Flaw(what, "Correct the name: without = and NUL, and not empty.", fatal=True)
        elif isinstance(value, str) and not _passes(value):
            what = f"Its env gives {quote_text(name)} a character that no variable can hold."
            yield Flaw(what, "Take the character out.", fatal=True)
        elif not isinstance(value, str):
            yield Flaw(f"Its env gives {quote_text(name)} {_kind(value)}, where a text belongs.", _QUOTE_IT)


def names_a_variable(name: str) -> bool:
    """Whether a variable can have that name."""
    return bool(name) and "=" not in name and _passes(name)


def _passes(text: str) -> bool:
    """Whether a program can be given a text: no NUL, and nothing that bytes cannot stand for."""
    try:
        return b"\0" not in text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def _kind(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "something else"


def claude_desktop(machine: Machine) -> tuple[PurePath, ...]:
    """Claude Desktop's; that of the Windows package, which has a folder of its own, first."""
    name = ("Claude", "claude_desktop_config.json")
    if machine.platform != "windows":
        return (machine.app(*name),)
    local = machine.env.get("LOCALAPPDATA") or str(machine.at_home("AppData", "Local"))
    packages = machine.path(local, "Packages")
    ours = [each for each in machine.names_in(str(packages)) if each.lower().startswith("claude_")]
    return (*(packages.joinpath(each, "LocalCache", "Roaming", *name) for each in ours), machine.app(*name))


def claude_code(machine: Machine) -> tuple[PurePath, ...]:
    """Claude Code's, which holds much else and grows large."""
    return (machine.named("CLAUDE_CONFIG_DIR", machine.at_home(), ".claude.json"),)


def cursor(machine: Machine) -> tuple[PurePath, ...]:
    """Cursor's."""
    return (machine.at_home(".cursor", "mcp.json"),)


def vscode(machine: Machine) -> tuple[PurePath, ...]:
    """VS Code's, of the default profile."""
    return (machine.app("Code", "User", "mcp.json"),)


def windsurf(machine: Machine) -> tuple[PurePath, ...]:
    """Windsurf's."""
    return (machine.at_home(".codeium", "windsurf", "mcp_config.json"),)


def zed(machine: Machine) -> tuple[PurePath, ...]:
    """Zed's, which are its settings as a whole."""
    if machine.platform == "windows":
        return (machine.app("Zed", "settings.json"),)
    if machine.platform == "macos":
        return (machine.at_home(".config", "zed", "settings.json"),)
    return (machine.xdg("zed", "settings.json"),)


def cline(machine: Machine) -> tuple[PurePath, ...]:
    """Cline's: that of the command line and newer builds, then that of the VS Code extension."""
    name = ("settings", "cline_mcp_settings.json")
    extension = machine.app("Code", "User", "globalStorage", "saoudrizwan.claude-dev", *name)
    return (machine.named("CLINE_DIR", machine.at_home(".cline"), "data", *name), extension)


def codex(machine: Machine) -> tuple[PurePath, ...]:
    """Codex's."""
    return (machine.named("CODEX_HOME", machine.at_home(".codex"), "config.toml"),)


def gemini_cli(machine: Machine) -> tuple[PurePath, ...]:
    """Gemini CLI's."""
    return (machine.at_home(".gemini", "settings.json"),)


def goose(machine: Machine) -> tuple[PurePath, ...]:
    """Goose's."""
    if machine.platform == "windows":
        return (machine.app("Block", "goose", "config", "config.yaml"),)
    if machine.platform == "macos":
        return (machine.at_home(".config", "goose", "config.yaml"),)
    return (machine.xdg("goose", "config.yaml"),)


def opencode(machine: Machine) -> tuple[PurePath, ...]:
    """opencode's, in either of its two spellings."""
    return (machine.xdg("opencode", "opencode.json"), machine.xdg("opencode", "opencode.jsonc"))


_FLEETING: Final = re.compile(r"[/\\]uv[/\\](cache[/\\])?(archive|environments|builds)-v\d+[/\\]")
"""Where uvx keeps the environments that it makes for one run; `uv cache clean` empties it."""
_AS_MODULE: Final = ("-m", "runapi_mcp")


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and its arguments."""

    command: str
    args: tuple[str, ...] = ()

    def by_name(self) -> "Launch":
        """Return the same by a name that PATH finds, for a config that goes to other machines."""
        name = re.split(r"[/\\]", self.command)[-1].removesuffix(".exe")
        if name == "uvx":
            return Launch(name, self.args)
        return Launch("runapi-mcp", self.args[2:] if self.args[:2] == _AS_MODULE else self.args)


def launcher(
    python: str, *, exists: Callable[[str], bool], which: Callable[[str], str | None], extra: str = ""
) -> Launch:
    """Return how to start this server, from the interpreter that runs now.

    The `runapi-mcp` beside that interpreter; `uvx runapi-mcp` where the interpreter is one of uvx's
    fleeting ones; else the interpreter with `-m`.

    Args:
        python: `sys.executable`.
        exists: Whether a file is there.
        which: Finds a program on PATH.
        extra: What the server is to have besides; only uvx, which makes environments of its own, is told.
    """
    if _FLEETING.search(python) and (uvx := which("uvx")):
        from_extra = ("--from", f"runapi-mcp[{extra}]") if extra else ()
        return Launch(str(Path(uvx).absolute()), (*from_extra, "runapi-mcp"))
    for name in ("runapi-mcp", "runapi-mcp.exe"):
        # Not resolved: a venv's python is a link out of the venv.
        script = str(Path(python).with_name(name))
        if exists(script):
            return Launch(script)
    return Launch(python, _AS_MODULE)

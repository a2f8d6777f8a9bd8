"""This machine as hosts see it: its folders and variables, and what a host is told to start on it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Final, Literal, TypeAlias

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

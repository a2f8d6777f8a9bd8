"""Whose machine it is: platform, environment and home, as values, so that every path is a pure function."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Literal, TypeAlias

Platform: TypeAlias = Literal["linux", "macos", "windows"]


@dataclass(frozen=True)
class Machine:
    """One person's account on one machine.

    Attributes:
        platform: Its kind.
        env: The environment.
        home: The home folder.
    """

    platform: Platform
    env: Mapping[str, str]
    home: str

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

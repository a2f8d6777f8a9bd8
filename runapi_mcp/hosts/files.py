"""Config files on disk: read whole, replaced at one stroke, kept as they were before the first change."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.hosts.formats import ConfigError
from runapi_mcp.settings import MIB

_MOST: Final = 64 * MIB
_SUFFIX: Final = ".before-runapi-mcp"
_KEY_SUFFIX: Final = ".with-old-key"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config as it is on disk now.

    Attributes:
        path: Where it is, links followed.
        content: Its bytes; `None` if there is no such file.
    """

    path: Path
    content: bytes | None

    @property
    def text(self) -> str:
        """Its text; empty if there is no file.

        Raises:
            ConfigError: It is not UTF-8.
        """
        try:
            return (self.content or b"").decode()
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{self.path} is not UTF-8 (byte {error.start}).", advice="Save it as UTF-8 first."
            ) from None

    @property
    def backup(self) -> Path:
        """Where its state before the first change is kept."""
        return self.path.with_name(self.path.name + _SUFFIX)

    @property
    def key_backup(self) -> Path:
        """Where its state is kept from before the last change that took a stored key out of it."""
        return self.path.with_name(self.path.name + _KEY_SUFFIX)

    def write(self, text: str, *, shared: bool = False) -> None:
        """Replace the file at one stroke; its permissions stay. A new one is its owner's alone.

        Args:
            text: What it is to hold.
            shared: Whether a new one is to be read by others too, as a file of a repository.

        Raises:
            ConfigError: It changed since it was read, is read-only, or cannot be written.
        """
        with _told(self.path):
            if self.content is not None and not self.path.stat().st_mode & 0o222:
                raise ConfigError(
                    f"{self.path} is read-only, and stays as it is.", advice="Make it writable first."
                )
            if read(self.path).content != self.content:
                raise ConfigError(f"{self.path} changed while it was being edited.", advice="Run it again.")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, text.encode(), like=self.path)
            if shared and self.content is None:
                self.path.chmod(0o644)

    def back_up(self, to: Path) -> None:
        """Keep the file's bytes in another file, with its permissions.

        Raises:
            ConfigError: That cannot be written.
        """
        with _told(to):
            _replace(to, self.content or b"", like=self.path)

    def delete(self) -> None:
        """Remove the file."""
        with _told(self.path):
            self.path.unlink()


def is_there(path: Path) -> bool:
    """Whether something is at a path, even if it cannot be looked at: reading it then says why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def read(path: Path) -> ConfigFile:
    """Return a config as it is now; a link is followed to what it stands for.

    Raises:
        ConfigError: It is no regular file, is larger than 64 MiB, or cannot be read.
    """
    with _told(path):
        real = path.resolve()
        try:
            status = real.stat()
        except FileNotFoundError:
            return ConfigFile(real, None)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            raise ConfigError(f"{path} is no regular file of less than 64 MiB.")
        return ConfigFile(real, real.read_bytes())


def _replace(path: Path, content: bytes, *, like: Path) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            # mkstemp's 0600 stays where there is nothing to go by.
            _dress(fresh, like.stat())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _dress(file: Path, status: os.stat_result) -> None:
    """Give a file the owner and permissions of another."""
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(file, status.st_uid, status.st_gid)
    file.chmod(stat.S_IMODE(status.st_mode))


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be used ({error.strerror}).", advice="Check its permissions."
        ) from None
    except RuntimeError:  # what resolving says of them before Python 3.13
        raise ConfigError(f"{path} is a link that leads back to itself.", advice="Mend the link.") from None

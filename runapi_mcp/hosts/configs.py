"""Hosts' config files: where they are, what those start this server with, and how one is written."""

import contextlib
import difflib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from runapi_mcp.errors import ConfigError, InputError
from runapi_mcp.hosts.entries import NAME, Remote, Wiring, names_us, remote_of, wiring_of
from runapi_mcp.hosts.formats import lookup
from runapi_mcp.hosts.formats.jsonc import JSON
from runapi_mcp.hosts.rows import HOSTS, Host, Machine
from runapi_mcp.settings import MIB
from runapi_mcp.wire.types import JsonObject

State: TypeAlias = Literal["installed", "not installed", "no config", "unreadable"]


def find_host(name: str) -> Host:
    """Return a host by its id.

    Raises:
        InputError: There is none; the message names all.
    """
    if name == "claude":
        raise InputError(
            "There are two Claudes: claude-desktop, the app, and claude-code, in the terminal.",
            advice="Name the one, or first the one and then the other.",
        )
    try:
        return HOSTS[name]
    except KeyError:
        close = difflib.get_close_matches(name, HOSTS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Hosts: {', '.join(HOSTS)}."
        raise InputError(f"{name[:40]!r} is no host this command knows.", advice=hint) from None


def find_config(host: Host, machine: Machine) -> Path:
    """Return where a host's config is: the first place where there is a file, else the likeliest."""
    places = [Path(place) for place in host.places(machine)]
    return next((place for place in places if is_there(place)), places[0])


@dataclass(frozen=True)
class Place:
    """A table of servers that a host reads.

    Attributes:
        host: Whose it is.
        path: The file it is in.
        table: Where in the file it is.
        project: The folder of the project that the file belongs to; `None` if it is the host's own.
        aside: How it is told from the host's usual table, behind a name; empty if it is that.
    """

    host: Host
    path: Path
    table: tuple[str, ...]
    project: Path | None = None
    aside: str = ""


def find_configs(machine: Machine, project: Path | None) -> Iterator[Place]:
    """Yield what there is that hosts read, the usual table of each first.

    Args:
        machine: Whose own configs are meant.
        project: The folder of a project whose configs are meant besides.
    """
    for host in HOSTS.values():
        own = find_config(host, machine)
        if is_there(own):
            yield Place(host, own, host.path)
        if project and host.private and is_there(own):
            # By its real path, with slashes on Windows too.
            table = (host.private, _resolved(project).as_posix(), *host.path)
            yield Place(host, own, table, aside=" for this project alone")
        yield from (Place(host, path, host.path, aside=f" in {path}") for path in find_more(host, machine))
        if project and host.project:
            for name in (host.project, *host.projects):
                # In a home folder the two may be one.
                if is_there(project / name) and not _are_one(project / name, own):
                    yield Place(host, project / name, host.path, project, f" in {name}")


def find_more(host: Host, machine: Machine) -> list[Path]:
    """Return what configs of its own there are besides a host's usual one."""
    own = find_config(host, machine)
    return [path for path in map(Path, host.more(machine)) if is_there(path) and not _are_one(path, own)]


def find_private(host: Host, path: Path) -> list[str]:
    """Return the folders for which a host's own config has an entry of our name for a project alone.

    Raises:
        ConfigError: The config is broken.
    """
    with of_file(path):
        folders = lookup(host.format.read(read_config(path).text), (host.private,)) if host.private else None
    named = folders.items() if isinstance(folders, dict) else ()
    return [folder for folder, kept in named if lookup(kept, (*host.path, NAME)) is not None]


def find_gate(host: Host, path: Path, name: str) -> str:
    """Return what in a host's config keeps it from starting a server of a name; empty if nothing does.

    Raises:
        ConfigError: The config is broken.
    """
    if host.gates is None:
        return ""
    with of_file(path):
        read = host.format.read(read_config(path).text)
    only, never = (lookup(read, gate) for gate in host.gates)
    if isinstance(only, list) and name not in only:
        return f"{'.'.join(host.gates[0])} lists the only servers that {host.title} starts, without {name}."
    if isinstance(never, list) and name in never:
        return f"{'.'.join(host.gates[1])} lists {name} among the servers that {host.title} does not start."
    return ""


def _resolved(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError):
        return folder


def _are_one(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def project_path(host: Host, folder: Path) -> Path:
    """Return where a host's config of one project is.

    Raises:
        InputError: It has none, or none that is known; the message names those that have one.
    """
    if not host.project:
        others = ", ".join(other.id for other in HOSTS.values() if other.project)
        raise InputError(
            f"{host.title} has no config of a single project that this command knows.",
            advice=f"Leave --project out. Hosts that have one: {others}.",
        )
    names = (name for name in host.projects if is_there(folder / name))
    return folder / next(names, host.project)


@dataclass(frozen=True)
class Listed:
    """A host, where its config is, and whether that names this server."""

    host: Host
    state: State
    path: Path


def list_hosts(machine: Machine) -> Iterator[Listed]:
    """Yield every host as it stands on a machine."""
    for host in HOSTS.values():
        path = find_config(host, machine)
        yield Listed(host, _state(host, path), path)


def find_entries(host: Host, path: Path, table: tuple[str, ...] = ()) -> Mapping[str, Wiring]:
    """Return what a host's config starts this server with, by name; its usual table, if none is named.

    Raises:
        ConfigError: The config is broken.
    """
    found = {name: wiring_of(entry) for name, entry in _servers(host, path, table).items()}
    return {name: wiring for name, wiring in found.items() if wiring and names_us(name, wiring)}


def find_remotes(host: Host, path: Path, table: tuple[str, ...] = ()) -> Mapping[str, Remote]:
    """Return the servers of ours on the network that a host's config names, by name; see `find_entries`.

    Raises:
        ConfigError: The config is broken.
    """
    usual = host.remote(Remote("")) if host.remote else {}
    found = {name: remote_of(entry, usual) for name, entry in _servers(host, path, table).items()}
    return {name: remote for name, remote in found.items() if remote and _is_ours(name, remote)}


def _is_ours(name: str, remote: Remote) -> bool:
    told = f"{name} {remote.url}".lower().replace("_", "-")
    return name == NAME or "runapi-mcp" in told


def _servers(host: Host, path: Path, table: tuple[str, ...]) -> JsonObject:
    file = read_config(path)
    with of_file(path):
        servers = (
            lookup(host.format.read(file.text), table or host.path) if file.content is not None else None
        )
    return servers if isinstance(servers, dict) else {}


def mentions_us(path: Path) -> bool:
    """Whether a config that cannot be read as one has our name in it all the same."""
    try:
        # Without zeros: what Windows' older editors save as Unicode is UTF-16.
        return b"runapi" in (read_config(path).content or b"").replace(b"\0", b"")
    except ConfigError:
        return False


def has_mark(host: Host, path: Path) -> bool:
    """Whether a config begins with a byte order mark that its host takes for broken JSON."""
    try:
        # Windows PowerShell 5.1 writes one with -Encoding UTF8 (tradesdontlie/tradingview-mcp#406).
        return host.format is JSON and (read_config(path).content or b"").startswith(b"\xef\xbb\xbf")
    except ConfigError:
        return False


@contextlib.contextmanager
def of_file(path: Path, more: str = "") -> Iterator[None]:
    """Say of a broken config which file it is, and more on what to do."""
    try:
        yield
    except ConfigError as error:
        what = error.what if str(path) in error.what else f"{path}: {error.what}"
        raise ConfigError(what, advice=f"{error.advice} {more}".strip()) from None


def _state(host: Host, path: Path) -> State:
    if not is_there(path):
        return "no config"
    try:
        there = find_entries(host, path) or find_remotes(host, path)
        return "installed" if there else "not installed"
    except ConfigError:
        return "unreadable"


# ---------------------------------------------------------------- the file


_MOST: Final = 64 * MIB
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
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

    def write(self, text: str, *, shared: bool = False, secret: bool = False) -> None:
        """Replace the file at one stroke; its permissions stay. A new one is its owner's alone.

        Args:
            text: What it is to hold.
            shared: Whether a new one is to be read by others too, as a file of a repository.
            secret: Whether it holds a key, and so is its owner's alone even if it was not before.

        Raises:
            ConfigError: It changed since it was read, is read-only, or cannot be written.
        """
        self.check_writable()
        with _explain_errors(self.path):
            if read_config(self.path).content != self.content:
                raise ConfigError(f"{self.path} changed while it was being edited.", advice="Run it again.")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, text.encode(), like=self.path, secret=secret)
            # mkstemp makes files of their owner's alone, which a repository's other users could not read.
            if shared and self.content is None:
                self.path.chmod(0o644)

    def check_writable(self) -> None:
        """See that its owner did not make the file read-only; replacing it would not notice.

        Raises:
            ConfigError: They did.
        """
        with _explain_errors(self.path):
            if self.content is not None and not self.path.stat().st_mode & 0o222:
                raise ConfigError(
                    f"{self.path} is read-only, and stays as it is.", advice="Make it writable first."
                )

    def back_up(self, to: Path) -> None:
        """Keep the file's bytes in another file, with its permissions.

        Raises:
            ConfigError: That cannot be written.
        """
        with _explain_errors(to):
            _replace(to, self.content or b"", like=self.path)

    def keep_to_owner(self) -> bool:
        """Have others neither read nor write the file; whether they could before.

        Raises:
            ConfigError: Its permissions cannot be changed.
        """
        with _explain_errors(self.path):
            mode = stat.S_IMODE(self.path.stat().st_mode)
            if mode & _OTHERS:
                self.path.chmod(mode & ~_OTHERS)
            return bool(mode & _OTHERS)

    def delete(self) -> None:
        """Remove the file."""
        with _explain_errors(self.path):
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


def read_config(path: Path) -> ConfigFile:
    """Return a config as it is now; a link is followed to what it stands for.

    Raises:
        ConfigError: It is no regular file, is larger than 64 MiB, or cannot be read.
    """
    with _explain_errors(path):
        real = path.resolve()
        try:
            status = real.stat()
        except FileNotFoundError:
            return ConfigFile(real, None)
        # A pipe that nobody writes to would be waited for, and a device read for ever.
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            raise ConfigError(f"{path} is no regular file of less than 64 MiB.")
        return ConfigFile(real, real.read_bytes())


def _replace(path: Path, content: bytes, *, like: Path, secret: bool = False) -> None:
    # Beside the file, for a rename is at one stroke within one file system only: a host that reads meanwhile
    # finds the old text or the new one. Claude Code empties a config that it cannot parse
    # (anthropics/claude-code#1983).
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            # mkstemp's 0600 stays where there is nothing to go by.
            _dress(fresh, like.stat(), without=_OTHERS if secret else 0)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _dress(file: Path, status: os.stat_result, *, without: int = 0) -> None:
    """Give a file the owner and permissions of another, but for those `without`."""
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(file, status.st_uid, status.st_gid)
    file.chmod(stat.S_IMODE(status.st_mode) & ~without)


@contextlib.contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be used ({error.strerror}).", advice="Check its permissions."
        ) from None
    except RuntimeError:  # what resolving says of them before Python 3.13
        raise ConfigError(f"{path} is a link that leads back to itself.", advice="Mend the link.") from None

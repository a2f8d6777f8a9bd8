"""Finding hosts, their configs, and what those start this server with."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from runapi_mcp.errors import InputError
from runapi_mcp.hosts import entries as files
from runapi_mcp.hosts.entries import Wiring, names_us, wiring_of
from runapi_mcp.hosts.formats import JSON, ConfigError, lookup
from runapi_mcp.hosts.machine import Machine
from runapi_mcp.hosts.remote import Remote, remote_of
from runapi_mcp.hosts.rows import HOSTS, Host
from runapi_mcp.wire.types import JsonObject

State: TypeAlias = Literal["installed", "not installed", "no config", "unreadable"]


def host_named(name: str) -> Host:
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


def config_path(host: Host, machine: Machine) -> Path:
    """Return where a host's config is: the first place where there is a file, else the likeliest."""
    places = [Path(place) for place in host.places(machine)]
    return next((place for place in places if files.is_there(place)), places[0])


def configs(machine: Machine, project: Path | None) -> Iterator[tuple[Host, Path, bool]]:
    """Yield the configs there are: whose, where, and whether it is that of the project.

    Args:
        machine: Whose own configs are meant.
        project: The folder of a project whose configs are meant besides.
    """
    for host in HOSTS.values():
        own = config_path(host, machine)
        if files.is_there(own):
            yield host, own, False
        if project and host.project:
            path = project_path(host, project)
            # In a home folder the two may be one.
            if files.is_there(path) and not _are_one(path, own):
                yield host, path, True


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
    return folder / host.project


@dataclass(frozen=True)
class Listed:
    """A host, where its config is, and whether that names this server."""

    host: Host
    state: State
    path: Path


def listed(machine: Machine) -> Iterator[Listed]:
    """Yield every host as it stands on a machine."""
    for host in HOSTS.values():
        path = config_path(host, machine)
        yield Listed(host, _state(host, path), path)


def entries_naming_us(host: Host, path: Path) -> Mapping[str, Wiring]:
    """Return what a host's config starts this server with, by name.

    Raises:
        ConfigError: The config is broken.
    """
    found = {name: wiring_of(entry) for name, entry in _servers(host, path).items()}
    return {name: wiring for name, wiring in found.items() if wiring and names_us(name, wiring)}


def remotes_naming_us(host: Host, path: Path) -> Mapping[str, Remote]:
    """Return the servers of ours on the network that a host's config names, by name.

    Raises:
        ConfigError: The config is broken.
    """
    usual = host.remote(Remote("")) if host.remote else {}
    found = {name: remote_of(entry, usual) for name, entry in _servers(host, path).items()}
    return {name: remote for name, remote in found.items() if remote and _is_ours(name, remote)}


def _is_ours(name: str, remote: Remote) -> bool:
    told = f"{name} {remote.url}".lower().replace("_", "-")
    return name == files.NAME or "runapi-mcp" in told


def _servers(host: Host, path: Path) -> JsonObject:
    file = files.read(path)
    with of_file(path):
        servers = lookup(host.format.read(file.text), host.path) if file.content is not None else None
    return servers if isinstance(servers, dict) else {}


def mentions_us(path: Path) -> bool:
    """Whether a config that cannot be read as one has our name in it all the same."""
    try:
        # Without zeros: what Windows' older editors save as Unicode is UTF-16.
        return b"runapi" in (files.read(path).content or b"").replace(b"\0", b"")
    except ConfigError:
        return False


def has_mark(host: Host, path: Path) -> bool:
    """Whether a config begins with a byte order mark that its host takes for broken JSON."""
    try:
        return host.format is JSON and (files.read(path).content or b"").startswith(b"\xef\xbb\xbf")
    except ConfigError:
        return False


@contextmanager
def of_file(path: Path, more: str = "") -> Iterator[None]:
    """Say of a broken config which file it is, and more on what to do."""
    try:
        yield
    except ConfigError as error:
        what = error.what if str(path) in error.what else f"{path}: {error.what}"
        raise ConfigError(what, advice=f"{error.advice} {more}".strip()) from None


def _state(host: Host, path: Path) -> State:
    if not files.is_there(path):
        return "no config"
    try:
        there = entries_naming_us(host, path) or remotes_naming_us(host, path)
        return "installed" if there else "not installed"
    except ConfigError:
        return "unreadable"

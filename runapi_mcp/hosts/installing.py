"""install, uninstall, list: what is said, and in which order things are done."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from runapi_mcp.errors import InputError
from runapi_mcp.hosts import files
from runapi_mcp.hosts.entries import KEY_VARIABLE, NAME, Wiring, names_us, updated, wiring_of
from runapi_mcp.hosts.files import ConfigFile
from runapi_mcp.hosts.formats import ConfigError, lookup
from runapi_mcp.hosts.launcher import Launch
from runapi_mcp.hosts.machine import Machine
from runapi_mcp.hosts.rows import HOSTS, Host
from runapi_mcp.settings import KEY_NAMES
from runapi_mcp.wire.types import JsonObject

Say = Callable[[str], None]

_SECRET: Final = re.compile(
    r"""(?i)(["']?[\w-]*(?:key|token|secret|password|auth|credential)[\w-]*["']?\s*[:=]\s*)(["']?)([^\s"',}\]]+)\2"""
)


@dataclass(frozen=True)
class Wish:
    """What the person at the keyboard asked for.

    Attributes:
        launch: What the host is to start.
        key_variable: The variable that the config is to refer to, if they named one.
        stored: The key that the config is to hold, if they asked for that.
        without_key: Whether the host needs the key in its config and is to have none.
        only_print: Whether nothing is to be written.
        config: A config file other than the host's usual one.
    """

    launch: Launch
    key_variable: str | None = None
    stored: SecretStr | None = None
    without_key: bool = False
    only_print: bool = False
    config: Path | None = None


def host_named(name: str) -> Host:
    """Return a host by its id.

    Raises:
        InputError: There is none; the message names all.
    """
    try:
        return HOSTS[name]
    except KeyError:
        close = difflib.get_close_matches(name, HOSTS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Hosts: {', '.join(HOSTS)}."
        raise InputError(f"{name[:40]!r} is no host this command knows.", advice=hint) from None


def config_path(host: Host, machine: Machine) -> Path:
    """Return where a host's config is: the first place where there is a file, else the likeliest."""
    places = [Path(place) for place in host.places(machine)]
    return next((place for place in places if place.exists()), places[0])


def wiring_for(host: Host, wish: Wish) -> Wiring:
    """Return how a host is to start the server and give it its key.

    Raises:
        InputError: The host cannot do what is wished, or needs a decision about the key.
    """
    if wish.stored is not None:
        return Wiring(wish.launch, {KEY_VARIABLE: wish.stored.get_secret_value()})
    variable = wish.key_variable or KEY_VARIABLE
    if host.reference and (wish.key_variable or host.key == "reference"):
        return Wiring(wish.launch, {KEY_VARIABLE: host.reference.to(variable)})
    if variable not in KEY_NAMES:
        raise InputError(
            f"{host.title} cannot give a server a variable under another name.",
            advice=f"Use one of {', '.join(KEY_NAMES)}.",
        )
    if host.key == "forward":
        return Wiring(wish.launch, forward=(variable,))
    if host.key == "store" and not wish.without_key:
        raise InputError(
            f"{host.title} gives servers no variable of your environment, so the key has to stand in its "
            "config file, where everyone who can read that file can read it.",
            advice=f"Set {KEY_VARIABLE} and add --store-key, or --no-key to add the key by hand later.",
        )
    return Wiring(wish.launch)


def install(host: Host, machine: Machine, wish: Wish, say: Say) -> None:
    """Add this server to a host's config, or bring the entry that is there up to date.

    Raises:
        RunapiError: It cannot be done; nothing was written.
    """
    wiring = wiring_for(host, wish)
    path = (*host.path, NAME)
    if wish.only_print:
        say(_masked(host.format.insert("", path, host.shape(wiring)).rstrip("\n")))
        return
    file = _read(host, machine, wish)
    with _placed(file):
        old = lookup(host.format.read(file.text), path)
        merged = host.format.merge(file.text, path, updated(old, host.shape(wiring)))
    if merged == file.text:
        say(f"{host.title} has this entry already: {file.path}")
        return
    _show(file, merged, say)
    if old is None and file.content is not None:
        file.back_up()
    file.write(merged)
    _tell_installed(host, wiring, wish, file, say)


def uninstall(host: Host, machine: Machine, wish: Wish, say: Say) -> None:
    """Take this server out of a host's config, and put the file back as it was if nothing else changed.

    Raises:
        ConfigError: It cannot be done; nothing was written.
    """
    file = _read(host, machine, wish)
    path = (*host.path, NAME)
    with _placed(file):
        entry = lookup(host.format.read(file.text), path)
        if entry is None:
            say(f"{host.title} does not have this server: {file.path}")
            return
        before = _before(host, file, path, entry if isinstance(entry, dict) else {})
        after = host.format.unmerge(file.text, path) if before is None else before
    if wish.only_print:
        say(_masked(_diff(file.text, after)))
        return
    _show(file, after, say)
    if before == "" and not file.backup.exists():
        file.delete()
        say(f"Removed {file.path}, which held nothing else.")
        return
    file.write(after)
    say(f"Took the entry out of {file.path}.")
    _leave_backup(file, after, say)


def listing(machine: Machine, say: Say) -> None:
    """Say, for each host, where its config is and whether it names this server."""
    for host in HOSTS.values():
        path = config_path(host, machine)
        say(f"{host.id:15} {_state(host, path):14} {path}")


def entries_naming_us(host: Host, path: Path) -> Mapping[str, Wiring]:
    """Return what a host's config starts this server with, by name.

    Raises:
        ConfigError: The config is broken.
    """
    file = files.read(path)
    with _placed(file):
        servers = lookup(host.format.read(file.text), host.path) if file.content is not None else None
    found = {name: wiring_of(entry) for name, entry in servers.items()} if isinstance(servers, dict) else {}
    return {name: wiring for name, wiring in found.items() if wiring and names_us(name, wiring)}


def _state(host: Host, path: Path) -> str:
    if not path.exists():
        return "no config"
    try:
        return "installed" if entries_naming_us(host, path) else "not installed"
    except ConfigError:
        return "unreadable"


def _read(host: Host, machine: Machine, wish: Wish) -> ConfigFile:
    return files.read(wish.config or config_path(host, machine))


class _placed:  # noqa: N801  # read as a clause: with _placed(file)
    """Says of a broken config which file it is."""

    def __init__(self, file: ConfigFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ConfigError) and str(self._file.path) not in error.what:
            raise ConfigError(f"{self._file.path}: {error.what}", advice=error.advice) from None


def _before(host: Host, file: ConfigFile, path: Sequence[str], entry: JsonObject) -> str | None:
    """Return the text from before the install, if all that happened since is our entry."""
    kept = files.read(file.backup)
    try:
        redone = host.format.merge(kept.text, tuple(path), entry)
    except ConfigError:
        return None
    return kept.text if redone == file.text else None


def _leave_backup(file: ConfigFile, after: str, say: Say) -> None:
    kept = files.read(file.backup)
    if kept.content is None:
        return
    if kept.content == after.encode():
        kept.delete()
    else:
        say(f"The file as it was before the entry came is still in {file.backup}.")


def _tell_installed(host: Host, wiring: Wiring, wish: Wish, file: ConfigFile, say: Say) -> None:
    say(f"Wrote {file.path}." + (f" As it was: {file.backup}" if file.backup.exists() else ""))
    if wish.stored is not None:
        say(f"The key is stored in that file: whoever can read {file.path} can use it.")
    elif wish.without_key and host.key == "store":
        say(f"No key is in it; {host.title} hands none on. Add {KEY_VARIABLE} to the entry's env.")
    else:
        variable = wish.key_variable or KEY_VARIABLE
        say(f"The key is not in it: the server takes {variable} from the environment {host.title} runs in.")
    if host.then:
        say(host.then)
    say("runapi-mcp doctor starts the entry as the host does and says what the host would see.")


def _show(file: ConfigFile, after: str, say: Say) -> None:
    say(_masked(_diff(file.text, after, str(file.path))))


def _diff(before: str, after: str, name: str = "") -> str:
    """Return the lines that come and go, and no others: those around them may hold other servers' keys.

    A line that only gets or loses a comma is one of the others.
    """
    lines = list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"{name} (now)", f"{name} (then)", lineterm="", n=0
        )
    )
    bodies = [{line[1:].removesuffix(",") for line in lines[2:] if line.startswith(sign)} for sign in "-+"]
    return "\n".join(line for line in lines if line[1:].removesuffix(",") not in bodies[0] & bodies[1])


def _masked(text: str) -> str:
    """Return a text without the values of keys and tokens; references stay."""

    def value(found: re.Match[str]) -> str:
        reference = found[3].startswith(("$", "{", "["))
        return found[0] if reference else f"{found[1]}{found[2]}…{found[2]}"

    return _SECRET.sub(value, text)

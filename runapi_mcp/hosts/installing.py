"""install and uninstall: what is said, and in which order things are done."""

from collections.abc import Callable
from typing import Final

from runapi_mcp.hosts import files
from runapi_mcp.hosts.entries import KEY_VARIABLE, NAME, stored_keys, updated
from runapi_mcp.hosts.files import ConfigFile
from runapi_mcp.hosts.finding import of_file
from runapi_mcp.hosts.formats import ConfigError, lookup
from runapi_mcp.hosts.machine import Machine
from runapi_mcp.hosts.rows import Host
from runapi_mcp.hosts.showing import change, printed
from runapi_mcp.hosts.wishes import Wish, config_for, wiring_for
from runapi_mcp.wire.types import JsonValue

Say = Callable[[str], None]

_UNTOUCHED: Final = "Nothing was changed."


def install(host: Host, machine: Machine, wish: Wish, say: Say) -> None:
    """Add this server to a host's config, or bring the entry that is there up to date.

    Raises:
        RunapiError: It cannot be done; nothing was written.
    """
    entry = host.shape(wiring_for(host, wish, machine.env))
    path = (*host.path, NAME)
    config = config_for(host, machine, wish)
    if wish.only_print:
        say(printed(host, entry))
        return
    file = files.read(config)
    with of_file(file.path, _UNTOUCHED):
        old = lookup(host.format.read(file.text), path)
        new = updated(old, entry)
        merged = host.format.merge(file.text, path, new)
    if old == new:
        say(f"{host.title} has this entry already: {file.path}")
        return
    _show(change(host, old, new, file.path), say)
    key_goes = bool(stored_keys(old, host.is_reference) - stored_keys(new, host.is_reference))
    _keep(host, file, old, key_goes=key_goes)
    file.write(merged)
    _tell_installed(host, wish, file, say, key_goes=key_goes)


def uninstall(host: Host, machine: Machine, wish: Wish, say: Say) -> None:
    """Take this server out of a host's config, and put the file back as it was if nothing else changed.

    Raises:
        RunapiError: It cannot be done; nothing was written.
    """
    file = files.read(config_for(host, machine, wish))
    path = (*host.path, NAME)
    with of_file(file.path, _UNTOUCHED):
        entry = lookup(host.format.read(file.text), path)
        if entry is None:
            say(f"{host.title} does not have this server: {file.path}")
            return
        before = _before(host, file, entry)
        after = host.format.unmerge(file.text, path) if before is None else before
    _show(change(host, entry, None, file.path), say)
    if wish.only_print:
        return
    if before == "" and not file.backup.exists():
        file.delete()
        say(f"Removed {file.path}, which held nothing else.")
    else:
        file.write(after)
        say(f"Took the entry out of {file.path}.")
    if stored_keys(entry, host.is_reference):
        say("The key that was stored in it went with it.")
    _leave_backups(file, after, say)


def _keep(host: Host, file: ConfigFile, old: JsonValue, *, key_goes: bool) -> None:
    """Keep the file as it is, unless there is nothing in it that the change could lose."""
    if file.content is None:
        return
    if key_goes:
        file.back_up(file.key_backup)
    elif old is None or (not file.backup.exists() and _before(host, file, old) is None):
        file.back_up(file.backup)


def _before(host: Host, file: ConfigFile, entry: JsonValue) -> str | None:
    """Return the text from before the install, if all that happened since is our entry."""
    kept = files.read(file.backup)
    path = (*host.path, NAME)
    try:
        if not isinstance(entry, dict) or lookup(host.format.read(kept.text), path) is not None:
            return None
        redone = host.format.merge(kept.text, path, entry)
    except ConfigError:
        return None
    return kept.text if redone == file.text else None


def _leave_backups(file: ConfigFile, after: str, say: Say) -> None:
    """Take the backup away that says no more than the file, and tell of the others."""
    kept = files.read(file.backup)
    if kept.content == after.encode():
        kept.delete()
    elif kept.content is not None:
        say(f"The file as it was before the first change is still in {file.backup}.")
    if file.key_backup.exists():
        say(f"A key that the entry once stored is still in {file.key_backup}.")


def _tell_installed(host: Host, wish: Wish, file: ConfigFile, say: Say, *, key_goes: bool) -> None:
    say(f"Wrote {file.path}." + (f" As it was: {file.backup}" if file.backup.exists() else ""))
    if key_goes:
        say(f"The key that the entry stored is no longer in it; {file.key_backup} still holds it.")
    say(_where_the_key_is(host, wish, file))
    if wish.project:
        say("Whoever opens the project has to have runapi-mcp on PATH: uv tool install runapi-mcp.")
    if host.then:
        say(host.then)
    say("runapi-mcp doctor starts the entry as the host does and says what the host would see.")


def _where_the_key_is(host: Host, wish: Wish, file: ConfigFile) -> str:
    if wish.stored is not None:
        return f"The key is stored in that file: whoever can read {file.path} can use it."
    if wish.from_keyring:
        return "The key is not in it: the server takes it from this machine's keyring (runapi-mcp key)."
    if wish.without_key and host.key == "store":
        return f"No key is in it; {host.title} hands none on. Add {KEY_VARIABLE} to the entry's env."
    variable = wish.key_variable or KEY_VARIABLE
    return f"The key is not in it: the server takes {variable} from the environment {host.title} runs in."


def _show(lines: str, say: Say) -> None:
    if lines:
        say(lines)

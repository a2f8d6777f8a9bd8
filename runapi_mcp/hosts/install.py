"""install and uninstall: what an entry has to hold, what is shown of a change, in which order it is made."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from runapi_mcp.errors import ConfigError, InputError
from runapi_mcp.hosts.configs import (
    ConfigFile,
    find_config,
    find_entries,
    find_gate,
    find_more,
    find_private,
    find_remotes,
    has_mark,
    of_file,
    project_path,
    read_config,
)
from runapi_mcp.hosts.entries import (
    ALWAYS_LOAD,
    BEARER,
    ENVS,
    KEY_VARIABLE,
    KEYRING_VARIABLE,
    NAME,
    NAMING,
    Launch,
    Remote,
    Wiring,
    find_keys,
    is_off,
    leave_key_to_file,
    update_entry,
)
from runapi_mcp.hosts.formats import lookup
from runapi_mcp.hosts.rows import Host, Machine
from runapi_mcp.settings import KEY_NAMES
from runapi_mcp.wire.types import JsonObject, JsonValue

PLACEHOLDER: Final = "YOUR_RUNAPI_TOKEN"
"""What stands in the place of a key that is to be filled in by hand."""
_HIDDEN: Final = "…"
_OTHERS: Final = "…"
"""What the entries of others are called in what is shown."""
_TELLING: Final = r"[\w-]*(?:key(?!ring)|token|secret|passw|auth|credential)[\w-]*"
_SECRET_NAME: Final = re.compile(_TELLING, re.IGNORECASE)
_SECRET_FLAG: Final = re.compile(rf"--?{_TELLING}", re.IGNORECASE)
_SECRET_SETTING: Final = re.compile(rf"((?:--?)?{_TELLING}=)(.+)", re.IGNORECASE | re.DOTALL)
_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")


def print_entry(host: Host, entry: JsonObject) -> str:
    """Return a config that holds our entry and nothing else, as the host writes it."""
    return host.format.insert("", (*host.path, NAME), mask(host, entry)).rstrip("\r\n")


def change(host: Host, old: JsonValue, new: JsonValue, file: Path) -> str:
    """Return the lines of our entry that come and go; empty if they differ in nothing that is shown.

    Args:
        host: Whose config it is.
        old: Our entry as it is; `None` if there is none.
        new: Our entry as it will be; `None` if there will be none.
        file: The config, for the heading.
    """
    lines = difflib.unified_diff(
        _beside_others(host, old),
        _beside_others(host, new),
        f"{file} (now)",
        f"{file} (then)",
        lineterm="",
        n=0,
    )
    # The numbers in @@ would be those of what is shown, not of the file.
    return "\n".join(line for line in lines if line.strip("+-") and not line.startswith("@@"))


def _beside_others(host: Host, entry: JsonValue) -> list[str]:
    text = host.format.insert("", (*host.path, _OTHERS), {})
    if isinstance(entry, dict):
        text = host.format.insert(text, (*host.path, NAME), mask(host, entry))
    # In JSON the line above our entry gets a comma; that is no change that anyone looks for.
    return text.replace(f'"{_OTHERS}": {{}},', f'"{_OTHERS}": {{}}').splitlines()


def mask(host: Host, entry: JsonObject) -> JsonObject:
    """Return an entry without the values that may be secret; references to variables stay."""
    shown: JsonObject = {}
    for name, value in entry.items():
        if name in (*ENVS, "headers") and isinstance(value, dict):
            shown[name] = {key: _variable(host, key, inner) for key, inner in value.items()}
        else:
            shown[name] = _mask("" if name in NAMING else name, value)
    return shown


def _variable(host: Host, name: str, value: JsonValue) -> JsonValue:
    bare = value.removeprefix(BEARER) if isinstance(value, str) else ""
    harmless = host.fills_in(bare) or bare == PLACEHOLDER
    return value if harmless or name == KEYRING_VARIABLE else _HIDDEN


def _mask(name: str, value: JsonValue) -> JsonValue:
    match value:
        case _ if _SECRET_NAME.fullmatch(name):
            return _HIDDEN
        case dict():
            return {key: _mask(key, inner) for key, inner in value.items()}
        case list():
            flags = ["", *value]
            return [_mask(_name_of_flag(before), inner) for before, inner in zip(flags, value, strict=False)]
        case str():
            return _USER.sub(f"{_HIDDEN}@", _SECRET_SETTING.sub(rf"\1{_HIDDEN}", value))
        case bool() | int() | float() | None:
            return value
    return str(value)  # a date of TOML's or YAML's


def _name_of_flag(word: JsonValue) -> str:
    """Return the name that a flag gives to the word after it, if it is one that hides a secret."""
    flag = isinstance(word, str) and _SECRET_FLAG.fullmatch(word)
    return flag[0].lstrip("-") if flag else ""


@dataclass(frozen=True)
class Wish:
    """What the person at the keyboard asked for.

    Attributes:
        launch: What the host is to start.
        key_variable: The variable that the config is to refer to, if they named one.
        stored: The key that the config is to hold, if they asked for that.
        without_key: Whether the host needs the key in its config and is to have none.
        from_keyring: Whether the server is to take the key from this machine's keyring.
        only_print: Whether nothing is to be written.
        config: A config file other than the host's usual one.
        project: The folder of the project whose config is meant, if they meant a project's.
        always_load: Whether a host that can put tools off is to load them at the start.
        url: The server on the network that is meant, if it is not to be started here.
        token_variable: The variable that holds the token it asks for; empty if it asks for none.
        store_token: Whether the config is to hold that token where it cannot refer to the variable.
    """

    launch: Launch
    key_variable: str | None = None
    stored: SecretStr | None = None
    without_key: bool = False
    from_keyring: bool = False
    only_print: bool = False
    config: Path | None = None
    project: Path | None = None
    always_load: bool = True
    url: str = ""
    token_variable: str = ""
    store_token: bool = False


def config_for(host: Host, machine: Machine, wish: Wish) -> Path:
    """Return the config that is meant.

    Raises:
        InputError: A project's is meant, and the host has none.
    """
    if wish.project:
        return project_path(host, wish.project)
    return wish.config or find_config(host, machine)


def wiring_for(host: Host, wish: Wish, env: Mapping[str, str]) -> Wiring:
    """Return how a host is to start the server and give it its key.

    Args:
        host: The host.
        wish: What is asked for.
        env: The environment, to advise by whether it holds a key.

    Raises:
        InputError: The host cannot do what is wished, or needs a decision about the key.
    """
    if wish.project and wish.stored is not None:
        raise InputError(
            "A project's config is for everyone who has the project, so no key is stored there.",
            advice="Leave --store-key out; each of them sets the key, or adds --keyring.",
        )
    launch = wish.launch.by_name() if wish.project else wish.launch
    if wish.stored is not None:
        return Wiring(launch, {KEY_VARIABLE: wish.stored.get_secret_value()})
    if wish.from_keyring:
        return Wiring(launch, {KEYRING_VARIABLE: "1"})
    variable = wish.key_variable or KEY_VARIABLE
    if host.reference and (wish.key_variable or host.key == "reference"):
        return Wiring(launch, {KEY_VARIABLE: host.reference.to(variable)})
    if variable not in KEY_NAMES:
        raise InputError(
            f"{host.title} cannot give a server a variable under another name.",
            advice=f"Use one of {', '.join(KEY_NAMES)}.",
        )
    if host.key == "forward":
        return Wiring(launch, forward=(variable,))
    if host.key == "store" and not wish.without_key:
        return Wiring(launch, {KEY_VARIABLE: _placeholder(host, wish, env)})
    return Wiring(launch)


def entry_for(host: Host, wish: Wish, env: Mapping[str, str]) -> JsonObject:
    """Return the entry that is wished for; see :func:`wiring_for`.

    Raises:
        InputError: The host cannot do it, or needs a decision about the key.
    """
    if not wish.url:
        entry = host.shape(wiring_for(host, wish, env))
    elif host.remote is None:
        raise InputError(
            f"{host.title}'s config takes only programs that it starts itself.",
            advice="Add the URL in its settings, under Connectors; or leave --url out.",
        )
    else:
        entry = host.remote(Remote(wish.url, wish.token_variable, _token(host, wish, env)))
        if ALWAYS_LOAD in host.shape(Wiring(wish.launch)):
            entry[ALWAYS_LOAD] = True
    if not wish.always_load:
        entry.pop(ALWAYS_LOAD, None)
    return entry


def _token(host: Host, wish: Wish, env: Mapping[str, str]) -> str:
    """Return what stands for a server's token in the config; empty if it asks for none."""
    variable = wish.token_variable
    if not variable:
        return ""
    if reference := host.token or host.reference:
        return reference.to(variable)
    if wish.only_print:
        return PLACEHOLDER
    if not wish.store_token or wish.project:
        raise InputError(
            f"{host.title} cannot refer to a variable, so the token has to stand in its config file, where "
            "everyone who can read that file can read it.",
            advice="Add --store-key to have it written there.",
        )
    if not env.get(variable, "").strip():
        raise InputError(f"{variable} is not set, or is empty.", advice="Set it to the server's token.")
    return env[variable].strip()


def _placeholder(host: Host, wish: Wish, env: Mapping[str, str]) -> str:
    """Return what stands for the key where nothing is written; else it has to be decided on first."""
    if wish.only_print:
        return PLACEHOLDER
    is_set = any(env.get(name, "").strip() for name in KEY_NAMES)
    raise InputError(
        f"{host.title} gives servers no variable of your environment, so the key has to stand in its "
        "config file, where everyone who can read that file can read it.",
        advice=f"{'Add' if is_set else f'Set {KEY_VARIABLE} and add'} --store-key, or --no-key to add the "
        "key by hand later; or keep it in this machine's keyring (runapi-mcp key set) and add --keyring.",
    )


Say = Callable[[str], None]
_MOST_NAMED: Final = 3
"""Folders of projects that are told of."""

_UNTOUCHED: Final = "Nothing was changed."


_LOADED: Final = (
    "Each request to its model then holds all tools, about 1,900 tokens; with --no-always-load their names "
    "and what they are for, about 300, and the model looks a tool up before it uses one."
)
_LOOKED_UP: Final = (
    "Each request to its model then holds the tools' names and what they are for, about 300 tokens, and the "
    "model looks a tool up before it uses one; all of them at once are about 1,900."
)
"""By what Claude Code sends, at four characters a token; a test counts them."""


def install(host: Host, machine: Machine, wish: Wish, say: Say) -> None:
    """Add this server to a host's config, or bring the entry that is there up to date.

    Raises:
        RunapiError: It cannot be done; nothing was written.
    """
    entry = entry_for(host, wish, machine.env)
    path = (*host.path, NAME)
    config = config_for(host, machine, wish)
    if wish.only_print:
        say(print_entry(host, entry))
        return
    file = read_config(config)
    with of_file(file.path, _UNTOUCHED):
        old = lookup(host.format.read(file.text), path)
        new = update_entry(old, entry)
        if wish.key_variable is None:
            new = leave_key_to_file(new, host.fills_in)
        if not wish.always_load:
            new = {name: value for name, value in new.items() if name != ALWAYS_LOAD}
        merged = host.format.merge(file.text, path, new)
        if has_mark(host, file.path):
            merged = merged.removeprefix("\ufeff")
    if old == new and not has_mark(host, file.path):
        say(f"{host.title} has this entry already: {file.path}")
        if wish.stored is not None and file.keep_to_owner():
            say("As it holds the key, nobody but its owner can read it any more.")
        _tell_of_others(host, machine, file, new, say)
        return
    file.check_writable()
    _show(change(host, old, new, file.path), say)
    if ALWAYS_LOAD in host.shape(Wiring(wish.launch)):
        say(_LOADED if wish.always_load else _LOOKED_UP)
    key_goes = bool(find_keys(old, host.fills_in) - find_keys(new, host.fills_in))
    _keep(host, file, old, key_goes=key_goes)
    file.write(merged, shared=wish.project is not None, secret=wish.stored is not None)
    _tell_installed(host, machine, wish, file, say, key_goes=key_goes)
    _tell_of_others(host, machine, file, new, say)


def uninstall(host: Host, machine: Machine, wish: Wish, say: Say) -> None:
    """Take this server out of a host's config, and put the file back as it was if nothing else changed.

    Raises:
        RunapiError: It cannot be done; nothing was written.
    """
    file = read_config(config_for(host, machine, wish))
    path = (*host.path, NAME)
    with of_file(file.path, _UNTOUCHED):
        entry = lookup(host.format.read(file.text), path)
        if entry is None:
            say(f"{host.title} does not have this server: {file.path}")
            _tell_what_stays(host, machine, file, say)
            return
        before = _before(host, file, entry)
        after = host.format.unmerge(file.text, path) if before is None else before
    if not wish.only_print:
        file.check_writable()
    _show(change(host, entry, None, file.path), say)
    if wish.only_print:
        return
    if before == "" and not file.backup.exists():
        file.delete()
        say(f"Removed {file.path}, which held nothing else.")
    else:
        file.write(after)
        say(f"Took the entry out of {file.path}.")
    if find_keys(entry, host.fills_in):
        say("The key that was stored in it went with it.")
    _leave_backups(file, after, say)
    _tell_what_stays(host, machine, file, say)


def _tell_of_others(host: Host, machine: Machine, file: ConfigFile, entry: JsonObject, say: Say) -> None:
    """Say what keeps a host from going by an entry: that it is off, or what is read in its place."""
    if is_off(entry):
        say(f"It is switched off there, as it was: switch it on in {host.title}.")
    if gate := find_gate(host, file.path, NAME):
        say(f"But {gate}")
    if file.path != read_config(find_config(host, machine)).path:
        return
    for folder in find_private(host, file.path)[:_MOST_NAMED]:
        say(
            f"In {folder} {host.title} goes by another entry of this name, of that project alone: there, "
            f"claude mcp remove -s local {NAME} takes it out."
        )
    for path in find_more(host, machine):
        if _names_us(host, path):
            say(f"{path} has an entry of this name too, as it was.")
        elif path.parent != file.path.parent:
            say(f"Where {host.title} goes by {path} instead, add it there too: --config {path}")


def _tell_what_stays(host: Host, machine: Machine, file: ConfigFile, say: Say) -> None:
    own = find_config(host, machine)
    if file.path == read_config(own).path:
        for folder in find_private(host, file.path)[:_MOST_NAMED]:
            say(f"For {folder} alone it is still there: claude mcp remove -s local {NAME}, there.")
    for path in (own, *find_more(host, machine)):
        if read_config(path).path != file.path and _names_us(host, path):
            say(f"It is still in {path}: runapi-mcp uninstall {host.id} --config {path} takes it out.")


def _names_us(host: Host, path: Path) -> bool:
    try:
        return NAME in find_entries(host, path) or NAME in find_remotes(host, path)
    except ConfigError:
        return False


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
    kept = read_config(file.backup)
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
    kept = read_config(file.backup)
    if kept.content == after.encode():
        kept.delete()
    elif kept.content is not None:
        say(f"The file as it was before the first change is still in {file.backup}.")
    if file.key_backup.exists():
        say(f"A key that the entry once stored is still in {file.key_backup}.")


def _tell_installed(
    host: Host, machine: Machine, wish: Wish, file: ConfigFile, say: Say, *, key_goes: bool
) -> None:
    say(f"Wrote {file.path}." + (f" As it was: {file.backup}" if file.backup.exists() else ""))
    if key_goes:
        say(f"The key that the entry stored is no longer in it; {file.key_backup} still holds it.")
    say(_where_the_key_is(host, wish, file))
    if wish.project and not wish.url:
        say("Whoever opens the project has to have runapi-mcp on PATH: uv tool install . in a clone of it.")
    if host.then:
        say(host.then)
    if host.menu and not wish.project and machine.platform == "linux" and machine.env.get("WSL_DISTRO_NAME"):
        # Most have it on Windows (ArcadeAI/arcade-mcp#682, raw-labs/mxcp#44).
        say(
            f"This file is for a {host.title} inside WSL. One on Windows reads its own: install there too, "
            "or have that start wsl.exe with what stands here as its arguments."
        )
    if not wish.url:
        say("runapi-mcp doctor starts the entry as the host does and says what the host would see.")


def _where_the_key_is(host: Host, wish: Wish, file: ConfigFile) -> str:
    if wish.url:
        return _where_the_token_is(host, wish, file)
    if wish.stored is not None:
        return f"The key is stored in that file: whoever can read {file.path} can use it."
    if wish.from_keyring:
        return "The key is not in it: the server takes it from this machine's keyring (runapi-mcp key)."
    if wish.without_key and host.key == "store":
        return f"No key is in it; {host.title} hands none on. Add {KEY_VARIABLE} to the entry's env."
    variable = wish.key_variable or KEY_VARIABLE
    return f"The key is not in it: the server takes {variable} from the environment {host.title} runs in."


def _where_the_token_is(host: Host, wish: Wish, file: ConfigFile) -> str:
    if not wish.token_variable:
        return "No token is sent; where the server asks for one, add --token-env NAME."
    if wish.store_token and not (host.token or host.reference):
        return f"The token is stored in that file: whoever can read {file.path} can use it."
    where = f"the environment {host.title} runs in"
    return f"The token is not in it: {host.title} takes {wish.token_variable} from {where}."


def _show(lines: str, say: Say) -> None:
    if lines:
        say(lines)

"""A host's config file and our entry in it: read, changed in place, written with a backup."""

import contextlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from runapi_mcp.hosts.formats import ConfigError
from runapi_mcp.hosts.machine import Flaw, Launch, names_a_variable, variable_flaws, word_flaws
from runapi_mcp.hosts.remote import BEARER, HEADER, NAMES
from runapi_mcp.settings import KEY_NAMES, MIB
from runapi_mcp.wire.types import JsonObject, JsonValue

NAME: Final = "runapi"
"""What our entry is called in every host."""
KEY_VARIABLE: Final = KEY_NAMES[0]
KEYRING_VARIABLE: Final = "RUNAPI_MCP_KEYRING"
ALWAYS_LOAD: Final = "alwaysLoad"


@dataclass(frozen=True, slots=True)
class Wiring:
    """How the server is started and gets its key.

    Attributes:
        launch: The command.
        env: Variables set in the config: references, or values.
        forward: Names of variables that the host is to hand on from its own environment.
        off: Whether the config switches the server off.
        flaws: What in the entry hosts do not take; it is left out of the rest.
    """

    launch: Launch
    env: Mapping[str, str] = field(default_factory=dict)
    forward: tuple[str, ...] = ()
    off: bool = False
    flaws: tuple[Flaw, ...] = ()


Shape: TypeAlias = Callable[[Wiring], JsonObject]


def plain(wiring: Wiring) -> JsonObject:
    """command, args, env: what most hosts take."""
    entry: JsonObject = {"command": wiring.launch.command, "args": list[JsonValue](wiring.launch.args)}
    return entry | ({"env": dict[str, JsonValue](wiring.env)} if wiring.env else {})


def type_command(wiring: Wiring) -> JsonObject:
    """The same with `type`, for hosts that ask for it."""
    return {"type": "stdio"} | plain(wiring)


def claude_code(wiring: Wiring) -> JsonObject:
    """Claude Code's: without `alwaysLoad` its model sees the tools' names alone, to be looked up first."""
    return type_command(wiring) | {ALWAYS_LOAD: True}


def custom(wiring: Wiring) -> JsonObject:
    """Zed's: the same with `source`."""
    return {"source": "custom"} | plain(wiring)


def codex(wiring: Wiring) -> JsonObject:
    """Codex's: variables that are handed on are named in `env_vars`."""
    return plain(wiring) | ({"env_vars": list[JsonValue](wiring.forward)} if wiring.forward else {})


def opencode(wiring: Wiring) -> JsonObject:
    """opencode's: one list for command and arguments."""
    command: list[JsonValue] = [wiring.launch.command, *wiring.launch.args]
    entry: JsonObject = {"type": "local", "command": command, "enabled": True}
    return entry | ({"environment": dict[str, JsonValue](wiring.env)} if wiring.env else {})


def goose(wiring: Wiring) -> JsonObject:
    """Goose's extension: `env_keys` are looked up in its environment and its keyring."""
    entry: JsonObject = {
        "enabled": True,
        "type": "stdio",
        "name": NAME,
        "description": "Gemini through RunAPI",
        "cmd": wiring.launch.command,
        "args": list[JsonValue](wiring.launch.args),
        "timeout": 300,
    }
    if wiring.env:
        entry["envs"] = dict[str, JsonValue](wiring.env)
    return entry | ({"env_keys": list[JsonValue](wiring.forward)} if wiring.forward else {})


OWNED: Final = frozenset(
    {"type", "source", "command", "cmd", "args", "env", "envs", "environment", "env_vars", "env_keys"}
    | {"headers", "bearer_token_env_var", *NAMES}
)
"""What an entry of ours decides; anything else in it is its owner's and is kept."""
ENVS: Final = ("env", "envs", "environment")
"""Where entries set variables, by host."""
FORWARDS: Final = ("env_vars", "env_keys")
"""Where entries name variables to hand on, by host."""
NAMING: Final = (*FORWARDS, "bearer_token_env_var")
"""What holds names of variables, which are no secrets."""


def updated(old: JsonValue, new: JsonObject) -> JsonObject:
    """Return a new entry with what the owner added to the old one: limits, switches, other variables."""
    if not isinstance(old, dict):
        return new
    kept = {key: value for key, value in old.items() if key not in OWNED}
    merged = new | kept
    if is_remote(old) != is_remote(new):
        return merged  # Codex does not start with variables for a URL, nor with headers for a program
    ours_to_set = (*KEY_NAMES, KEYRING_VARIABLE, HEADER)
    for name in (*ENVS, "headers"):
        inherited = old.get(name)
        if isinstance(inherited, dict):
            others = {key: value for key, value in inherited.items() if key not in ours_to_set}
            ours = merged.get(name)
            both = others | (ours if isinstance(ours, dict) else {})
            merged = merged | ({name: both} if both else {})
    return merged


def stored_keys(entry: JsonValue, is_reference: Callable[[str], bool]) -> frozenset[str]:
    """Return the keys that stand in an entry itself, not as references to a variable."""
    variables = [entry.get(name) for name in ENVS] if isinstance(entry, dict) else []
    values = [env.get(name) for env in variables if isinstance(env, dict) for name in KEY_NAMES]
    headers = entry.get("headers") if isinstance(entry, dict) else None
    if isinstance(headers, dict) and isinstance(said := headers.get(HEADER), str):
        values.append(said.removeprefix(BEARER))
    return frozenset(v for v in values if isinstance(v, str) and v.strip() and not is_reference(v))


def is_remote(entry: JsonValue) -> bool:
    """Whether an entry names a server on the network."""
    return isinstance(entry, dict) and any(isinstance(entry.get(name), str) for name in NAMES)


def wiring_of(entry: JsonValue) -> Wiring | None:
    """Return what a host's entry starts; `None` if it starts no program."""
    if not isinstance(entry, dict):
        return None
    words = _words(entry.get("command", entry.get("cmd"))) + _words(entry.get("args"))
    if not words:
        return None
    env = next((value for name in ENVS if isinstance(value := entry.get(name), dict)), {})
    forward = next((value for name in FORWARDS if isinstance(value := entry.get(name), list)), [])
    off = entry.get("disabled") is True or entry.get("enabled") is False
    return Wiring(
        Launch(words[0], tuple(words[1:])),
        {name: _text(value) for name, value in env.items() if value is not None and names_a_variable(name)},
        tuple(value for value in forward if isinstance(value, str)),
        off,
        (*word_flaws(entry), *variable_flaws(env)),
    )


def names_us(name: str, wiring: Wiring) -> bool:
    """Whether an entry starts this server, whatever it is called."""
    words = (wiring.launch.command, *wiring.launch.args)
    return name == NAME or any(re.search(r"\brunapi[-_]mcp\b", word) for word in words)


def _words(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


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
            if read(self.path).content != self.content:
                raise ConfigError(f"{self.path} changed while it was being edited.", advice="Run it again.")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, text.encode(), like=self.path, secret=secret)
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


def read(path: Path) -> ConfigFile:
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
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            raise ConfigError(f"{path} is no regular file of less than 64 MiB.")
        return ConfigFile(real, real.read_bytes())


def _replace(path: Path, content: bytes, *, like: Path, secret: bool = False) -> None:
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

"""Our entry in a host's config: what it starts, what it is read as, what of it is its owner's."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.errors import InputError
from runapi_mcp.printable import quote_text
from runapi_mcp.settings import KEY_NAMES, LOOPBACK
from runapi_mcp.wire.types import JsonObject, JsonValue

NAME: Final = "runapi"
"""What our entry is called in every host."""
KEY_VARIABLE: Final = KEY_NAMES[0]
KEYRING_VARIABLE: Final = "RUNAPI_MCP_KEYRING"
ALWAYS_LOAD: Final = "alwaysLoad"
HEADER: Final = "Authorization"
BEARER: Final = "Bearer "
NAMES: Final = ("url", "serverUrl", "httpUrl", "uri")
"""What hosts call the URL."""
OWNED: Final = frozenset(
    {"type", "source", "command", "cmd", "args", "env", "envs", "environment", "env_vars", "env_keys"}
    | {"headers", "bearer_token_env_var", *NAMES}
)
"""What an entry of ours decides; anything else in it is its owner's and is kept."""
ENVS: Final = ("env", "envs", "environment")
"""Where entries set variables, by host."""
ENV_FILE: Final = "envFile"
"""Where an entry of VS Code or Cursor names a file of variables (microsoft/vscode#244059)."""
FORWARDS: Final = ("env_vars", "env_keys")
"""Where entries name variables to hand on, by host."""
NAMING: Final = (*FORWARDS, "bearer_token_env_var")
"""What holds names of variables, which are no secrets."""
_QUOTE_IT: Final = "Put it in quotes, or take it out: some hosts refuse the entry for it."
_NO_URL: Final = "--url: it must be an address such as https://mcp.example.com/mcp."


# uvx makes a new environment whenever something newer is to be had, and the old ones are pruned
# (acryldata/mcp-server-datahub#125): a config that named a program in one would lead nowhere one day.
_FLEETING: Final = re.compile(r"[/\\]uv[/\\](cache[/\\])?(archive|environments|builds)-v\d+[/\\]")
"""Where uvx keeps the environments that it makes for one run; `uv cache clean` empties it."""
_AS_MODULE: Final = ("-P", "-m", "runapi_mcp")
"""Hosts start servers in the folder of a project: without -P its json.py is imported, and sees the key."""


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
        return Launch("runapi-mcp", self.args[3:] if self.args[:3] == _AS_MODULE else self.args)


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


@dataclass(frozen=True, slots=True)
class Wiring:
    """How the server is started and gets its key.

    Attributes:
        launch: The command.
        env: Variables set in the config: references, or values.
        forward: Names of variables that the host is to hand on from its own environment.
        env_file: The file whose variables the host sets, too; what stands in the config goes before them.
        off: Whether the config switches the server off.
        flaws: What in the entry hosts do not take; it is left out of the rest.
    """

    launch: Launch
    env: Mapping[str, str] = field(default_factory=dict)
    forward: tuple[str, ...] = ()
    env_file: str = ""
    off: bool = False
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class Remote:
    """A server on the network.

    Attributes:
        url: Where its MCP endpoint is.
        variable: The variable that holds the token it asks for; empty if it asks for none.
        token: What stands for the token in the config: a reference to the variable, or the token.
        events: Whether the host takes it for one of the older SSE.
        off: Whether the config switches it off.
    """

    url: str
    variable: str = ""
    token: str = ""
    events: bool = False
    off: bool = False

    @property
    def headers(self) -> JsonObject:
        """What a request carries, as most hosts write it; nothing without a token."""
        return {"headers": {HEADER: f"{BEARER}{self.token}"}} if self.token else {}


def update_entry(old: JsonValue, new: JsonObject) -> JsonObject:
    """Return a new entry with what the owner added to the old one: limits, switches, other variables."""
    if not isinstance(old, dict):
        return new
    kept = {key: value for key, value in old.items() if key not in OWNED}
    merged = new | kept
    if is_remote(old) != is_remote(new):
        # Codex starts neither with variables for a URL nor headers for a program (kurrent-io/kcap-cli#366).
        return merged
    ours_to_set = (*KEY_NAMES, KEYRING_VARIABLE, HEADER)
    for name in FORWARDS:
        # A proxy, a certificate: without it the server that is handed on nothing else reaches nobody.
        named = old.get(name)
        if isinstance(named, list):
            ours = merged.get(name)
            own = list(ours) if isinstance(ours, list) else []
            others = [each for each in named if each not in own and _forwarded(each) not in ours_to_set]
            merged = merged | ({name: [*own, *others]} if own or others else {})
    for name in (*ENVS, "headers"):
        inherited = old.get(name)
        if isinstance(inherited, dict):
            kept = {key: value for key, value in inherited.items() if key not in ours_to_set}
            ours = merged.get(name)
            both = kept | (ours if isinstance(ours, dict) else {})
            merged = merged | ({name: both} if both else {})
    return merged


def _forwarded(variable: JsonValue) -> JsonValue:
    """Return the name of a variable that is handed on; Codex takes a table with the name in it, too."""
    return variable.get("name") if isinstance(variable, dict) else variable


def leave_key_to_file(entry: JsonObject, is_reference: Callable[[str], bool]) -> JsonObject:
    """Return an entry whose file of variables gives the key: a reference in it would go before that."""
    if not isinstance(entry.get(ENV_FILE), str):
        return entry
    left = {name: value for name, value in entry.items() if name not in ENVS}
    for name in ENVS:
        env = entry.get(name)
        if isinstance(env, dict):
            own = {
                key: value
                for key, value in env.items()
                if not (key in KEY_NAMES and _refers(value, is_reference))
            }
            left |= {name: own} if own else {}
    return left


def _refers(value: JsonValue, is_reference: Callable[[str], bool]) -> bool:
    return isinstance(value, str) and is_reference(value)


def find_keys(entry: JsonValue, is_reference: Callable[[str], bool]) -> frozenset[str]:
    """Return the keys that stand in an entry itself, not as references to a variable."""
    variables = [entry.get(name) for name in ENVS] if isinstance(entry, dict) else []
    values = [env.get(name) for env in variables if isinstance(env, dict) for name in KEY_NAMES]
    headers = entry.get("headers") if isinstance(entry, dict) else None
    if isinstance(headers, dict) and isinstance(said := headers.get(HEADER), str):
        values.append(said.removeprefix(BEARER))
    return frozenset(v for v in values if isinstance(v, str) and v.strip() and not is_reference(v))


def is_off(entry: JsonObject) -> bool:
    """Whether an entry's owner switched it off."""
    return entry.get("disabled") is True or entry.get("enabled") is False


def is_remote(entry: JsonValue) -> bool:
    """Whether an entry names a server on the network."""
    return isinstance(entry, dict) and any(isinstance(entry.get(name), str) for name in NAMES)


# ---------------------------------------------------------------- read back


def wiring_of(entry: JsonValue) -> Wiring | None:
    """Return what a host's entry starts; `None` if it starts no program."""
    if not isinstance(entry, dict):
        return None
    words = _words(entry.get("command", entry.get("cmd"))) + _words(entry.get("args"))
    if not words:
        return None
    env = next((value for name in ENVS if isinstance(value := entry.get(name), dict)), {})
    forward = next((value for name in FORWARDS if isinstance(value := entry.get(name), list)), [])
    named = entry.get(ENV_FILE)
    return Wiring(
        Launch(words[0], tuple(words[1:])),
        {name: _text(value) for name, value in env.items() if value is not None and names_a_variable(name)},
        tuple(name for value in forward if isinstance(name := _forwarded(value), str)),
        named if isinstance(named, str) else "",
        is_off(entry),
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


def remote_of(entry: JsonValue, usual: JsonObject) -> Remote | None:
    """Return the server on the network that a host's entry names; `None` if it names none.

    Args:
        entry: The entry.
        usual: One as the host takes it for Streamable HTTP.
    """
    if not isinstance(entry, dict):
        return None
    url = next((value for name in NAMES if isinstance(value := entry.get(name), str)), "")
    if not url:
        return None
    headers = entry.get("headers")
    said = next(
        (
            value
            for name, value in (headers.items() if isinstance(headers, dict) else ())
            if name.lower() == HEADER.lower() and isinstance(value, str)
        ),
        "",
    )
    variable = entry.get("bearer_token_env_var")
    token = said[len(BEARER) :].strip() if said.lower().startswith(BEARER.lower()) else ""
    kind = entry.get("type")
    # Gemini CLI takes `url`, and Cline one without a type, for the older SSE.
    typed_apart = "httpUrl" in usual or usual.get("type") == "streamableHttp"
    older = kind is None and typed_apart and "httpUrl" not in entry
    events = kind == "sse" or older or url.partition("?")[0].rstrip("/").endswith("/sse")
    off = is_off(entry)
    return Remote(url, variable if isinstance(variable, str) else "", token, events, off)


def read_url(text: str) -> str:
    """Return the URL of an MCP endpoint.

    Raises:
        InputError: It is none, or holds a password.
    """
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise InputError(_NO_URL, advice="") from None
    if not host or url.scheme not in ("http", "https") or any(c.isspace() for c in text):
        raise InputError(_NO_URL, advice="")
    if url.username or url.password:
        raise InputError("--url: a password does not belong in it.", advice="Name its variable: --token-env.")
    return text


def sends_in_the_open(url: str) -> bool:
    """Whether what is sent to a URL can be read on the way: plain http, to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK

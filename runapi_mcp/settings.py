"""Settings as a frozen value, read from a mapping that is passed in.

Each field says in its metadata which variable sets it, how its text is read and what it is for;
the command line's flags and the README's table come from the same metadata.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from runapi_mcp.catalog import DEFAULT_MODEL, DEFAULT_SEARCH_MODEL
from runapi_mcp.errors import KeyMissing, SettingsError
from runapi_mcp.wire.names import DialectName

if TYPE_CHECKING:
    from pydantic import SecretStr  # takes longer to import than a host should wait for --version

Hold: TypeAlias = float | Literal["auto"]
LogLevel: TypeAlias = Literal["off", "info", "debug"]
T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://runapi.ai"
KEY_NAMES: Final = ("RUNAPI_TOKEN", "RUNAPI_API_KEY")
MIB: Final = 1024 * 1024
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_GOOGLE = ("googleapis.com", "google.com")


def _option(env: str, read: Callable[[str], T], default: T, about: str) -> T:
    """Declare a setting: its variable, how to read its text, its default, what it is for."""
    return field(default=default, metadata={"env": env, "read": read, "about": about})


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        with suppress(ValueError):
            if low <= (value := float(text)) <= high:
                return value
        raise ValueError(f"a number from {low:g} to {high:g}")

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        with suppress(ValueError):
            if low <= (value := int(text)) <= high:
                return value
        raise ValueError(f"a whole number from {low} to {high}")

    return read


def _one_of(*choices: str) -> Callable[[str], Any]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return read


def read_base_url(text: str) -> str:
    """Return a base URL without its trailing slash.

    Raises:
        ValueError: It is not https (or http to this machine), or carries more than host and path.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("an https:// URL with a host, and a port if need be") from None
    plain_text_ok = url.scheme == "http" and url.hostname in LOOPBACK
    if not url.hostname or port == 0 or not (url.scheme == "https" or plain_text_ok):
        raise ValueError("an https:// URL (http:// only to this machine)")
    if any(c in "@?#\\" or c.isspace() or not c.isprintable() for c in text):
        raise ValueError("a URL without user name, password, query, fragment or spaces")
    return text.rstrip("/")


def _path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+/?", text):
        raise ValueError("a path such as /v1beta/openai or /v1")
    return text.rstrip("/")


def _hold(text: str) -> Hold:
    if text == "auto":
        return "auto"
    try:
        return _number(0, 3600)(text)
    except ValueError as error:
        raise ValueError(f"auto, or {error}") from None


def read_model_id(text: str) -> str:
    """Return a model id that can stand in a URL.

    Raises:
        ValueError: It has a slash, white space or another character that ids do not have.
    """
    if not _MODEL_ID.fullmatch(text):
        raise ValueError("a model id such as gemini-3-flash-preview, without a slash or spaces")
    return text


def _store(text: str) -> "SecretStr":
    """Read where the shared store is; a secret, for it may hold a password."""
    url = urlsplit(text)
    where = url.path if url.scheme == "unix" else url.hostname
    if url.scheme not in ("redis", "rediss", "unix") or not where or any(c.isspace() for c in text):
        raise ValueError("a redis://, rediss:// or unix:// URL")
    return _secret(text)


def _secret(text: str) -> "SecretStr":
    from pydantic import SecretStr

    return SecretStr(text)


def _folders(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in re.split(r"[\n,]", text) if part.strip())


def _switch(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError("1 or 0")
    return text.lower() in ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Times are seconds, sizes bytes or characters as named."""

    key: "SecretStr | None" = None
    """The RunAPI key; `None` if there is none that could be used."""
    key_problem: str = ""
    """Why a key that was given cannot be used; never holds the key."""
    working_dir_files: bool = True
    """Whether files may come from the working directory; no, when callers are not this machine's user."""
    base_url: str = _option("RUNAPI_BASE_URL", read_base_url, DEFAULT_BASE_URL, "Where RunAPI is.")
    chat_path: str = _option(
        "RUNAPI_CHAT_PATH",
        _path,
        "/v1beta/openai",
        "Path of the OpenAI-compatible API; newer documents say /v1.",
    )
    model: str = _option(
        "RUNAPI_MCP_MODEL", read_model_id, DEFAULT_MODEL, "Model of ask_gemini and extract_json."
    )
    search_model: str = _option(
        "RUNAPI_MCP_SEARCH_MODEL", read_model_id, DEFAULT_SEARCH_MODEL, "Model of search_web."
    )
    dialect: DialectName = _option(
        "RUNAPI_MCP_DIALECT", _one_of("chat", "native"), "chat", "Dialect to use where a model has both."
    )
    hold: Hold = _option(
        "RUNAPI_MCP_HOLD", _hold, "auto", "Seconds a call may keep its host waiting; auto goes by the host."
    )
    max_result_chars: int = _option(
        "RUNAPI_MCP_MAX_RESULT_CHARS", _whole(1_000, 2_000_000), 40_000, "Characters of one result page."
    )
    idle_timeout: float = _option(
        "RUNAPI_MCP_IDLE_TIMEOUT",
        _number(0.05, 3600),
        300.0,
        "Seconds of silence after which a stream has stalled.",
    )
    deadline: float = _option(
        "RUNAPI_MCP_DEADLINE", _number(0.05, 86_400), 1800.0, "Seconds one generation may take in all."
    )
    connect_timeout: float = _option(
        "RUNAPI_MCP_CONNECT_TIMEOUT", _number(0.05, 120), 10.0, "Seconds to reach RunAPI."
    )
    max_running: int = _option(
        "RUNAPI_MCP_MAX_RUNNING", _whole(1, 10_000), 64, "Generations that run at once; more wait their turn."
    )
    max_waiting: int = _option(
        "RUNAPI_MCP_MAX_WAITING",
        _whole(0, 100_000),
        256,
        "Generations that wait for their turn; more are refused.",
    )
    max_calls_per_user: int = _option(
        "RUNAPI_MCP_MAX_CALLS_PER_USER",
        _whole(0, 10_000),
        0,
        "Generations of one caller that run at once; 0 is no limit.",
    )
    max_tokens_per_day: int = _option(
        "RUNAPI_MCP_MAX_TOKENS_PER_DAY",
        _whole(0, 10**12),
        0,
        "Tokens that one caller may use in a day (UTC); 0 is no limit.",
    )
    max_event_bytes: int = _option(
        "RUNAPI_MCP_MAX_EVENT_BYTES", _whole(1024, 1024 * MIB), 32 * MIB, "Bytes of one event of a stream."
    )
    max_stream_bytes: int = _option(
        "RUNAPI_MCP_MAX_STREAM_BYTES", _whole(1024, 4096 * MIB), 256 * MIB, "Bytes of one stream."
    )
    keep_seconds: float = _option(
        "RUNAPI_MCP_KEEP_SECONDS",
        _number(1, 86_400),
        3600.0,
        "Seconds a finished generation can be fetched again.",
    )
    keep_generations: int = _option(
        "RUNAPI_MCP_KEEP_GENERATIONS",
        _whole(1, 100_000),
        500,
        "Finished generations kept, the oldest go first.",
    )
    keep_bytes: int = _option(
        "RUNAPI_MCP_KEEP_BYTES", _whole(MIB, 4096 * MIB), 128 * MIB, "Bytes of finished generations kept."
    )
    allow_dirs: tuple[str, ...] = _option(
        "RUNAPI_MCP_ALLOW_DIR",
        _folders,
        (),
        "Folders, separated by commas, that files may come from besides the working directory.",
    )
    max_file_bytes: int = _option(
        "RUNAPI_MCP_MAX_FILE_BYTES", _whole(1024, 100 * MIB), 20 * MIB, "Bytes of one attached file."
    )
    store: "SecretStr | None" = _option(
        "RUNAPI_MCP_STORE",
        _store,
        None,
        "Redis that several servers share, as redis://HOST:PORT/DB; without it each keeps its own.",
    )
    log: LogLevel = _option(
        "RUNAPI_MCP_LOG", _one_of("off", "info", "debug"), "off", "Log to stderr, as JSON lines."
    )
    log_content: bool = _option(
        "RUNAPI_MCP_LOG_CONTENT", _switch, default=False, about="Let debug logs hold prompts and answers."
    )
    fast_boot: bool = _option(
        "RUNAPI_MCP_FAST_BOOT",
        _switch,
        default=True,
        about="Over stdio, answer the first questions while the server is still being imported.",
    )

    def need_key(self) -> "SecretStr":
        """Return the key.

        Raises:
            KeyMissing: There is none, or the one given cannot be used.
        """
        if self.key is None:
            raise KeyMissing(self.key_problem or "No RunAPI key is set.")
        return self.key


def from_env(env: Mapping[str, str]) -> Settings:
    """Read settings from a mapping such as the process environment; blank means not set.

    A key that cannot be used does not raise: the server must start and list its tools, and say
    what is wrong when one is called.

    Raises:
        SettingsError: A value is not what its setting takes; the message names both.
    """
    given = _given(env)
    values = values_from(env)
    key_name: str | None = next((name for name in KEY_NAMES if name in given), None)
    if key_name is None and values.get("base_url") and "RUNAPI_BASE_URL" not in given:
        key_name = "GOOGLE_API_KEY"
    problem = key_problem(key_name, given[key_name]) if key_name else ""
    key = _secret(given[key_name]) if key_name and not problem else None
    return Settings(key=key, key_problem=problem, **cast("dict[str, Any]", values))


def values_from(env: Mapping[str, str]) -> dict[str, object]:
    """Return what `env` sets, by the names of :class:`Settings`; the key is left out.

    Raises:
        SettingsError: A value is not what its setting takes; the message names both.
    """
    given = _given(env)
    values = {option.name: option.parsed(given[option.env]) for option in options() if option.env in given}
    if "base_url" not in values and not given.keys() & set(KEY_NAMES) and (pair := _google_pair(given)):
        values["base_url"] = pair
    if host_tokens := given.get("MAX_MCP_OUTPUT_TOKENS"):
        values["max_result_chars"] = _within_host_budget(host_tokens, values.get("max_result_chars"))
    return values


def _given(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in env.items() if value.strip()}


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as the command line and the README see it."""

    name: str
    env: str
    about: str
    default: object
    read: Callable[[str], object] = field(repr=False)

    @property
    def flag(self) -> str:
        """The command-line flag that sets it."""
        return "--" + self.env.removeprefix("RUNAPI_MCP_").removeprefix("RUNAPI_").lower().replace("_", "-")

    def parsed(self, text: str) -> object:
        """Return the value that `text` stands for.

        Raises:
            SettingsError: It is not what this setting takes.
        """
        try:
            return self.read(text)
        except ValueError as wanted:
            raise _unusable(self.env, text, wanted) from None


def _unusable(env: str, text: str, wanted: ValueError) -> SettingsError:
    """Return the error for a value; a URL's user name and password, which may be a key, are not shown."""
    shown = text.rpartition("@")[2]
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    return SettingsError(f"{env} is {shown!r}.", advice=f"It takes {wanted}.")


def options() -> list[Option]:
    """Return every setting that a variable or a flag sets, in the order of the README."""
    return [
        Option(
            f.name,
            f.metadata["env"],
            f.metadata["about"],
            "" if f.default is None else f.default,
            f.metadata["read"],
        )
        for f in fields(Settings)
        if f.metadata and f.default is not MISSING
    ]


def key_problem(name: str, key: str) -> str:
    """Return why `key` cannot be used, without showing any of it; empty if it can."""
    if key.startswith(("${", "$(")):
        return f"{name} holds a reference that the host did not fill in, not a key."
    if not key.isascii():
        return f"{name} holds a character that is not ASCII; a RunAPI key has none."
    if any(c.isspace() for c in key):
        return f"{name} holds a space or a line break; a RunAPI key has none."
    if not key.isprintable():
        return f"{name} holds a control character; a RunAPI key has none."
    return ""


def _google_pair(given: Mapping[str, str]) -> str | None:
    """Return the base URL of the seed's CLI recipe, if it is set and is not Google's own.

    A real Google key must never go to RunAPI, nor a RunAPI key to Google.
    """
    base = given.get("GOOGLE_GENAI_BASE_URL")
    if base is None or "GOOGLE_API_KEY" not in given:
        return None
    try:
        url = read_base_url(base)
    except ValueError as wanted:
        raise _unusable("GOOGLE_GENAI_BASE_URL", base, wanted) from None
    host = (urlsplit(url).hostname or "").rstrip(".")
    google = any(host == name or host.endswith("." + name) for name in _GOOGLE)
    return None if google else url


def _within_host_budget(tokens: str, configured: object) -> int:
    """Return the page size that fits the host's own output limit, at three characters a token."""
    wanted = configured if isinstance(configured, int) else 40_000
    return max(1_000, min(wanted, int(tokens) * 3)) if re.fullmatch("[0-9]{1,12}", tokens) else wanted

"""Settings: how their texts are read, what they are, and the variables that they come from.

Each field of :class:`Settings` says which variable sets it, how that is read and what it is for; the
command line's flags and the table of settings come from the same. Pure: the environment is passed in.
Standard library only, and no more of it than must be: a host waits for this.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from runapi_mcp.errors import KeyMissing, SettingsError
from runapi_mcp.models import AUTO, DEFAULT_MODEL, DEFAULT_SEARCH_MODEL, DialectName, dated

if TYPE_CHECKING:
    from pydantic import SecretStr  # takes longer to import than a host should wait for --version

Hold: TypeAlias = float | Literal["auto"]
LogLevel: TypeAlias = Literal["off", "info", "debug"]
T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://runapi.ai"
KEY_NAMES: Final = ("RUNAPI_TOKEN", "RUNAPI_API_KEY")
MIB: Final = 1024 * 1024
PAGE_CHARS: Final = 40_000
"""Characters of one result page, unless a setting or the host says otherwise."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a reader of numbers from `low` to `high`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if low <= (value := float(text)) <= high:
                return value
        raise ValueError(f"a number from {low:g} to {high:g}")

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        with suppress(ValueError):
            if low <= (value := int(text)) <= high:
                return value
        raise ValueError(f"a whole number from {low} to {high}")

    return read


class OneOf:
    """Reads one of a few words, which it also tells."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __call__(self, text: str) -> Any:  # noqa: ANN401  # what each setting's Literal lists
        """Return the word, however it is capitalized: what other programs call DEBUG is debug here."""
        if text.lower() not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        return text.lower()


def read_base_url(text: str) -> str:
    """Return a base URL without its trailing slash, and without a path of the API at its end.

    Raises:
        ValueError: It is not https (or http to this machine), or carries more than host and path.
    """
    if holds_reference(text):
        raise ValueError("an https:// URL; the host did not fill in a reference in it")
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
    return _API_PATH.sub("", text).rstrip("/")


CHAT_PATHS: Final = ("/v1beta/openai", "/v1")
"""Where RunAPI has its OpenAI-compatible API: by the seed, and by its later documents (docs/wire.md §1.1)."""
# What other programs call a base URL has the API's path at its end, and is what people copy
# (FerroxLabs/wayland#1178, rohitg00/agentmemory#628, xiaolai/vmark#1084).
_API_PATH = re.compile(r"(?:/v1beta/openai|/v1beta|/v1)(?:/chat/completions|/models(?:/[^/]+)?)?/*\Z")


def read_chat_path(text: str) -> str:
    """Return a URL path without its trailing slash, or auto."""
    if text == "auto":
        return "auto"
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+/?", text):
        raise ValueError("auto, or a path such as /v1beta/openai or /v1")
    return text.rstrip("/").removesuffix("/chat/completions") or CHAT_PATHS[0]


def read_prices(text: str) -> str:
    """Return where prices come from: `runapi`, or the name of a file."""
    if holds_reference(text):
        raise ValueError("runapi or a file; the host did not fill in a reference in it")
    return text


def read_hold(text: str) -> Hold:
    """Return a hold window in seconds, or auto."""
    if text == "auto":
        return "auto"
    try:
        return number(0, 3600)(text)
    except ValueError as error:
        raise ValueError(f"auto, or {error}") from None


def read_model_id(text: str) -> str:
    """Return a model id that can stand in a URL.

    Raises:
        ValueError: It has a slash, white space or another character that ids do not have.
    """
    bare = bare_model_id(text)
    if not _MODEL_ID.fullmatch(bare):
        raise ValueError("a model id such as gemini-3-flash-preview, without a slash or spaces")
    return bare


def bare_model_id(text: str) -> str:
    """Return a model's id without what Google (models/) and other relays (google/) write in front of it."""
    return text.removeprefix("models/").removeprefix("google/")


def read_store(text: str) -> "SecretStr":
    """Read where what is shared is kept: memory, a folder, or Redis; a secret, for it may hold a password."""
    if holds_reference(text):
        raise ValueError(f"{_STORES}; the host did not fill in a reference in it")
    if text == "memory":
        return secret(text)
    if "://" not in text:
        folder = PurePath(text)
        if text.startswith("~") or not (folder.is_absolute() or PureWindowsPath(text).is_absolute()):
            raise ValueError(f"{_STORES}; a folder with its whole path")
        return secret(text)
    try:
        url = urlsplit(text)
        where = url.path if url.scheme == "unix" else url.hostname
        url.port  # noqa: B018  # judged only when it is asked for
    except ValueError:
        raise ValueError(f"{_STORES}, with a port from 0 to 65535{_WRITTEN}") from None
    if url.scheme not in ("redis", "rediss", "unix") or not where or any(c.isspace() for c in text):
        raise ValueError(_STORES)
    # A password that ended too early: a part of it would be taken for a host, and shown (celery/celery#7864).
    behind = url.path if "@" in url.netloc else url.path + url.query
    if url.fragment or (url.scheme != "unix" and "@" in behind):
        raise ValueError(f"{_STORES}{_WRITTEN}")
    return secret(text)


_STORES: Final = "memory, a folder, or a redis://, rediss:// or unix:// URL"
_WRITTEN: Final = "; in its password # is written %23, / is %2F, ? is %3F, @ is %40"


def secret(text: str) -> "SecretStr":
    """Return a text that is not shown when it is printed."""
    from pydantic import SecretStr

    return SecretStr(text)


def read_folders(text: str) -> tuple[str, ...]:
    """Return the folders of a list separated by commas or line breaks."""
    if holds_reference(text):
        raise ValueError("folders; the host did not fill in a reference in it")
    return tuple(part.strip() for part in re.split(r"[\n,]", text) if part.strip())


def read_switch(text: str) -> bool:
    """Return whether something is on."""
    if text.lower() not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError("1 or 0")
    return text.lower() in ("1", "true", "yes", "on")


# ${user_config.key} of Claude Desktop's bundles, ${input:key} of VS Code, $env:KEY of PowerShell, %KEY% of
# cmd, {env:KEY} and {file:PATH} of opencode, {{key}} of templates, <your key> of documents.
_WHOLE_REFERENCE = re.compile(
    r"\$\{.*\}|\$\(.*\)|\$[A-Za-z_]\w*|\$env:\w+|%\w+%|\{(?:env|file):.*\}|\{\{.*\}\}|<.*>",
    re.IGNORECASE | re.DOTALL,
)
_PLACEHOLDER = re.compile(
    r"your[-_ ].*|(?:my|the)[-_ ](?:[a-z0-9]+[-_ ])*(?:key|token)|(?:sk-)?(?:x{4,}|\*{4,}|\.{3,}|…)|\[.*\]"
    r"|changeme|replace[-_ ]?me|placeholder|undefined|null|none|nil",
    re.IGNORECASE | re.DOTALL,
)
# op://vault/item/field and the like: what a program in front of the server was to look up.
_SECRET_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.*", re.IGNORECASE | re.DOTALL)
_ASSIGNMENT = re.compile(r"(?:(?:export|set)\s+|\$env:)?(?:RUNAPI_TOKEN|RUNAPI_API_KEY)\s*[=:].*", re.DOTALL)
_BEARER = re.compile(r"(?:authorization:\s*)?bearer\s.*", re.IGNORECASE | re.DOTALL)
_REFERENCE = re.compile(
    r"\$\{[^}]*\}|\{env:[^}]*\}|\{\{[^}]*\}\}|(?:^|[/\\,])(?:%[A-Za-z_]\w*%|\$[A-Za-z_]\w*)|:\$[A-Z][A-Z0-9_]{2,}@"
)
_QUOTES = "\"'`“”‘’"


def is_reference(text: str) -> bool:
    """Whether a value is nothing but a reference, in the spelling of one host or another.

    Hosts hand on as it stands what they cannot fill in, or what is written as another host would have it.
    """
    return _WHOLE_REFERENCE.fullmatch(text.strip(_QUOTES)) is not None


def holds_reference(text: str) -> bool:
    """Whether a part of a value is a reference that nobody filled in."""
    return is_reference(text) or _REFERENCE.search(text) is not None


def key_problem(name: str, key: str) -> str:
    """Return why `key` cannot be used, without showing any of it; empty if it can."""
    if is_reference(key) or _SECRET_ADDRESS.fullmatch(key.strip(_QUOTES)):
        return f"{name} holds a reference that the host did not fill in, not a key."
    if _PLACEHOLDER.fullmatch(key.strip(_QUOTES)):
        return f"{name} holds a placeholder, not a key."
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        return f"{name} holds a key in quotes; take the quotes out."
    if _ASSIGNMENT.fullmatch(key):
        return f"{name} holds a variable's name as well as a key; only the key belongs there."
    if _BEARER.fullmatch(key):
        return f"{name} holds a header, not a key alone; take out what stands before the key."
    if key.startswith("AIza"):
        return f"{name} holds a key of Google's, which RunAPI does not know; it was not sent there."
    unseen = next((c for c in key if not c.isascii() and not c.isprintable()), None)
    if unseen is not None:
        return f"{name} holds a character that is not seen (U+{ord(unseen):04X}); a RunAPI key has none."
    if not key.isascii():
        return f"{name} holds a character that is not ASCII; a RunAPI key has none."
    if any(c.isspace() for c in key):
        return f"{name} holds a space or a line break; a RunAPI key has none."
    if not key.isprintable():
        return f"{name} holds a control character; a RunAPI key has none."
    return ""


# ---------------------------------------------------------------- the value


TASTE: Final = frozenset(
    {"model", "search_model", "dialect", "hold", "log", "log_content", "fast_boot", "keyring"}
)
"""Of these the default will do where a host left a reference unfilled; the others are limits and places."""


def _option(env: str, read: Callable[[str], T], default: T, about: str) -> T:
    """Declare a setting: its variable, how to read its text, its default, what it is for."""
    return field(default=default, metadata={"env": env, "read": read, "about": about})


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Times are seconds, sizes bytes or characters as named."""

    key: "SecretStr | None" = None
    """The RunAPI key; `None` if there is none that could be used."""
    key_problem: str = ""
    """Why a key that was given cannot be used; never holds the key."""
    problem: str = ""
    """What cannot be used, in a server that came up all the same: it refuses every call with it."""
    working_dir_files: bool = True
    """Whether files may come from the working directory and a host's roots: over stdio alone."""
    keyring: bool = _option(
        "RUNAPI_MCP_KEYRING",
        read_switch,
        default=False,
        about="Take the key from this machine's keyring when no variable holds one; see runapi-mcp key.",
    )
    base_url: str = _option("RUNAPI_BASE_URL", read_base_url, DEFAULT_BASE_URL, "Where RunAPI is.")
    chat_path: str = _option(
        "RUNAPI_CHAT_PATH",
        read_chat_path,
        AUTO,
        f"Path of the OpenAI-compatible API; auto: {CHAT_PATHS[0]}, or where that is gone {CHAT_PATHS[1]}.",
    )
    model: str = _option(
        "RUNAPI_MCP_MODEL",
        read_model_id,
        AUTO,
        f"Model of ask_gemini and extract_json; auto: {dated(DEFAULT_MODEL)}, or the next that RunAPI has.",
    )
    search_model: str = _option(
        "RUNAPI_MCP_SEARCH_MODEL",
        read_model_id,
        AUTO,
        f"Model of search_web; auto: {dated(DEFAULT_SEARCH_MODEL)}, or the next that RunAPI has.",
    )
    dialect: DialectName = _option(
        "RUNAPI_MCP_DIALECT", OneOf("chat", "native"), "chat", "Dialect to use where a model has both."
    )
    hold: Hold = _option(
        "RUNAPI_MCP_HOLD",
        read_hold,
        "auto",
        "Seconds a call may keep its host waiting; auto goes by the host.",
    )
    task_after: Hold = _option(
        "RUNAPI_MCP_TASK_AFTER",
        read_hold,
        "auto",
        "Seconds until a call becomes a task where the host declares tasks, and frees the person's turn; "
        "auto: 8.",
    )
    always_load: bool = _option(
        "RUNAPI_MCP_ALWAYS_LOAD",
        read_switch,
        default=False,
        about="Have Claude Code give the model all tools at once (alwaysLoad), not by a search of its own.",
    )
    max_result_chars: int = _option(
        "RUNAPI_MCP_MAX_RESULT_CHARS", whole(1_000, 2_000_000), PAGE_CHARS, "Characters of one result page."
    )
    idle_timeout: float = _option(
        "RUNAPI_MCP_IDLE_TIMEOUT",
        number(0.05, 3600),
        900.0,
        "Seconds of silence after which a stream has stalled.",
    )
    deadline: float = _option(
        "RUNAPI_MCP_DEADLINE", number(0.05, 86_400), 1800.0, "Seconds one generation may take in all."
    )
    connect_timeout: float = _option(
        "RUNAPI_MCP_CONNECT_TIMEOUT", number(0.05, 120), 10.0, "Seconds to reach RunAPI."
    )
    max_running: int = _option(
        "RUNAPI_MCP_MAX_RUNNING", whole(1, 10_000), 64, "Generations that run at once; more wait their turn."
    )
    max_waiting: int = _option(
        "RUNAPI_MCP_MAX_WAITING",
        whole(0, 100_000),
        256,
        "Generations that wait for their turn; more are refused.",
    )
    max_calls_per_user: int = _option(
        "RUNAPI_MCP_MAX_CALLS_PER_USER",
        whole(0, 10_000),
        0,
        "Generations of one caller that run at once; 0 is no limit.",
    )
    max_tokens_per_day: int = _option(
        "RUNAPI_MCP_MAX_TOKENS_PER_DAY",
        whole(0, 10**12),
        0,
        "Tokens that one caller may use in a day (UTC), what runs included at its worst; 0 is no limit.",
    )
    max_cost_per_day: float = _option(
        "RUNAPI_MCP_MAX_COST_PER_DAY",
        number(0, 10**8),
        0.0,
        "The same in money, by the prices of RUNAPI_MCP_PRICES; a model without a price is refused then.",
    )
    ask_above_cost: float = _option(
        "RUNAPI_MCP_ASK_ABOVE_COST",
        number(0, 10**8),
        0.0,
        "What a call may cost at worst before a host that can asks its person first; 0 never asks.",
    )
    max_event_bytes: int = _option(
        "RUNAPI_MCP_MAX_EVENT_BYTES", whole(1024, 1024 * MIB), 4 * MIB, "Bytes of one event of a stream."
    )
    max_stream_bytes: int = _option(
        "RUNAPI_MCP_MAX_STREAM_BYTES", whole(1024, 4096 * MIB), 256 * MIB, "Bytes of one stream."
    )
    keep_seconds: float = _option(
        "RUNAPI_MCP_KEEP_SECONDS",
        number(1, 86_400),
        3600.0,
        "Seconds a finished generation can be fetched again.",
    )
    keep_generations: int = _option(
        "RUNAPI_MCP_KEEP_GENERATIONS",
        whole(1, 100_000),
        500,
        "Finished generations kept, the oldest go first.",
    )
    keep_bytes: int = _option(
        "RUNAPI_MCP_KEEP_BYTES",
        whole(MIB, 4096 * MIB),
        128 * MIB,
        "Bytes of finished generations kept beyond those whose answer is still to be fetched.",
    )
    memory_bytes: int = _option(
        "RUNAPI_MCP_MEMORY_BYTES",
        whole(MIB, 65_536 * MIB),
        512 * MIB,
        "Bytes of all that is read, runs, waits or is kept; one caller may hold half at most.",
    )
    max_answer_bytes: int = _option(
        "RUNAPI_MCP_MAX_ANSWER_BYTES",
        whole(MIB, 1024 * MIB),
        32 * MIB,
        "Bytes that one answer may take, two a character; what is longer ends partial.",
    )
    allow_dirs: tuple[str, ...] = _option(
        "RUNAPI_MCP_ALLOW_DIR",
        read_folders,
        (),
        "Folders, separated by commas, that files may come from; over stdio also the working directory.",
    )
    max_file_bytes: int = _option(
        "RUNAPI_MCP_MAX_FILE_BYTES", whole(1024, 100 * MIB), 20 * MIB, "Bytes of one attached file."
    )
    store: "SecretStr | None" = _option(
        "RUNAPI_MCP_STORE",
        read_store,
        None,
        "Where answers outlive the server: a folder, memory for nowhere, or a Redis that several servers "
        "share, as redis://HOST:PORT/DB; over stdio a folder of this user's by default.",
    )
    prices: str = _option(
        "RUNAPI_MCP_PRICES",
        read_prices,
        "",
        "What models cost: runapi for RunAPI's own list (over HTTP the default), or a file.",
    )
    log: LogLevel = _option(
        "RUNAPI_MCP_LOG",
        OneOf("off", "info", "debug"),
        "off",
        "Log to stderr, as JSON lines; over HTTP: info.",
    )
    log_content: bool = _option(
        "RUNAPI_MCP_LOG_CONTENT", read_switch, default=False, about="Let debug logs hold prompts and answers."
    )
    finish_detached: bool = _option(
        "RUNAPI_MCP_FINISH_DETACHED",
        read_switch,
        default=False,
        about="Over stdio, finish what a handle promises although the host has gone, for 15 minutes at most; "
        "not on Windows.",
    )
    fast_boot: bool = _option(
        "RUNAPI_MCP_FAST_BOOT",
        read_switch,
        default=True,
        about="Over stdio, answer the first questions while the server is still being imported.",
    )

    @property
    def chat_paths(self) -> tuple[str, ...]:
        """Where RunAPI's chat may be, the usual place first; one place alone if it was set."""
        return CHAT_PATHS if self.chat_path == AUTO else (self.chat_path,)

    @property
    def key_is_in_keyring(self) -> bool:
        """Whether the keyring is the place to look for the key."""
        return self.keyring and self.key is None and not self.key_problem

    def need_key(self) -> "SecretStr":
        """Return the key.

        Raises:
            KeyMissing: There is none, or the one given cannot be used.
        """
        if self.key is None:
            raise KeyMissing(self.key_problem or "No RunAPI key is set.")
        return self.key


# ---------------------------------------------------------------- variables → settings


_GOOGLE = ("googleapis.com", "google.com")


def from_env(env: Mapping[str, str]) -> Settings:
    """Read settings from a mapping such as the process environment; blank means not set.

    A key that cannot be used does not raise: the server must start and list its tools, and say
    what is wrong when one is called.

    Raises:
        SettingsError: A value is not what its setting takes; the message names both.
    """
    values, wrong = _read(env)
    if wrong:
        raise wrong[0]
    return _with_key(env, values)


def for_host(env: Mapping[str, str]) -> Settings:
    """Read the settings of a server that a host starts, and that must come up to say what is wrong.

    A value that cannot be used becomes the settings' `problem`, by which every call is refused. A reference
    that the host did not fill in counts as not set where the setting is one of taste: hosts write such for
    what a person left empty. Elsewhere it would be a limit or a folder that somebody believes to be set.
    """
    taste = {option.env for option in options() if option.taste}
    left_empty = {name for name, value in _find_given(env).items() if name in taste and is_reference(value)}
    meant = {name: value for name, value in env.items() if name not in left_empty}
    values, wrong = _read(meant)
    settings = _with_key(meant, values)
    return replace(settings, problem="\n".join(map(str, wrong))) if wrong else settings


def _with_key(env: Mapping[str, str], values: Mapping[str, object]) -> Settings:
    given = _find_given(env)
    names: list[str] = [name for name in KEY_NAMES if name in given]
    if not names and values.get("base_url") and "RUNAPI_BASE_URL" not in given:
        names = ["GOOGLE_API_KEY"]
    # A reference that was not filled in under one name does not hide a key under the other.
    name = next((name for name in names if not is_reference(given.get(name, ""))), next(iter(names), None))
    problem = key_problem(name, given[name]) if name else ""
    key = secret(given[name]) if name and not problem else None
    return Settings(key=key, key_problem=problem, **cast("dict[str, Any]", values))


def _read(env: Mapping[str, str]) -> tuple[dict[str, object], list[SettingsError]]:
    """Return what `env` sets, by the names of :class:`Settings`, without the key; and what cannot be used."""
    given = _find_given(env)
    values: dict[str, object] = {}
    wrong: list[SettingsError] = []
    for option in options():
        if option.env in given:
            try:
                values[option.name] = option.parse(_without_quotes(given[option.env]))
            except SettingsError as error:
                wrong.append(error)
    if "RUNAPI_BASE_URL" not in given and not given.keys() & set(KEY_NAMES):
        try:
            values |= {"base_url": pair} if (pair := _google_pair(given)) else {}
        except SettingsError as error:
            wrong.append(error)
    # Claude Code's own limit; a result past it is put into a file, which its model then reads in parts.
    if host_tokens := given.get("MAX_MCP_OUTPUT_TOKENS"):
        values["max_result_chars"] = _within_host_budget(host_tokens, values.get("max_result_chars"))
    return values, wrong


def _without_quotes(text: str) -> str:
    """Return a value without quotes around it: Docker's --env-file keeps what a shell takes."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1].strip() if quoted else text


def _find_given(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in env.items() if _without_quotes(value.strip())}


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as the command line and the README see it."""

    name: str
    env: str
    about: str
    default: object
    read: Callable[[str], object] = field(repr=False)
    taste: bool = False
    """Whether it does no harm if a host's reference to it stays unfilled: the default will do."""

    @property
    def flag(self) -> str:
        """The command-line flag that sets it."""
        return "--" + self.env.removeprefix("RUNAPI_MCP_").removeprefix("RUNAPI_").lower().replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default as it is typed; empty if there is none."""
        match self.default:
            case bool():
                return str(int(self.default))
            case float():
                return f"{self.default:g}"
            case tuple():
                return ",".join(self.default)
            case _:
                return str(self.default)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it takes, where it takes only some."""
        if isinstance(self.default, bool):
            return ("1", "0")
        return self.read.choices if isinstance(self.read, OneOf) else ()

    def parse(self, text: str) -> object:
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
            f.name in TASTE,
        )
        for f in fields(Settings)
        if f.metadata and f.default is not MISSING
    ]


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
    wanted = configured if isinstance(configured, int) else PAGE_CHARS
    return max(1_000, min(wanted, int(tokens) * 3)) if re.fullmatch("[0-9]{1,12}", tokens) else wanted

"""Settings as a value: each field says which variable sets it, how that is read, and what it is for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from runapi_mcp.errors import KeyMissing
from runapi_mcp.models import AUTO, DEFAULT_MODEL, DEFAULT_SEARCH_MODEL, DialectName, dated
from runapi_mcp.settings.reading import (
    CHAT_PATHS,
    Hold,
    OneOf,
    number,
    read_base_url,
    read_chat_path,
    read_folders,
    read_hold,
    read_model_id,
    read_prices,
    read_store,
    read_switch,
    whole,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

LogLevel: TypeAlias = Literal["off", "info", "debug"]
T = TypeVar("T")

DEFAULT_BASE_URL: Final = "https://runapi.ai"
MIB: Final = 1024 * 1024
PAGE_CHARS: Final = 40_000
"""Characters of one result page, unless a setting or the host says otherwise."""

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

"""Where generations are found again: in this process, by its neighbours, and after a restart.

A **store** keeps generations, in the memory of its process. What several processes share stands on an
**engine**: SQLite on one machine, Redis for a fleet. A **writer** writes there what this process runs,
at the pace of progress; a **replica** is a generation of another process as far as the engine tells.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from runapi_mcp.errors import SettingsError
from runapi_mcp.generations.store.memory import Followable
from runapi_mcp.generations.store.place import Unusable, state_folder
from runapi_mcp.generations.store.records import digest
from runapi_mcp.generations.store.shared import SharedStore
from runapi_mcp.generations.store.sqlite import DAY, SqliteEngine
from runapi_mcp.settings import Settings

__all__ = ["Followable", "SharedStore", "open_local", "shared_store", "store_folder"]

_REDIS = ("redis://", "rediss://", "unix://")


def shared_store(
    settings: Settings, clock: Callable[[], float], env: Mapping[str, str] | None = None
) -> SharedStore | None:
    """Return what this process shares with others; `None` if it keeps all to itself.

    `env` is the environment of a process of its user's own, which says where that user's state is kept;
    where many use one server, only what the settings name is used.

    Raises:
        SettingsError: It is Redis, and what that needs is not installed, or not in its URL.
    """
    named = settings.store.get_secret_value() if settings.store else ""
    if not named.startswith(_REDIS):
        local = open_local(settings, env, clock)
        return SharedStore(local, settings, clock) if local else None
    try:
        from runapi_mcp.generations.store.redis import RedisEngine
    except ImportError:
        raise SettingsError(
            "RUNAPI_MCP_STORE is set, and the redis package is not installed.",
            advice="Install runapi-mcp[redis].",
        ) from None
    assert settings.store is not None, "it is named"
    try:
        engine = RedisEngine(settings.store, clock, settings.keep_seconds)
    except ValueError:
        raise SettingsError(
            "RUNAPI_MCP_STORE has something behind its ? that redis-py does not take in a URL.",
            advice="Leave it out; rediss:// takes ssl_cert_reqs and ssl_ca_certs.",
        ) from None
    return SharedStore(engine, settings, clock)


def open_local(
    settings: Settings, env: Mapping[str, str] | None, clock: Callable[[], float]
) -> SqliteEngine | None:
    """Return the engine of this machine, if something is to be kept on it; see :func:`shared_store`."""
    folder = store_folder(settings, env)
    if folder is None:
        return None
    # One who changes the key or the base URL is somebody else.
    key = settings.key.get_secret_value() if settings.key else f"keyring {settings.keyring}"
    usual = settings.keep_seconds == Settings.keep_seconds
    keep = DAY if usual else settings.keep_seconds
    return SqliteEngine(folder, digest(settings.base_url, key), keep_seconds=keep, clock=clock)


def store_folder(settings: Settings, env: Mapping[str, str] | None) -> Path | Unusable | None:
    """Return the folder of what is kept on this machine, or why there is none; `None` if nothing is to be."""
    named = settings.store.get_secret_value() if settings.store else ""
    if named == "memory" or named.startswith(_REDIS):
        return None
    if named:
        return Path(named)
    if env is None:
        return None
    try:
        return state_folder(env)
    except Unusable as unusable:
        return unusable

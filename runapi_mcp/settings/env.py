"""Variables → settings. Pure: the environment is passed in."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Final, cast
from urllib.parse import urlsplit

from runapi_mcp.errors import SettingsError
from runapi_mcp.settings.reading import OneOf, is_reference, key_problem, read_base_url, secret
from runapi_mcp.settings.value import PAGE_CHARS, TASTE, Settings

KEY_NAMES: Final = ("RUNAPI_TOKEN", "RUNAPI_API_KEY")
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
                values[option.name] = option.parsed(given[option.env])
            except SettingsError as error:
                wrong.append(error)
    if "RUNAPI_BASE_URL" not in given and not given.keys() & set(KEY_NAMES):
        try:
            values |= {"base_url": pair} if (pair := _google_pair(given)) else {}
        except SettingsError as error:
            wrong.append(error)
    if host_tokens := given.get("MAX_MCP_OUTPUT_TOKENS"):
        values["max_result_chars"] = _within_host_budget(host_tokens, values.get("max_result_chars"))
    return values, wrong


def _find_given(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in env.items() if value.strip()}


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

"""A finding, and the checks of this machine: Python, what is installed, the launcher, the key, the proxy."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from runapi_mcp.errors import KeyMissing
from runapi_mcp.generations.store import store_folder
from runapi_mcp.generations.store.place import Unusable, check_folder
from runapi_mcp.generations.store.sqlite import check_module
from runapi_mcp.hosts import Launch, Machine
from runapi_mcp.key import SERVER_SECONDS, Keychain
from runapi_mcp.settings import KEY_NAMES, LOOPBACK, Settings
from runapi_mcp.transports.stdio.detached import list_detached
from runapi_mcp.wire.types import JsonObject

Status: TypeAlias = Literal["ok", "warn", "fail", "skipped"]
Move: TypeAlias = Literal["", "yours", "your network's", "RunAPI's", "the host's"]

_MARKS: Final[Mapping[Status, str]] = {"ok": "✓", "warn": "!", "fail": "✗", "skipped": "–"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw.

    Attributes:
        check: Which check; stable, for programs.
        status: `fail` is what keeps the server from working, `warn` what may.
        what: What was seen, in a sentence.
        move: Whose move it is.
        mend: What mends it, in a sentence.
        host: The host it is about, if it is about one.
    """

    check: str
    status: Status
    what: str
    move: Move = ""
    mend: str = ""
    host: str = ""


def ok(check: str, what: str, *, host: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(check, "ok", what, host=host)


def line(finding: Finding) -> str:
    """Return a finding as people read it: one line, and one more for what mends it."""
    name = f"{finding.check} ({finding.host})" if finding.host else finding.check
    said = f"{_MARKS[finding.status]} {name}: {finding.what}"
    if not finding.mend:
        return said
    whose = f"({finding.move} to fix) " if finding.move not in ("", "yours") else ""
    return f"{said}\n    → {whose}{finding.mend}"


def verdict(findings: Iterable[Finding]) -> str:
    """Return the last line: how many of each."""
    statuses = [finding.status for finding in findings]
    broken, doubtful = statuses.count("fail"), statuses.count("warn")
    if not broken and not doubtful:
        return "Nothing is wrong."
    if not broken:
        return f"Nothing keeps the server from working; {doubtful} to look at."
    return f"{broken} to fix, {doubtful} to look at."


def merge_hosts(findings: Iterable[Finding], titles: Mapping[str, str]) -> list[Finding]:
    """Return findings of which those that say the same of several hosts are one.

    Args:
        findings: What was found.
        titles: What people call each host.
    """
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        what = _generalise(finding.what, finding, titles)
        alike.setdefault((finding.check, finding.status, what), []).append(finding)
    return [_merge(group, what, titles) for (_, _, what), group in alike.items()]


def _merge(group: list[Finding], what: str, titles: Mapping[str, str]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    mends = dict.fromkeys(_generalise(finding.mend, finding, titles) for finding in group)
    return replace(first, what=what, mend=" ".join(mends), host=", ".join(finding.host for finding in group))


def _generalise(text: str, finding: Finding, titles: Mapping[str, str]) -> str:
    """Return a sentence about a host as one about any."""
    text = text.replace(f"install {finding.host}", "install HOST")
    return text.replace(titles.get(finding.host) or finding.host or "\0", "the host")


def as_json(findings: Iterable[Finding]) -> JsonObject:
    """Return findings for programs."""
    found = list(findings)
    healthy = not any(finding.status == "fail" for finding in found)
    return {"ok": healthy, "findings": [{k: v for k, v in asdict(f).items() if v} for f in found]}


_LEAST_PYTHON: Final = (3, 11)
_NEEDED: Final = ("mcp", "httpx", "httpx-sse", "pydantic", "anyio", "jsonschema", "ruamel.yaml")
_PROXIES: Final = ("HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY", "NO_PROXY")
_SCHEMES: Final = ("https", "http", "all")
_PROGRAM: Final = "runapi-mcp"
_MOST_LAUNCHER: Final = 1 << 20
_SHORT_KEY: Final = 16
_AGAIN: Final = (
    "Install it again: uv tool upgrade --reinstall runapi-mcp, pipx reinstall runapi-mcp, or in a clone "
    "of it pip install --force-reinstall ."
)

Installed = Callable[[str], str | None]
Which = Callable[[str, str], str | None]


def check_python(executable: str, version: tuple[int, int, int]) -> Finding:
    """Python is new enough."""
    said = f"{'.'.join(map(str, version))} at {executable}"
    if version[:2] < _LEAST_PYTHON:
        return Finding("python", "fail", f"{said} is too old.", "yours", "Use Python 3.11 or newer.")
    return ok("python", said)


def check_versions(running: str, installed: Installed) -> Finding:
    """What runs is what is installed, and nothing it needs is missing."""
    missing = [name for name in _NEEDED if installed(name) is None]
    if missing:
        return Finding(
            "versions",
            "fail",
            f"{', '.join(missing)} is not installed beside runapi-mcp {running}.",
            "yours",
            _AGAIN,
        )
    recorded = installed("runapi-mcp")
    if recorded != running:
        return Finding(
            "versions",
            "warn",
            f"What runs is {running}, what is installed is {recorded or 'not known'}: a stale wheel.",
            "yours",
            _AGAIN,
        )
    return ok("versions", ", ".join([f"runapi-mcp {running}", *(f"{n} {installed(n)}" for n in _NEEDED)]))


def check_launcher(launch: Launch, machine: Machine, which: Which) -> Finding:
    """The launcher is found on PATH, by a shell and by a host that was started from a menu, and is ours."""
    name = PurePath(launch.command).stem
    shell, bare = which(name, machine.env.get("PATH", "")), which(name, machine.bare_path())
    if not shell:
        return Finding(
            "launcher",
            "warn",
            f"{name} is not on PATH; it is {launch.command}.",
            "yours",
            f"Add {Path(launch.command).parent} to PATH; runapi-mcp install HOST writes the whole path.",
        )
    # Only a launcher that pip or uv made says "runapi_mcp" in its first megabyte, on Windows too, where it is
    # an .exe with the script behind it.
    if (first := which(_PROGRAM, machine.env.get("PATH", ""))) and _is_another(first, launch):
        what = f"{first}, the first runapi-mcp on PATH, is another program; RunAPI's npm package brings one."
        folder = Path(launch.command).parent
        mend = f"Put {folder} before it in PATH; runapi-mcp install HOST writes the whole path."
        return Finding("launcher", "warn", what, "yours", mend)
    if not bare:
        said = f"{shell}; a host started from a menu would not find it by name, so install writes the path"
        return ok("launcher", said)
    return ok("launcher", shell)


def _is_another(found: str, launch: Launch) -> bool:
    """Whether a program of our name is not this one: pip's and uv's launchers name the module they start."""
    try:
        same = Path(found).resolve() == Path(launch.command).resolve()
        with Path(found).open("rb") as file:
            return not same and b"runapi_mcp" not in file.read(_MOST_LAUNCHER)
    except OSError:
        return False


async def key_from_keyring(settings: Settings, env: Mapping[str, str]) -> SecretStr | KeyMissing | None:
    """Return the key that a server in this environment would find in its keyring, or why it would not.

    `None` if that server would not look there.
    """
    if not settings.key_is_in_keyring:
        return None
    try:
        return await Keychain(settings.base_url, env, seconds=SERVER_SECONDS).key()
    except KeyMissing as missing:
        return missing


def check_key(settings: Settings, in_keyring: SecretStr | KeyMissing | None = None) -> Finding:
    """A key is there and can be used; it is never shown."""
    if isinstance(in_keyring, KeyMissing):
        return Finding("key", "fail", in_keyring.what, "yours", in_keyring.advice)
    if in_keyring is not None:
        return _judge_key(in_keyring, "in the keyring")
    if settings.key_problem:
        return Finding(
            "key",
            "fail",
            settings.key_problem,
            "yours",
            "Copy the key again, without quotes, spaces or line breaks.",
        )
    if settings.key is None:
        return Finding(
            "key",
            "fail",
            f"Neither {' nor '.join(KEY_NAMES)} is set.",
            "yours",
            f"Get a key at https://runapi.ai and set {KEY_NAMES[0]} in the environment, or keep the key in "
            "this machine's keyring: runapi-mcp key set, then RUNAPI_MCP_KEYRING=1.",
        )
    return _judge_key(settings.key, "set; the keyring is not asked" if settings.keyring else "set")


def _judge_key(key: SecretStr, where: str) -> Finding:
    length = len(key.get_secret_value())
    if length < _SHORT_KEY:
        return Finding(
            "key",
            "warn",
            f"The key has {length} characters, which is short for a key.",
            "yours",
            "Check that all of it was copied.",
        )
    return ok("key", f"{where}, {length} characters, nothing odd in it")


def check_proxy(env: Mapping[str, str], base_url: str, system: Mapping[str, str]) -> Finding:
    """What stands between here and RunAPI, by the environment; else by the system's own settings.

    Args:
        env: The environment.
        base_url: Where RunAPI is.
        system: What the system says by scheme: Windows and macOS have settings for it, which count too.
    """
    found = {name: value for name in _PROXIES if (value := env.get(name) or env.get(name.lower()))}
    if not found:
        found = {f"the system's {scheme}": url for scheme, url in system.items() if scheme in _SCHEMES}
    if not found:
        return ok("proxy", "none is set")
    shown = ", ".join(f"{name}={_without_password(value)}" for name, value in found.items())
    if urlsplit(base_url).hostname in LOOPBACK:
        return ok("proxy", f"{shown}; not used, RunAPI is on this machine")
    return ok("proxy", shown)


def check_store(settings: Settings, env: Mapping[str, str]) -> Finding:
    """Where answers outlive a server that is started from here, and that it can be written there."""
    folder = store_folder(settings, env)
    if folder is None:
        named = settings.store.get_secret_value() if settings.store else ""
        where = (
            "in memory alone, as RUNAPI_MCP_STORE says" if named == "memory" else "in the Redis of a fleet"
        )
        return ok("store", f"answers are kept {where}")
    mend = "Run it by a Python that has SQLite, as those of python.org and uv do."
    try:
        check_module()
        mend = "Name another folder in RUNAPI_MCP_STORE, or set it to memory."
        if isinstance(folder, Unusable):
            raise folder
        check_folder(folder)
    except Unusable as why:
        return Finding("store", "warn", f"Handles end with the server: {why}.", "yours", mend)
    kept = f"questions and answers of a day are kept in {folder}; history --clear removes them"
    alone = [f"{one.handles} for {one.seconds:.0f} s, by process {one.pid}" for one in list_detached(folder)]
    return ok("store", f"{kept}; finished without a host: {'; '.join(alone)}" if alone else kept)


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://…@{after}" if at else after

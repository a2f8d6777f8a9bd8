"""Checks of each host: what its config says is started, exactly so, and greeted as the host does it."""

from collections.abc import AsyncIterator, Callable
from pathlib import PurePath
from typing import Final

from runapi_mcp import __version__
from runapi_mcp.doctor.findings import Finding, ok
from runapi_mcp.doctor.handshake import Seen, Spawn, shake
from runapi_mcp.doctor.local import Which
from runapi_mcp.errors import SettingsError, quoted
from runapi_mcp.hosts import HOSTS, ConfigError, Host, Machine, Wiring, config_path, entries_naming_us
from runapi_mcp.settings import KEY_NAMES, from_env

_LIMIT: Final = 30.0
_HANDED_ON: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
_HANDED_ON_BY_WINDOWS: Final = (
    *(
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PATHEXT",
        "PROCESSOR_ARCHITECTURE",
    ),
    *("SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "PROGRAMFILES"),
)


async def check_hosts(machine: Machine, which: Which, clock: Callable[[], float]) -> AsyncIterator[Finding]:
    """Start and greet what every host's config says of us."""
    none = True
    for host in HOSTS.values():
        path = config_path(host, machine)
        if not path.exists():
            continue
        try:
            entries = entries_naming_us(host, path)
        except ConfigError as error:
            yield Finding("host", "warn", error.what, "yours", error.advice, host.id)
            continue
        for name, wiring in entries.items():
            none = False
            async for finding in _check_entry(host, name, wiring, machine, which, clock):
                yield finding
    if none:
        yield Finding(
            "host",
            "skipped",
            "No host's config names this server.",
            "yours",
            "runapi-mcp install HOST adds it.",
        )


async def _check_entry(
    host: Host, name: str, wiring: Wiring, machine: Machine, which: Which, clock: Callable[[], float]
) -> AsyncIterator[Finding]:
    if wiring.off:
        mend = f"Switch it on in {host.title}."
        yield Finding("host", "skipped", f"“{name}” is switched off in its config.", "yours", mend, host.id)
        return
    env = environment(host, wiring, machine)
    if (finding := _command(host, wiring, env.get("PATH", ""), machine, which)) is not None:
        yield finding
        if finding.status == "fail":
            return
    yield _key(host, env)
    command = which(wiring.launch.command, env.get("PATH", "")) or wiring.launch.command
    spawn = Spawn((command, *wiring.launch.args), env, machine.home, host.modern)
    seen = await shake(spawn, limit=max(_LIMIT, host.patience), clock=clock)
    for finding in _handshake(host, name, seen, env, by_uvx="uvx" in PurePath(command).name):
        yield finding


def environment(host: Host, wiring: Wiring, machine: Machine) -> dict[str, str]:
    """Return the environment that a host would give the server, were it started from this one."""
    if host.inherits:
        env = dict(machine.env)
    else:
        names = _HANDED_ON_BY_WINDOWS if machine.platform == "windows" else _HANDED_ON
        env = {name: value for name, value in machine.env.items() if name.upper() in names}
    env |= {name: machine.env[name] for name in wiring.forward if name in machine.env}
    filled = {
        name: host.reference.filled(value, machine.env) if host.reference else value
        for name, value in wiring.env.items()
    }
    return env | filled


def _command(host: Host, wiring: Wiring, path: str, machine: Machine, which: Which) -> Finding | None:
    command = wiring.launch.command
    again = f"runapi-mcp install {host.id} writes the path of the one that runs now."
    if which(command, path) is None:
        absolute = machine.path(command).is_absolute()
        why = "is not there any more" if absolute else "is not on the host's PATH"
        return Finding("host", "fail", f"Its config starts {command}, which {why}.", "yours", again, host.id)
    if host.menu and PurePath(command).name == command and which(command, machine.bare_path()) is None:
        what = f"Its config starts {command}; started from a menu, the host has a bare PATH without it."
        return Finding("host", "warn", what, "yours", again, host.id)
    return None


def _key(host: Host, env: dict[str, str]) -> Finding:
    try:
        settings = from_env(env)
    except SettingsError as error:
        mend = f"{error.advice} It stands in the config's env, or in the environment."
        return Finding("host-key", "fail", error.what, "yours", mend, host.id)
    if settings.key is not None:
        return ok("host-key", "the server would have a key", host=host.id)
    what = settings.key_problem or "The server would start without a key: its tools are listed, calls fail."
    if host.key == "store":
        mend = f"runapi-mcp install {host.id} --store-key puts {KEY_NAMES[0]} into its config."
    else:
        mend = f"Set {KEY_NAMES[0]} in the environment that {host.title} is started from."
    return Finding("host-key", "fail", what, "yours", mend, host.id)


def _handshake(host: Host, name: str, seen: Seen, env: dict[str, str], *, by_uvx: bool) -> list[Finding]:
    again = f"runapi-mcp install {host.id} writes the path of the one that runs now."
    if seen.problem:
        words = f" It said {quoted(_without_key(seen.last_words[-300:], env))}" if seen.last_words else ""
        return [Finding("host", "fail", seen.problem + words, "yours", again, host.id)]
    findings = [_speed(host, name, seen, by_uvx=by_uvx)]
    if seen.version != __version__:
        theirs = seen.version or "of no version"
        what = f"Its config starts runapi-mcp {theirs}, a stale one: this is {__version__}."
        findings.append(Finding("host", "warn", what, "yours", again, host.id))
    if seen.stray:
        what = f"Something writes on stdout that is no message: {quoted(_without_key(seen.stray, env))}"
        mend = "Take the wrapper out that prints; some hosts give up at such a line."
        findings.append(Finding("host", "warn", what, "yours", mend, host.id))
    return findings


def _speed(host: Host, name: str, seen: Seen, *, by_uvx: bool) -> Finding:
    said = f"“{name}” lists {len(seen.tools)} tools after {seen.seconds:.2f} s"
    if seen.seconds > host.patience:
        what = f"{said}; {host.title} waits {host.patience:g} s."
        mend = "Run doctor again on an idle machine; if it stays slow, raise the host's start-up limit."
        if by_uvx:
            mend = (
                f"Run uv tool install runapi-mcp, then that runapi-mcp install {host.id}: it starts faster."
            )
        return Finding("host", "warn", what, "yours", mend, host.id)
    return ok("host", f"{said} ({host.title} waits {host.patience:g} s)", host=host.id)


def _without_key(text: str, env: dict[str, str]) -> str:
    for name in (*KEY_NAMES, "GOOGLE_API_KEY"):
        secret = env.get(name, "").strip()
        text = text.replace(secret, "[key]") if len(secret) > 7 else text
    return text

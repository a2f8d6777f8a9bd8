"""Checks of each host: what its config says is started, exactly so, and greeted as the host does it."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from runapi_mcp import __version__
from runapi_mcp.doctor.local import Finding, Status, Which, key_from_keyring, ok
from runapi_mcp.doctor.network import HELLO, meet
from runapi_mcp.errors import ConfigError, KeyMissing
from runapi_mcp.hosts import (
    KEYRING_VARIABLE,
    PLACEHOLDER,
    Host,
    Launch,
    Machine,
    Place,
    Remote,
    Wiring,
    find_configs,
    find_entries,
    find_gate,
    find_remotes,
    has_mark,
    mentions_us,
    sends_in_the_open,
)
from runapi_mcp.printable import quote_text
from runapi_mcp.settings import KEY_NAMES, Settings, for_host, options

_LINE: Final = 4 * 1024 * 1024
_LAST_WORDS: Final = 2000
_GRACE: Final = 2.0
_MOST_LINES: Final = 1000
_NEW: Final = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


@dataclass(frozen=True, slots=True)
class Spawn:
    """What to start: command and arguments, the whole environment, the working directory."""

    words: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None = None
    modern: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What the host would have seen.

    Attributes:
        problem: Why there are no tools; empty if there are.
        seconds: From the start of the process to its list of tools.
        tools: Their names.
        version: What the server says its version is.
        stray: The first line on stdout that was no message.
        last_words: The end of stderr.
    """

    problem: str = ""
    seconds: float = 0.0
    tools: tuple[str, ...] = ()
    version: str = ""
    stray: str = ""
    last_words: str = ""


class _Wrong(Exception):
    """The server answered, and not as it should."""


async def shake(spawn: Spawn, *, limit: float, clock: Callable[[], float]) -> Seen:
    """Return what a host sees that starts `spawn`, within `limit` seconds."""
    began = clock()
    try:
        process = await anyio.open_process(
            list(spawn.words), env=dict(spawn.env), cwd=spawn.cwd, stderr=subprocess.PIPE
        )
    except OSError as error:
        return Seen(problem=f"{spawn.words[0]} could not be started: {error.strerror or error}.")
    talk = _Talk(process)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk.listen_to_stderr)
            seen = await _tools(talk, spawn, limit)
            seen = replace(seen, seconds=clock() - began)
            await talk.end()
            tasks.cancel_scope.cancel()
    finally:
        await talk.kill()
    return replace(seen, stray=talk.stray, last_words=talk.last_words)


async def _tools(talk: "_Talk", spawn: Spawn, limit: float) -> Seen:
    try:
        with anyio.fail_after(limit):
            return await _greet(talk, modern=spawn.modern)
    except TimeoutError:
        return Seen(problem=f"It did not list its tools within {limit:g} s.")
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return Seen(problem=f"It ended before it listed its tools (exit code {await talk.exit_code()}).")
    except anyio.DelimiterNotFound:
        return Seen(problem="It wrote a line on stdout that does not end.")
    except _Wrong as wrong:
        return Seen(problem=str(wrong))


async def _greet(talk: "_Talk", *, modern: bool) -> Seen:
    if modern:
        greeting = await talk.ask(1, "server/discover", _NEW)
    else:
        greeting = await talk.ask(1, "initialize", HELLO)
        await talk.say({"method": "notifications/initialized"})
    listed = await talk.ask(2, "tools/list", _NEW if modern else {})
    about = greeting.get("serverInfo") or (greeting.get("_meta") or {}).get(
        "io.modelcontextprotocol/serverInfo", {}
    )
    names = tuple(str(tool.get("name")) for tool in listed.get("tools", []))
    return Seen(tools=names, version=str(about.get("version", "")))


class _Talk:
    """Lines to and from one process."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._stderr = b""
        self.stray = ""

    @property
    def last_words(self) -> str:
        return self._stderr.decode(errors="replace").strip()

    async def say(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def ask(self, number: int, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a request, past notifications and stray lines."""
        await self.say({"id": number, "method": method, "params": params})
        for _ in range(_MOST_LINES):
            message = self._read(await self._lines.receive_until(b"\n", _LINE))
            # A server may ask and notify before it answers; hosts read past that, and past lines that are no
            # messages.
            if message.get("id") != number or "method" in message:
                continue
            if not isinstance(result := message.get("result"), dict):
                raise _Wrong(f"It answered {method} with an error: {json.dumps(message.get('error'))[:200]}")
            return result
        raise _Wrong(f"It wrote {_MOST_LINES} lines and did not answer {method}.")

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            return message
        if line.strip():
            self.stray = self.stray or line.decode(errors="replace").strip()[:200]
        return {}

    async def listen_to_stderr(self) -> None:
        stderr = self._process.stderr
        assert isinstance(stderr, ByteReceiveStream)
        async for piece in stderr:
            self._stderr = (self._stderr + piece)[-_LAST_WORDS:]

    async def exit_code(self) -> int | None:
        with anyio.move_on_after(_GRACE):
            await self._process.wait()
        return self._process.returncode

    async def end(self) -> None:
        """Leave as a host does: close stdin, and give it a moment."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with anyio.move_on_after(_GRACE):
            await self._process.wait()

    async def kill(self) -> None:
        """Make sure that nothing stays."""
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            await self._process.aclose()


_LIMIT: Final = 30.0
_SHORT: Final = 7
# Node starts no batch file without a shell (CVE-2024-27980, nodejs/node#52681), and most hosts run on Node;
# cmd /c is what works everywhere (github/copilot-cli#3576).
_BATCH: Final = (".cmd", ".bat")
# What the TypeScript SDK's getDefaultEnvironment and Codex hand on (yvgude/lean-ctx#449 lists Codex's); on
# Windows a server lacks its own folders without APPDATA and the like (openai/codex#4180).
_HANDED_ON: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
_HANDED_ON_BY_WINDOWS: Final = (
    *("APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT"),
    *("PROCESSOR_ARCHITECTURE", "PROGRAMFILES", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP"),
    *("USERNAME", "USERPROFILE"),
)


@dataclass(frozen=True)
class Entry:
    """An entry that starts us, and where it was found.

    Attributes:
        place: Where it was found.
        name: What it is called there.
        wiring: What it starts.
    """

    place: Place
    name: str
    wiring: Wiring = field(default_factory=lambda: Wiring(Launch("")))

    @property
    def host(self) -> Host:
        """Whose config it is in."""
        return self.place.host

    @property
    def project(self) -> Path | None:
        """The project whose config it is in; `None` if the config is the host's own."""
        return self.place.project

    @property
    def title(self) -> str:
        """What it is called here."""
        return f"“{self.name}”{self.place.aside}"

    @property
    def config(self) -> str:
        """How its config is called at the start of a sentence."""
        if self.place.project:
            return self.place.aside.removeprefix(" in ")
        return f"Its config{self.place.aside}"

    @property
    def again(self) -> str:
        """What mends a command that is not there."""
        if self.project:
            return "Install it where PATH finds it: uv tool install --force . in a clone of it."
        if self.place.table != self.host.path:
            again = f"runapi-mcp install {self.host.id} adds it for all projects."
            return f"claude mcp remove -s local {self.name} takes it out; {again}"
        which = f" --config {self.place.path}" if self.place.aside else ""
        return f"runapi-mcp install {self.host.id}{which} writes the path of the one that runs now."

    def report(self, status: Status, what: str, mend: str = "", *, check: str = "host") -> Finding:
        """Return a finding about it that is its owner's to mend."""
        return Finding(check, status, what, "yours" if mend else "", mend, self.host.id)


async def check_hosts(
    machine: Machine, project: Path | None, which: Which, clock: Callable[[], float]
) -> AsyncIterator[Finding]:
    """Start and greet what every host's config says of us, its own and that of the project."""
    none = True
    broken: set[Path] = set()
    for place in find_configs(machine, project):
        host, path = place.host, place.path
        try:
            entries = find_entries(host, path, place.table)
            remotes = find_remotes(host, path, place.table)
        except ConfigError as error:
            # What nobody asked to be changed is worth a word only where this server is in it.
            if path not in broken and (mentions_us(path) or not place.aside or place.project):
                broken.add(path)
                finding = _report_unreadable(host, path, error)
                none = none and finding.status != "fail"
                yield finding
            continue
        if (entries or remotes) and has_mark(host, path):
            mend = f"runapi-mcp install {host.id} writes it without; or save it as UTF-8 without BOM."
            what = f"{path} begins with a byte order mark, which {host.title} does not read."
            yield Finding("host", "fail", what, "yours", mend, host.id)
        for name in (*entries, *remotes):
            if gate := find_gate(host, path, name):
                yield Finding("host", "fail", f"In {path}, {gate}", "yours", "Change that list.", host.id)
        for name, wiring in entries.items():
            none = False
            async for finding in _check_entry(Entry(place, name, wiring), machine, which, clock):
                yield finding
        for name, remote in remotes.items():
            none = False
            async for finding in _check_remote(Entry(place, name), remote, machine, clock):
                yield finding
    if none:
        yield Finding(
            "host",
            "skipped",
            "No host's config names this server.",
            "yours",
            "runapi-mcp install HOST adds it.",
        )


def settings_with_key(machine: Machine) -> tuple[Host, Settings] | None:
    """Return the first host whose own config gives the server a key, and the settings it has there."""
    for place in find_configs(machine, None):
        host = place.host
        with suppress(ConfigError):
            for wiring in find_entries(host, place.path).values():
                settings = for_host(build_env(host, wiring, machine) | read_flags(wiring.launch.args))
                if settings.key is not None and not settings.problem and not wiring.off:
                    return host, settings
    return None


def _report_unreadable(host: Host, path: Path, error: ConfigError) -> Finding:
    if mentions_us(path):
        mend = f"{error.advice} Until then {host.title} may not find this server in it."
        return Finding("host", "fail", error.what, "yours", mend, host.id)
    mend = f"{error.advice} Until then runapi-mcp install {host.id} refuses to change it."
    return Finding("host", "warn", error.what, "yours", mend, host.id)


async def _check_entry(
    entry: Entry, machine: Machine, which: Which, clock: Callable[[], float]
) -> AsyncIterator[Finding]:
    host, wiring = entry.host, entry.wiring
    if wiring.off:
        yield entry.report("skipped", f"{entry.title} is switched off.", f"Switch it on in {host.title}.")
        return
    for flaw in wiring.flaws:
        yield entry.report("fail" if flaw.fatal else "warn", flaw.what, flaw.mend)
    if any(flaw.fatal for flaw in wiring.flaws):
        return
    env = build_env(host, wiring, machine)
    if (finding := _check_command(entry, env.get("PATH", ""), machine, which)) is not None:
        yield finding
        if finding.status == "fail":
            return
    yield await _check_key(entry, env)
    if (finding := _check_menu(entry, machine)) is not None:
        yield finding
    command = which(wiring.launch.command, env.get("PATH", "")) or wiring.launch.command
    folder = str(entry.project or machine.home)
    spawn = Spawn((command, *wiring.launch.args), env, folder, host.modern)
    seen = await shake(spawn, limit=max(_LIMIT, host.patience), clock=clock)
    by_uvx = any("uvx" in machine.path(word).name for word in (command, *wiring.launch.args))
    for finding in _judge_greeting(entry, seen, env, by_uvx=by_uvx):
        yield finding


async def _check_remote(
    entry: Entry, remote: Remote, machine: Machine, clock: Callable[[], float]
) -> AsyncIterator[Finding]:
    """Greet a server on the network as the host would, with the token that its config comes to."""
    host, reference = entry.host, entry.host.token or entry.host.reference
    if remote.off:
        yield entry.report("skipped", f"{entry.title} is switched off.", f"Switch it on in {host.title}.")
        return
    names = [remote.variable] if remote.variable else reference.names(remote.token) if reference else []
    unset = [name for name in names if not machine.env.get(name, "").strip()]
    if unset or remote.token == PLACEHOLDER:
        what = (
            f"{entry.config} takes the server's token from {unset[0]}, which is not set."
            if unset
            else (f"{entry.config} has {PLACEHOLDER} in the place of the server's token.")
        )
        where = f"in the environment that {host.title} is started from" if unset else "there"
        yield entry.report("fail", what, f"Set it {where}.", check="host-key")
        return
    token = machine.env.get(remote.variable, "") or (
        reference.fill(remote.token, machine.env) if reference else remote.token
    )
    if token and sends_in_the_open(remote.url):
        what = f"{entry.title} sends its token to {remote.url}, over http: it can be read on the way."
        yield entry.report("warn", what, "Use https outside your own network.", check="host-key")
    if (finding := _check_lacking(entry, names, machine)) is not None:
        yield finding
    began = clock()
    met = await meet(remote.url, token.strip(), events=remote.events)
    if met.problem:
        yield entry.report("fail", _redact(met.problem, token.strip()), met.mend)
        return
    seen = "opens its stream of events" if remote.events else f"lists {len(met.tools)} tools"
    yield ok("host", f"{entry.title} at {remote.url} {seen} after {clock() - began:.2f} s", host=host.id)


def build_env(host: Host, wiring: Wiring, machine: Machine) -> dict[str, str]:
    """Return the environment that a host would give the server, were it started from this one."""
    if host.inherits:
        env = dict(machine.env)
    else:
        names = _HANDED_ON_BY_WINDOWS if machine.platform == "windows" else _HANDED_ON
        env = {name: value for name, value in machine.env.items() if name in names}
    env |= {name: machine.env[name] for name in wiring.forward if name in machine.env}
    filled = {
        name: host.reference.fill(value, machine.env) if host.reference else value
        for name, value in wiring.env.items()
    }
    return env | filled


def read_flags(args: Sequence[str]) -> dict[str, str]:
    """Return what flags among a command's arguments set, by the variables they stand in for."""
    flags = {option.flag: option.env for option in options()}
    followed = pairwise([*args, ""])
    pairs = [arg.split("=", 1) if "=" in arg else [arg, after] for arg, after in followed]
    return {flags[flag]: value for flag, value in pairs if flag in flags}


def _check_command(entry: Entry, path: str, machine: Machine, which: Which) -> Finding | None:
    command = entry.wiring.launch.command
    found = which(command, path)
    if found is None:
        absolute = machine.path(command).is_absolute()
        why = "is not there any more" if absolute else "is not on the host's PATH"
        return entry.report("fail", f"{entry.config} starts {command}, which {why}.", entry.again)
    if machine.platform == "windows" and PureWindowsPath(found).suffix.lower() in _BATCH:
        what = f"{entry.config} starts {found}, a batch file; not every host can start one."
        mend = f'Start it by cmd, with "/c" and {command} as its first arguments. {entry.again}'
        return entry.report("warn", what, mend)
    by_name = PurePath(command).name == command
    if entry.host.menu and by_name and which(command, machine.bare_path()) is None:
        what = f"{entry.config} starts {command}; started from a menu, the host has a bare PATH without it."
        return entry.report(
            "warn", what, f"Start {entry.host.title} from a shell." if entry.project else entry.again
        )
    return None


async def _check_key(entry: Entry, env: dict[str, str]) -> Finding:
    host = entry.host
    settings = for_host(env | read_flags(entry.wiring.launch.args))
    if settings.problem:
        mend = "Correct it in the config's env, or in the environment: until then every call is refused."
        return entry.report("fail", settings.problem, mend, check="host-key")
    if settings.key is not None:
        return ok("host-key", "the server would have a key", host=host.id)
    if settings.key_is_in_keyring:
        return await _check_keyring(entry, settings, env)
    if entry.wiring.env_file and not settings.key_problem:
        what = f"{entry.config} names a file of variables, which is not read here: the key may be in it."
        return entry.report("skipped", what, check="host-key")
    what = settings.key_problem or "The server would start without a key: its tools are listed, calls fail."
    if host.key == "store":
        mend = f"runapi-mcp install {host.id} --store-key puts {KEY_NAMES[0]} into its config."
    else:
        mend = f"Set {KEY_NAMES[0]} in the environment that {host.title} is started from."
    return entry.report("fail", what, mend, check="host-key")


def _check_menu(entry: Entry, machine: Machine) -> Finding | None:
    """Return that a host started from a menu lacks a variable that its config goes by, if it does.

    Such a host has what the session has, not what a shell's start-up files set.
    """
    host, wiring = entry.host, entry.wiring
    named = [name for text in wiring.env.values() if host.reference for name in host.reference.names(text)]
    if not named and host.inherits and not {*KEY_NAMES, KEYRING_VARIABLE} & wiring.env.keys():
        named = [name for name in KEY_NAMES if name in machine.env][:1]
    instead = f", or run runapi-mcp install {host.id} --keyring or --store-key"
    return _check_lacking(entry, (*named, *wiring.forward), machine, instead)


def _check_lacking(entry: Entry, names: Sequence[str], machine: Machine, instead: str = "") -> Finding | None:
    if not entry.host.menu or machine.platform == "windows":  # which has one environment for both
        return None
    lacking = [name for name in names if name in machine.env and not machine.session_sets(name)]
    if not lacking:
        return None
    title = entry.host.title
    what = f"{', '.join(lacking)} is set in this shell, and {title} lacks it when started from a menu."
    set_it = f"set it for the whole session{instead}." if instead else "or set it for the whole session."
    return entry.report("warn", what, f"Start {title} from a shell, {set_it}", check="host-env")


async def _check_keyring(entry: Entry, settings: Settings, env: dict[str, str]) -> Finding:
    launch = entry.wiring.launch
    if "uvx" in PurePath(launch.command).name and not any("keyring" in word for word in launch.args):
        what = "Its config has uvx make an environment without the keyring package."
        mend = f"runapi-mcp install {entry.host.id} --keyring writes one with it."
        return entry.report("fail", what, mend, check="host-key")
    found = await key_from_keyring(settings, env)
    if isinstance(found, KeyMissing):
        return entry.report("fail", found.what, found.advice, check="host-key")
    return ok("host-key", "the server would find a key in the keyring", host=entry.host.id)


def _judge_greeting(entry: Entry, seen: Seen, env: dict[str, str], *, by_uvx: bool) -> Iterator[Finding]:
    if seen.problem:
        words = f" It said {quote_text(_redact_key(seen.last_words[-300:], env))}" if seen.last_words else ""
        yield entry.report("fail", seen.problem + words, entry.again)
        return
    yield _judge_speed(entry, seen, by_uvx=by_uvx)
    if seen.version != __version__:
        theirs = seen.version or "of no version"
        what = f"{entry.config} starts runapi-mcp {theirs}, a stale one: this is {__version__}."
        yield entry.report("warn", what, entry.again)
    if seen.stray:
        what = f"Something writes on stdout that is no message: {quote_text(_redact_key(seen.stray, env))}"
        mend = "Take the wrapper out that prints; some hosts give up at such a line."
        yield entry.report("warn", what, mend)


def _judge_speed(entry: Entry, seen: Seen, *, by_uvx: bool) -> Finding:
    host = entry.host
    said = f"{entry.title} lists {len(seen.tools)} tools after {seen.seconds:.2f} s"
    if seen.seconds > host.patience:
        what = f"{said}; {host.title} waits {host.patience:g} s."
        mend = "Run doctor again on an idle machine; if it stays slow, raise the host's start-up limit."
        if by_uvx:
            mend = (
                f"Run uv tool install runapi-mcp, then that runapi-mcp install {host.id}: it starts faster."
            )
        return entry.report("warn", what, mend)
    return ok("host", f"{said} ({host.title} waits {host.patience:g} s)", host=host.id)


def _redact_key(text: str, env: dict[str, str]) -> str:
    for name in (*KEY_NAMES, "GOOGLE_API_KEY"):
        text = _redact(text, env.get(name, "").strip())
    return text


def _redact(text: str, secret: str) -> str:
    return text.replace(secret, "[key]") if len(secret) > _SHORT else text

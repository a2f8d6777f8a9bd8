"""install and uninstall: their flags, and what each does with them."""

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from runapi_mcp.hosts import Host, Launch, Machine, Wish
    from runapi_mcp.settings import Option


def add_install(commands: Subparsers) -> None:
    """Add install and uninstall."""
    install = add_command(
        commands,
        "install",
        "add this server to a host's config",
        takes="[OPTIONS] HOST",
        description="Add this server to a host's config. Settings that are given as flags go into it.",
        examples=["runapi-mcp install codex", "runapi-mcp install --list"],
    )
    install.set_defaults(person=_install)
    install.add_argument("host", nargs="?", metavar="HOST", help="such as codex or cursor; --list shows all")
    install.add_argument("--list", action="store_true", help="show every host, its config, and what is in it")
    install.add_argument("--json", action="store_true", help="with --list: as JSON")
    install.add_argument(
        "--no-always-load",
        action="store_true",
        help="Claude Code: have the tools looked up when they are needed",
    )
    _add_key_flags(install)
    install.add_argument("--url", metavar="URL", help="a server that runs already, on the network")
    install.add_argument("--token-env", metavar="NAME", help="with --url: variable that holds its token")
    setup = add_command(
        commands,
        "setup",
        "find the hosts on this machine, and add this server to them",
        takes="",
        description="Find the hosts on this machine, ask for the key and for folders once, add this server "
        "to the hosts you name, and examine what they would see.",
        examples=["runapi-mcp setup"],
    )
    setup.set_defaults(person=_setup)
    uninstall = add_command(
        commands,
        "uninstall",
        "take this server out of a host's config",
        takes="[OPTIONS] HOST",
        examples=["runapi-mcp uninstall codex"],
    )
    uninstall.set_defaults(person=_uninstall)
    uninstall.add_argument("host", metavar="HOST", help="such as codex or cursor")
    for parser in (install, uninstall):
        parser.add_argument("--print", action="store_true", help="only print, change nothing")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--config", metavar="FILE", help="another config file than the host's usual one")
        which.add_argument(
            "--project",
            action="store_true",
            help="the config of the project in the working directory, where the host has one",
        )


def _add_key_flags(install: Parser) -> None:
    key = install.add_mutually_exclusive_group()
    key.add_argument(
        "--key-env", metavar="NAME", help="variable that holds the key, where the host can refer to one"
    )
    key.add_argument(
        "--store-key", action="store_true", help="write the key from RUNAPI_TOKEN into the config"
    )
    key.add_argument(
        "--no-key", action="store_true", help="leave the key out where the host needs it in its config"
    )
    key.add_argument(
        "--keyring",
        dest="from_keyring",
        action="store_true",
        help="have the server take the key from this machine's keyring; runapi-mcp key set puts it there",
    )


def _install(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp import hosts

    machine = machine_of(around)
    if given.list and (given.project or given.config):
        given.parser.error("--list shows every host's own config: leave --project and --config out.")
    if given.list:
        _list(machine, around, as_json=given.json)
        return 0
    if given.json or not given.host:
        given.parser.error("--json goes with --list." if given.json else _which_host())
    if given.host == "claude" and _can_ask(around):
        given.host = _which_claude(around)
    host = hosts.find_host(given.host)
    wish = _wish(given, around)
    if given.token_env and not given.url:
        given.parser.error("--token-env goes with --url.")
    if given.url:
        wish = _with_url(wish, given, around)
    elif _is_undecided(host, wish, around):
        wish = _with_key(wish, around)
    if host.menu and _asks_for_folders(wish, around):
        wish = _with_folders(wish, around)
    _install_into(host, machine, wish, around)
    return 0


def _install_into(host: "Host", machine: "Machine", wish: "Wish", around: Surroundings) -> None:
    from runapi_mcp import hosts

    if wish.from_keyring and not wish.only_print:
        _check_keyring(around)
    hosts.install(host, machine, wish, around.say)
    if not wish.only_print and not wish.url:
        around.say(_describe_kept(around))
    if not wish.url and not host.inherits and (lost := _not_handed_on(around)):
        around.note(_describe_lost(host, lost))


def _describe_kept(around: Surroundings) -> str:
    """Return what a server will write on this machine, where, and how that is emptied or turned off."""
    from runapi_mcp.errors import RunapiError
    from runapi_mcp.generations.store import store_folder

    try:
        folder = store_folder(around.settings(), around.env)
    except RunapiError:
        folder = None
    if not isinstance(folder, Path):
        return "Questions and answers are kept in memory alone."
    return (
        f"Questions and answers are kept for a day in {folder}, for this user alone (files stay where they "
        "are). runapi-mcp history --clear empties it; RUNAPI_MCP_STORE=memory turns it off."
    )


def _can_ask(around: Surroundings) -> bool:
    return around.stdin.isatty() and around.err.isatty()


def _ask(question: str, around: Surroundings) -> str:
    around.err.write(question)
    return around.stdin.readline().strip()


def _which_claude(around: Surroundings) -> str:
    """Return which of the two is meant; what is no answer is left for the refusal that names both."""
    said = _ask("Which Claude: 1 the desktop app, 2 Claude Code in the terminal? [1/2] ", around)
    return {"1": "claude-desktop", "2": "claude-code"}.get(said, "claude")


def _is_undecided(host: "Host", wish: "Wish", around: Surroundings) -> bool:
    """Whether it is open where a server would get its key, and somebody is there to ask."""
    decided = wish.only_print or wish.without_key or wish.from_keyring or wish.stored or wish.key_variable
    if decided or wish.project or not _can_ask(around):
        return False
    return host.key == "store" or around.settings().key is None


def _with_key(wish: "Wish", around: Surroundings) -> "Wish":
    """Return a wish with the key that is set or typed, kept where its owner says."""
    import anyio

    from runapi_mcp.cli.key import read_key
    from runapi_mcp.errors import KeyringFailed
    from runapi_mcp.key import Keychain, check_installed

    try:
        check_installed()
    except KeyringFailed as missing:
        around.note(f"{missing.what} The key will stand in the config's file. {missing.advice}")
        return replace(wish, stored=around.settings().key or read_key(around))
    key = around.settings().key or read_key(around)
    if (
        _ask("Keep it in this machine's keyring, or in the config's file? [K/f] ", around)
        .lower()
        .startswith("f")
    ):
        return replace(wish, stored=key)
    anyio.run(Keychain(around.settings().base_url, around.env).keep, key)
    return replace(wish, from_keyring=True, launch=launch_of(around, extra="keyring"))


def _with_url(wish: "Wish", given: argparse.Namespace, around: Surroundings) -> "Wish":
    """Return a wish for a server that runs already, which has its own key and settings."""
    from runapi_mcp.hosts import read_url, sends_in_the_open

    if around.flags or wish.from_keyring or wish.key_variable or wish.without_key:
        given.parser.error("--url names a server that has its own key and settings: leave the others out.")
    variable = given.token_env or ""
    if variable and not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
        given.parser.error(f"{variable[:20]!r} is no name of a variable; --token-env takes one.")
    url = read_url(given.url)
    if variable and sends_in_the_open(url):
        around.note("Over http:// the token can be read on the way; use https:// outside your own network.")
    return replace(wish, url=url, token_variable=variable, store_token=given.store_key, stored=None)


def _asks_for_folders(wish: "Wish", around: Surroundings) -> bool:
    """Whether it is open which folders may be read, where a host does not start servers in one of use."""
    decided = wish.only_print or wish.project or wish.url or "--allow-dir" in around.flags
    return not decided and _can_ask(around)


def _with_folders(wish: "Wish", around: Surroundings) -> "Wish":
    folders = _ask("Folders whose files may be sent to a model, separated by commas? [none] ", around)
    if not folders:
        return wish
    return replace(wish, launch=replace(wish.launch, args=(*wish.launch.args, "--allow-dir", folders)))


def _seems_used(config: Path, machine: "Machine") -> bool:
    """Whether a host with this config seems to be on the machine: the config is there, or a folder for it."""
    return config.exists() or (config.parent != Path(machine.home) and config.parent.is_dir())


def _setup(_given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp import hosts
    from runapi_mcp.cli.doctor import examine_here
    from runapi_mcp.errors import RunapiError

    if not _can_ask(around):
        raise InputError("setup asks, and nobody is here to answer.", advice="Use runapi-mcp install HOST.")
    machine = machine_of(around)
    found = [row for row in hosts.list_hosts(machine) if _seems_used(row.path, machine)]
    if not found:
        raise InputError(
            "No host was found on this machine.", advice="runapi-mcp install HOST makes its config."
        )
    for row in found:
        around.say(f"{row.host.id:15} {row.state:14} {row.path}")
    said = _ask(f"Add this server to which? [{' '.join(row.host.id for row in found)}] ", around)
    chosen = [hosts.find_host(name) for name in said.replace(",", " ").split()] or [row.host for row in found]
    wish = _with_folders(_with_key(hosts.Wish(launch_of(around)), around), around)
    for host in chosen:
        around.say(f"\n── {host.title}")
        try:
            _install_into(host, machine, wish, around)
        except RunapiError as error:  # the others can be set up all the same
            around.note(f"runapi-mcp: {error}")
    around.say("\n── doctor")
    return examine_here(around)


def _describe_lost(host: "Host", options: "Sequence[Option]") -> str:
    """Return what is said where a host does not hand on settings that are set here."""
    words = " ".join(f"{option.flag} …" for option in options)
    names = ", ".join(option.env for option in options)
    use = "it" if len(options) == 1 else "them"
    return (
        f"{host.title} does not hand on {names}; to have the server use {use}, "
        f"run runapi-mcp {words} install {host.id}."
    )


def _which_host() -> str:
    from runapi_mcp.hosts import HOSTS

    return f"which host? One of {', '.join(HOSTS)}."


def _list(machine: "Machine", around: Surroundings, *, as_json: bool) -> None:
    from runapi_mcp import hosts

    rows = hosts.list_hosts(machine)
    if not as_json:
        for row in rows:
            around.say(f"{row.host.id:15} {row.state:14} {row.path}")
        return
    listed = [
        {"host": row.host.id, "title": row.host.title, "state": row.state, "config": str(row.path)}
        for row in rows
    ]
    around.say_json(json.dumps(listed, ensure_ascii=False, indent=2))


def _check_keyring(around: Surroundings) -> None:
    """See that the keyring package is there, and note what else keeps a server from finding its key.

    Raises:
        KeyringFailed: It is not.
    """
    import anyio

    from runapi_mcp.errors import KeyMissing
    from runapi_mcp.key import Keychain, check_installed

    check_installed()
    try:
        anyio.run(Keychain(around.settings().base_url, around.env).key)
    except KeyMissing as missing:
        around.note(str(missing))


def _not_handed_on(around: Surroundings) -> "list[Option]":
    """Return the settings that are set in this environment and were not given as flags.

    Where the key comes from is not among them: `install` has flags of its own for that.
    """
    from runapi_mcp.settings import options

    return [
        option
        for option in options()
        if around.env.get(option.env, "").strip()
        and option.flag not in around.flags
        and option.name != "keyring"
    ]


def _uninstall(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp import hosts

    hosts.uninstall(hosts.find_host(given.host), machine_of(around), _wish(given, around), around.say)
    return 0


def machine_of(around: Surroundings) -> "Machine":
    """Return the machine that the command runs on."""
    from runapi_mcp.hosts import Machine, platform_of

    home = around.env.get("USERPROFILE" if sys.platform == "win32" else "HOME") or str(Path.home())
    return Machine(platform_of(sys.platform), around.env, home)


def _wish(given: argparse.Namespace, around: Surroundings) -> "Wish":
    from runapi_mcp.hosts import Wish

    from_keyring = getattr(given, "from_keyring", False)
    return Wish(
        launch_of(around, extra="keyring" if from_keyring else ""),
        key_variable=getattr(given, "key_env", None),
        stored=_key_to_store(given, around),
        without_key=getattr(given, "no_key", False),
        from_keyring=from_keyring,
        only_print=given.print,
        config=Path(given.config) if given.config else None,
        project=_project(around) if given.project else None,
        always_load=not getattr(given, "no_always_load", False),
    )


_ROOT_MARKS: Final = (
    *(".git", ".hg", ".mcp.json", ".cursor", ".vscode", ".codex", ".gemini"),
    *("opencode.json", "opencode.jsonc", ".opencode"),
)


def _project(around: Surroundings) -> Path:
    """Return the project's folder: the nearest one from here upwards that looks like one, below the home."""
    try:
        here, home = Path.cwd(), Path(machine_of(around).home)
        above = [here, *(folder for folder in here.parents if folder != home and folder not in home.parents)]
        marks = (folder for folder in above if any((folder / mark).exists() for mark in _ROOT_MARKS))
        return next((folder for folder in above if (folder / ".git").exists()), None) or next(marks, here)
    except OSError:
        raise InputError(
            "The working directory is not there any more.", advice="Change to the project's folder."
        ) from None


def _key_to_store(given: argparse.Namespace, around: Surroundings) -> "SecretStr | None":
    """Return the key that is to stand in the config; where nothing is written, what stands for it."""
    from pydantic import SecretStr

    from runapi_mcp.hosts import PLACEHOLDER

    if not getattr(given, "store_key", False) or getattr(given, "url", None):
        return None
    return SecretStr(PLACEHOLDER) if given.print else around.settings().need_key()


def launch_of(around: Surroundings, *, extra: str = "") -> "Launch":
    """Return how a host here starts this server, with the flags that were given.

    Args:
        around: What the command runs in.
        extra: An extra that the server needs.
    """
    import shutil

    from runapi_mcp.hosts import launcher

    def exists(name: str) -> bool:
        return Path(name).exists()

    def which(name: str) -> str | None:
        return shutil.which(name, path=around.env.get("PATH", ""))

    found = launcher(sys.executable, exists=exists, which=which, extra=extra)
    return replace(found, args=(*found.args, *around.flags))

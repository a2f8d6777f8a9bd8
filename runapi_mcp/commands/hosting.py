"""install, uninstall and doctor: their flags, and what each does with them."""

import argparse
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runapi_mcp.commands.surroundings import Surroundings
from runapi_mcp.errors import InputError, SettingsError

if TYPE_CHECKING:
    from runapi_mcp.commands import Subparsers
    from runapi_mcp.doctor import Patient
    from runapi_mcp.hosts import Launch, Machine, Wish
    from runapi_mcp.settings import Option, Settings


def add_install(commands: "Subparsers") -> None:
    """Add install and uninstall."""
    install = commands.add_parser("install", help="add this server to a host's config")
    install.set_defaults(person=_install)
    install.add_argument("host", nargs="?", metavar="HOST", help="such as codex or cursor; --list shows all")
    install.add_argument("--list", action="store_true", help="show every host, its config, and what is in it")
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
    uninstall = commands.add_parser("uninstall", help="take this server out of a host's config")
    uninstall.set_defaults(person=_uninstall)
    uninstall.add_argument("host", metavar="HOST")
    for parser in (install, uninstall):
        parser.add_argument("--print", action="store_true", help="only print, change nothing")
        parser.add_argument("--config", metavar="FILE", help="another config file than the host's usual one")


def add_doctor(commands: "Subparsers") -> None:
    """Add doctor."""
    doctor = commands.add_parser("doctor", help="check key, network, models and what every host would see")
    doctor.set_defaults(person=_doctor)
    doctor.add_argument("--yes", action="store_true", help="make the tiny call that costs a few tokens")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")


def _install(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp import hosts

    machine = _machine(around)
    if given.list:
        hosts.listing(machine, around.say)
        return 0
    if not given.host:
        raise InputError("Which host?", advice=f"One of {', '.join(hosts.HOSTS)}.")
    host = hosts.host_named(given.host)
    hosts.install(host, machine, _wish(given, around), around.say)
    if not host.inherits and (lost := _not_handed_on(around)):
        words = " ".join(f"{option.flag} …" for option in lost)
        around.note(
            f"{host.title} does not hand on {', '.join(option.env for option in lost)}; to have the server "
            f"use them, run runapi-mcp {words} install {host.id}."
        )
    return 0


def _not_handed_on(around: Surroundings) -> "list[Option]":
    """Return the settings that are set in this environment and were not given as flags."""
    from runapi_mcp.settings import options

    return [o for o in options() if around.env.get(o.env, "").strip() and o.flag not in around.flags]


def _uninstall(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp import hosts

    hosts.uninstall(hosts.host_named(given.host), _machine(around), _wish(given, around), around.say)
    return 0


def _machine(around: Surroundings) -> "Machine":
    from runapi_mcp.hosts import Machine, platform_of

    home = around.env.get("USERPROFILE" if sys.platform == "win32" else "HOME") or str(Path.home())
    return Machine(platform_of(sys.platform), around.env, home)


def _wish(given: argparse.Namespace, around: Surroundings) -> "Wish":
    from runapi_mcp.hosts import Wish

    storing = getattr(given, "store_key", False)
    return Wish(
        _launch(around),
        key_variable=getattr(given, "key_env", None),
        stored=around.settings().need_key() if storing else None,
        without_key=getattr(given, "no_key", False),
        only_print=given.print,
        config=Path(given.config) if given.config else None,
    )


def _launch(around: Surroundings) -> "Launch":

    import shutil

    from runapi_mcp.hosts import launcher

    def exists(name: str) -> bool:
        return Path(name).exists()

    def which(name: str) -> str | None:
        return shutil.which(name, path=around.env.get("PATH", ""))

    found = launcher(sys.executable, exists=exists, which=which)
    return replace(found, args=(*found.args, *around.flags))


# ---------------------------------------------------------------- doctor


def _doctor(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    return anyio.run(_examine, given, around)


async def _examine(given: argparse.Namespace, around: Surroundings) -> int:
    from runapi_mcp.doctor import as_json, examine, line, verdict

    findings = []
    async for finding in examine(_patient(given, around)):
        findings.append(finding)
        if not given.json:
            around.say(line(finding))
    around.say(
        json.dumps(as_json(findings), ensure_ascii=False, indent=2) if given.json else verdict(findings)
    )
    return 1 if any(finding.status == "fail" for finding in findings) else 0


def _patient(given: argparse.Namespace, around: Surroundings) -> "Patient":
    import shutil
    from importlib import metadata

    from runapi_mcp.doctor import Patient

    def installed(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    def consent(question: str) -> bool:
        if given.yes or given.json or not (around.stdin.isatty() and around.err.isatty()):
            return bool(given.yes)
        around.err.write(f"{question} [y/N] ")
        around.err.flush()
        return around.stdin.readline().strip().lower() in ("y", "yes")

    settings: Settings | SettingsError
    try:
        settings = around.settings()
    except SettingsError as error:
        settings = error
    return Patient(
        settings,
        _machine(around),
        _launch(around),
        installed,
        which=lambda name, path: shutil.which(name, path=path),
        now=lambda: datetime.now(UTC),
        consent=consent,
    )

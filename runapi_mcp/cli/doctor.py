"""doctor: its flags, and what it examines."""

import argparse
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.install import launch_of, machine_of
from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import KEY_NAMES

if TYPE_CHECKING:
    from runapi_mcp.doctor import Patient
    from runapi_mcp.settings import Settings


_SHORT: Final = 7


def add_doctor(commands: Subparsers) -> None:
    """Add doctor and report."""
    doctor = add_command(
        commands,
        "doctor",
        "check key, network, models and what every host would see",
        takes="[OPTIONS]",
        examples=["runapi-mcp doctor", "runapi-mcp doctor --json"],
    )
    doctor.set_defaults(person=_doctor)
    doctor.add_argument("--yes", action="store_true", help="make the tiny call that costs a few tokens")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")

    report = add_command(
        commands,
        "report",
        "write what a report of a fault needs, without key and content",
        takes="[OPTIONS]",
        description="Print versions, settings and what doctor finds. The key, passwords and the home "
        "folder's path are taken out; questions, answers and files are not in it.",
        examples=["runapi-mcp report > report.md"],
    )
    report.set_defaults(person=_report)


def _report(_given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    return anyio.run(_write_report, around)


async def _write_report(around: Surroundings) -> int:
    import platform

    from runapi_mcp import __version__
    from runapi_mcp.doctor import examine, line
    from runapi_mcp.settings import options

    nobody = argparse.Namespace(yes=False, json=True)
    lines = [
        "# runapi-mcp report",
        "",
        f"- runapi-mcp {__version__}",
        f"- Python {platform.python_version()}",
    ]
    lines += [f"- {platform.platform()}", "", "## Settings", ""]
    given = {option.env: {**around.env, **around.variables}.get(option.env, "") for option in options()}
    lines += [f"- {name}: {_without_password(value)}" for name, value in given.items() if value.strip()]
    lines += [f"- {name}: set" for name in KEY_NAMES if around.env.get(name, "").strip()]
    lines += ["", "## doctor", ""]
    lines += [f"- {line(finding)}" async for finding in examine(_patient(nobody, around))]
    around.say(_redact("\n".join(lines), around))
    return 0


def _without_password(value: str) -> str:
    return re.sub(r"(?<=://)[^/\s]*@", "…@", value)


def _redact(text: str, around: Surroundings) -> str:
    """Return a text without the key, under whatever name it is set, and without the home folder's path."""
    for name in (*KEY_NAMES, "GOOGLE_API_KEY"):
        if len(secret := around.env.get(name, "").strip()) > _SHORT:
            text = text.replace(secret, "[key]")
    home = machine_of(around).home
    return text.replace(home, "~") if len(home) > 1 else text


def examine_here(around: Surroundings) -> int:
    """Print what doctor finds, without a call that costs anything; return its exit code."""
    return _doctor(argparse.Namespace(yes=False, json=False), around)


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
    if given.json:
        around.say_json(json.dumps(as_json(findings), ensure_ascii=False, indent=2))
    else:
        around.say(verdict(findings))
    return 1 if any(finding.status == "fail" for finding in findings) else 0


def _patient(given: argparse.Namespace, around: Surroundings) -> "Patient":
    import shutil

    from runapi_mcp.doctor import Patient

    return Patient(
        _settings(around),
        machine_of(around),
        launch_of(around),
        _project(),
        _find_version,
        which=lambda name, path: shutil.which(name, path=path),
        now=lambda: datetime.now(UTC),
        consent=lambda question: _ask_consent(question, given, around),
    )


def _settings(around: Surroundings) -> "Settings | SettingsError":
    try:
        return around.settings()
    except SettingsError as error:
        return error


def _find_version(name: str) -> str | None:
    """Return the version of a package, if it is there."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _ask_consent(question: str, given: argparse.Namespace, around: Surroundings) -> bool:
    """Return whether something may be done that costs; a person is asked, a program must have said so."""
    if given.yes or given.json or not (around.stdin.isatty() and around.err.isatty()):
        return bool(given.yes)
    around.err.write(f"{question} [y/N] ")
    return around.stdin.readline().strip().lower() in ("y", "yes")


def _project() -> Path | None:
    with suppress(OSError):  # the working directory may be gone
        return Path.cwd()
    return None

"""doctor: every check, from this machine outwards, each with what mends it.

Nothing here is fixed by itself, and nothing is called that costs tokens without consent.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter
from urllib.request import getproxies

import anyio
from pydantic import SecretStr

from runapi_mcp import __version__
from runapi_mcp.doctor.hosts import check_hosts, settings_with_key
from runapi_mcp.doctor.local import (
    Finding,
    Installed,
    Which,
    as_json,
    check_key,
    check_launcher,
    check_proxy,
    check_python,
    check_store,
    check_versions,
    key_from_keyring,
    line,
    merge_hosts,
    ok,
    verdict,
)
from runapi_mcp.doctor.network import check_call, check_models, check_reach, check_searches
from runapi_mcp.errors import SettingsError
from runapi_mcp.hosts import HOSTS, Launch, Machine
from runapi_mcp.models import ANSWERING, candidates
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream

__all__ = ["Finding", "Patient", "as_json", "examine", "line", "verdict"]


@dataclass(frozen=True)
class Patient:
    """What is examined.

    Attributes:
        settings: The settings, or why there are none.
        machine: Whose machine it is.
        launch: How this server is started.
        project: The folder whose hosts' configs are looked at besides, if there is one.
        installed: The version of an installed distribution.
        which: Finds a program on a PATH.
        now: The wall clock.
        consent: Asked before a call that costs a few tokens.
        proxies: The proxies that the system names, by scheme.
    """

    settings: Settings | SettingsError
    machine: Machine
    launch: Launch
    project: Path | None
    installed: Installed
    which: Which
    now: Callable[[], datetime]
    consent: Callable[[str], bool]
    proxies: Callable[[], Mapping[str, str]] = getproxies


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    """Yield every finding, as it is made."""
    yield check_python(sys.executable, sys.version_info[:3])
    yield check_versions(__version__, patient.installed)
    yield check_launcher(patient.launch, patient.machine, patient.which)
    settings = patient.settings
    if isinstance(settings, SettingsError):
        yield Finding("settings", "fail", settings.what, "yours", settings.advice)
    else:
        in_keyring = await key_from_keyring(settings, patient.machine.env)
        with_key = None
        if settings.key is None and in_keyring is None and not settings.key_problem:
            with_key = settings_with_key(patient.machine)
        if with_key is not None:
            host, settings = with_key
            yield ok("key", f"none is set here; that of {host.title}'s config is used")
        else:
            yield check_key(settings, in_keyring)
        if isinstance(in_keyring, SecretStr):
            settings = replace(settings, key=in_keyring)
        yield check_proxy(patient.machine.env, settings.base_url, patient.proxies())
        yield check_store(settings, patient.machine.env)
        async for finding in _outwards(patient, settings):
            yield finding
    held = []
    async for finding in check_hosts(patient.machine, patient.project, patient.which, perf_counter):
        # One fault of this machine shows in every host, and is told once; what is well is told as it is seen.
        if finding.status == "fail" or finding.check == "host-env":
            held.append(finding)
        else:
            yield finding
    for finding in merge_hosts(held, {host.id: host.title for host in HOSTS.values()}):
        yield finding


async def _outwards(patient: Patient, settings: Settings) -> AsyncIterator[Finding]:
    reached = True
    async for finding in check_reach(settings, patient.now):
        reached = reached and not (finding.check == "reach" and finding.status == "fail")
        yield finding
    if not reached or settings.key is None:
        why = "RunAPI is not reached" if not reached else "there is no key"
        yield Finding("models", "skipped", f"Not asked for: {why}.")
        return
    upstream = Upstream(settings, today=patient.now)
    try:
        taken = True
        async for finding in check_models(settings, upstream, patient.now):
            taken = taken and finding.status != "fail"
            yield finding
        if isinstance(patient.settings, Settings):  # in which a key of the keyring's is not yet the key
            yield await check_searches(patient.settings, patient.machine.env)
        yield await _call(patient, settings, upstream, wanted=taken)
    finally:
        await upstream.aclose()


async def _call(patient: Patient, settings: Settings, upstream: Upstream, *, wanted: bool) -> Finding:
    if not wanted:
        return Finding("call", "skipped", "Not made: the models are not in order.")
    model = candidates(settings.model, ANSWERING, (), None)[0]
    question = f"Make one tiny call to {model}? It costs a few tokens."
    if not patient.consent(question):
        return Finding("call", "skipped", "Not made: it costs a few tokens. --yes makes it.")
    return await check_call(settings, upstream, anyio.current_time)

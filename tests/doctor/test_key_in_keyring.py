"""A key that is in the keyring: doctor finds it, or says what keeps the server from finding it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from keychain.rings import Ring, without_package

from doctor.ward import KEY, Ward, only
from runapi_mcp.doctor.hosts import read_flags
from runapi_mcp.hosts import Launch, Wish
from runapi_mcp.sim import Simulator

Admit = Callable[..., Ward]


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)


@pytest.fixture
def admit(tmp_path: Path, sim: Simulator, ring: Ring) -> Admit:
    def ward(**env: str) -> Ward:
        return Ward(tmp_path, sim.base_url, ring.env | {"RUNAPI_MCP_KEYRING": "1"} | env)

    return ward


async def test_a_key_in_the_keyring_is_found_and_used(admit: Admit, ring: Ring, sim: Simulator) -> None:
    ring.holds(sim.base_url, KEY)
    found = {finding.check: finding for finding in await admit().findings()}
    assert (found["key"].status, "in the keyring, 20 characters" in found["key"].what) == ("ok", True)
    assert found["models"].status == found["call"].status == "ok"


async def test_a_variable_goes_first_and_the_keyring_is_not_asked(admit: Admit, ring: Ring) -> None:
    found = only(await admit(RUNAPI_TOKEN=KEY).of("key"))
    assert (found.status, "the keyring is not asked" in found.what) == ("ok", True)
    assert ring.asked == []


async def test_a_keyring_without_the_key_is_found(admit: Admit) -> None:
    ward = admit()
    found = only(await ward.of("key"))
    assert (found.status, "holds no key" in found.what) == ("fail", True)
    assert "runapi-mcp key set" in found.mend
    assert only(await ward.of("models")).status == "skipped"


async def test_a_machine_without_a_keyring_is_found(admit: Admit) -> None:
    found = only(await admit(PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring").of("key"))
    assert (found.status, "no keyring that can be used" in found.what) == ("fail", True)
    assert "set RUNAPI_TOKEN instead" in found.mend


async def test_a_missing_keyring_package_is_found(admit: Admit, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    found = only(await admit(**without_package(tmp_path / "without")).of("key"))
    assert (found.status, "not installed" in found.what) == ("fail", True)
    assert ".[keyring]" in found.mend


async def test_no_key_anywhere_names_the_keyring_too(admit: Admit) -> None:
    found = only(await admit(RUNAPI_MCP_KEYRING="0").of("key"))
    assert (found.status, "runapi-mcp key set" in found.mend) == ("fail", True)


def fake(ward: Ward) -> Wish:
    command, *args = ward.fake_server()
    return Wish(Launch(command, tuple(args)), from_keyring=True)


@pytest.mark.parametrize("host", ["cursor", "zed"])
async def test_a_host_whose_server_takes_it_from_the_keyring_is_well(
    admit: Admit, ring: Ring, sim: Simulator, host: str
) -> None:
    ring.holds(sim.base_url, KEY)
    ward = admit(RUNAPI_MCP_KEYRING="")
    ward.install(host, fake(ward))
    found = only(await ward.of("host-key", host))
    assert (found.status, "in the keyring" in found.what) == ("ok", True)


async def test_a_host_that_hands_on_too_little_to_reach_the_keyring_is_found(
    admit: Admit, ring: Ring, sim: Simulator
) -> None:
    ring.holds(sim.base_url, KEY)
    ward = admit()
    ward.install("codex", fake(ward))
    # It hands on neither which keyring to use, nor where RunAPI is; by itself this home has none.
    (ward.home / ".config" / "python_keyring").mkdir(parents=True)
    (ward.home / ".config" / "python_keyring" / "keyringrc.cfg").write_text(
        "[backend]\ndefault-keyring=keyring.backends.fail.Keyring\n"
    )
    found = only(await ward.of("host-key", "codex"))
    assert (found.status, "no keyring that can be used" in found.what) == ("fail", True)


async def test_a_server_that_uvx_makes_without_the_package_is_found(admit: Admit, ring: Ring) -> None:
    ward = admit()
    uvx = ward.home / "bin" / "uvx"
    uvx.parent.mkdir()
    uvx.write_text("#!/bin/sh\nexit 1\n")
    uvx.chmod(0o755)
    ward.install("cursor", Wish(Launch(str(uvx), ("runapi-mcp",)), from_keyring=True))
    found = only(await ward.of("host-key", "cursor"))
    assert (found.status, "without the keyring package" in found.what) == ("fail", True)
    assert "runapi-mcp install cursor --keyring" in found.mend
    assert len(ring.asked) == 1, "for this environment, not for a server that could not ask"


def test_what_flags_set_counts_as_if_it_were_set_in_the_environment() -> None:
    words = ("-m", "runapi_mcp", "--keyring", "1", "--base-url=https://relay.example", "--hold")
    assert read_flags(words) == {
        "RUNAPI_MCP_KEYRING": "1",
        "RUNAPI_BASE_URL": "https://relay.example",
        "RUNAPI_MCP_HOLD": "",
    }

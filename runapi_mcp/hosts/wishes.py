"""What the person at the keyboard asks for, and what an entry has to hold for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from runapi_mcp.errors import InputError
from runapi_mcp.hosts.entries import KEY_VARIABLE, KEYRING_VARIABLE, Wiring
from runapi_mcp.hosts.finding import config_path, project_path
from runapi_mcp.hosts.launcher import Launch
from runapi_mcp.hosts.machine import Machine
from runapi_mcp.hosts.rows import Host
from runapi_mcp.hosts.showing import PLACEHOLDER
from runapi_mcp.settings import KEY_NAMES


@dataclass(frozen=True)
class Wish:
    """What the person at the keyboard asked for.

    Attributes:
        launch: What the host is to start.
        key_variable: The variable that the config is to refer to, if they named one.
        stored: The key that the config is to hold, if they asked for that.
        without_key: Whether the host needs the key in its config and is to have none.
        from_keyring: Whether the server is to take the key from this machine's keyring.
        only_print: Whether nothing is to be written.
        config: A config file other than the host's usual one.
        project: The folder of the project whose config is meant, if they meant a project's.
    """

    launch: Launch
    key_variable: str | None = None
    stored: SecretStr | None = None
    without_key: bool = False
    from_keyring: bool = False
    only_print: bool = False
    config: Path | None = None
    project: Path | None = None


def config_for(host: Host, machine: Machine, wish: Wish) -> Path:
    """Return the config that is meant.

    Raises:
        InputError: A project's is meant, and the host has none.
    """
    if wish.project:
        return project_path(host, wish.project)
    return wish.config or config_path(host, machine)


def wiring_for(host: Host, wish: Wish, env: Mapping[str, str]) -> Wiring:
    """Return how a host is to start the server and give it its key.

    Args:
        host: The host.
        wish: What is asked for.
        env: The environment, to advise by whether it holds a key.

    Raises:
        InputError: The host cannot do what is wished, or needs a decision about the key.
    """
    if wish.project and wish.stored is not None:
        raise InputError(
            "A project's config is for everyone who has the project, so no key is stored there.",
            advice="Leave --store-key out; each of them sets the key, or adds --keyring.",
        )
    launch = wish.launch.by_name() if wish.project else wish.launch
    if wish.stored is not None:
        return Wiring(launch, {KEY_VARIABLE: wish.stored.get_secret_value()})
    if wish.from_keyring:
        return Wiring(launch, {KEYRING_VARIABLE: "1"})
    variable = wish.key_variable or KEY_VARIABLE
    if host.reference and (wish.key_variable or host.key == "reference"):
        return Wiring(launch, {KEY_VARIABLE: host.reference.to(variable)})
    if variable not in KEY_NAMES:
        raise InputError(
            f"{host.title} cannot give a server a variable under another name.",
            advice=f"Use one of {', '.join(KEY_NAMES)}.",
        )
    if host.key == "forward":
        return Wiring(launch, forward=(variable,))
    if host.key == "store" and not wish.without_key:
        return Wiring(launch, {KEY_VARIABLE: _placeholder(host, wish, env)})
    return Wiring(launch)


def _placeholder(host: Host, wish: Wish, env: Mapping[str, str]) -> str:
    """Return what stands for the key where nothing is written; else it has to be decided on first."""
    if wish.only_print:
        return PLACEHOLDER
    is_set = any(env.get(name, "").strip() for name in KEY_NAMES)
    raise InputError(
        f"{host.title} gives servers no variable of your environment, so the key has to stand in its "
        "config file, where everyone who can read that file can read it.",
        advice=f"{'Add' if is_set else f'Set {KEY_VARIABLE} and add'} --store-key, or --no-key to add the "
        "key by hand later; or keep it in this machine's keyring (runapi-mcp key set) and add --keyring.",
    )

"""Hosts: where each keeps its config, how it is written, and how this server gets in and out of it."""

from runapi_mcp.hosts.configs import (
    Listed,
    Place,
    find_config,
    find_configs,
    find_entries,
    find_gate,
    find_host,
    find_remotes,
    has_mark,
    list_hosts,
    mentions_us,
)
from runapi_mcp.hosts.entries import (
    KEYRING_VARIABLE,
    NAME,
    Launch,
    Remote,
    Wiring,
    launcher,
    read_url,
    sends_in_the_open,
)
from runapi_mcp.hosts.install import PLACEHOLDER, Wish, install, uninstall
from runapi_mcp.hosts.rows import HOSTS, Host, Machine, Reference, platform_of

__all__ = [
    "HOSTS",
    "KEYRING_VARIABLE",
    "NAME",
    "PLACEHOLDER",
    "Host",
    "Launch",
    "Listed",
    "Machine",
    "Place",
    "Reference",
    "Remote",
    "Wiring",
    "Wish",
    "find_config",
    "find_configs",
    "find_entries",
    "find_gate",
    "find_host",
    "find_remotes",
    "has_mark",
    "install",
    "launcher",
    "list_hosts",
    "mentions_us",
    "platform_of",
    "read_url",
    "sends_in_the_open",
    "uninstall",
]

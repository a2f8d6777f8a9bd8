"""Hosts: where each keeps its config, how it is written, and how this server gets in and out of it."""

from runapi_mcp.hosts.entries import KEYRING_VARIABLE, NAME, Wiring
from runapi_mcp.hosts.find import (
    Listed,
    config_path,
    configs,
    entries_naming_us,
    has_mark,
    host_named,
    listed,
    mentions_us,
    remotes_naming_us,
)
from runapi_mcp.hosts.formats import ConfigError
from runapi_mcp.hosts.install import PLACEHOLDER, Wish, install, uninstall
from runapi_mcp.hosts.machine import Launch, Machine, launcher, platform_of
from runapi_mcp.hosts.remote import Remote, read_url, sends_in_the_open
from runapi_mcp.hosts.rows import HOSTS, Host, Reference

__all__ = [
    "HOSTS",
    "KEYRING_VARIABLE",
    "NAME",
    "PLACEHOLDER",
    "ConfigError",
    "Host",
    "Launch",
    "Listed",
    "Machine",
    "Reference",
    "Remote",
    "Wiring",
    "Wish",
    "config_path",
    "configs",
    "entries_naming_us",
    "has_mark",
    "host_named",
    "install",
    "launcher",
    "listed",
    "mentions_us",
    "platform_of",
    "read_url",
    "remotes_naming_us",
    "sends_in_the_open",
    "uninstall",
]

"""Hosts: where each keeps its config, how it is written, and how this server gets in and out of it."""

from runapi_mcp.hosts.entries import NAME, Wiring
from runapi_mcp.hosts.finding import (
    Listed,
    config_path,
    configs,
    entries_naming_us,
    host_named,
    listed,
    mentions_us,
)
from runapi_mcp.hosts.formats import ConfigError
from runapi_mcp.hosts.installing import install, uninstall
from runapi_mcp.hosts.launcher import Launch, launcher
from runapi_mcp.hosts.machine import Machine, platform_of
from runapi_mcp.hosts.rows import HOSTS, Host, Reference
from runapi_mcp.hosts.showing import PLACEHOLDER
from runapi_mcp.hosts.wishes import Wish

__all__ = [
    "HOSTS",
    "NAME",
    "PLACEHOLDER",
    "ConfigError",
    "Host",
    "Launch",
    "Listed",
    "Machine",
    "Reference",
    "Wiring",
    "Wish",
    "config_path",
    "configs",
    "entries_naming_us",
    "host_named",
    "install",
    "launcher",
    "listed",
    "mentions_us",
    "platform_of",
    "uninstall",
]

"""Hosts: where each keeps its config, how it is written, and how this server gets in and out of it."""

from runapi_mcp.hosts.entries import NAME, Wiring
from runapi_mcp.hosts.formats import ConfigError
from runapi_mcp.hosts.installing import (
    Wish,
    config_path,
    entries_naming_us,
    host_named,
    install,
    listing,
    uninstall,
)
from runapi_mcp.hosts.launcher import Launch, launcher
from runapi_mcp.hosts.machine import Machine, platform_of
from runapi_mcp.hosts.rows import HOSTS, Host, Reference

__all__ = [
    "HOSTS",
    "NAME",
    "ConfigError",
    "Host",
    "Launch",
    "Machine",
    "Reference",
    "Wiring",
    "Wish",
    "config_path",
    "entries_naming_us",
    "host_named",
    "install",
    "launcher",
    "listing",
    "platform_of",
    "uninstall",
]

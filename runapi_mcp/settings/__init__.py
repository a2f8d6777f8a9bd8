"""Settings: the value, how its texts are read, and the variables it comes from.

The command line's flags and the table of settings come from the same metadata. Standard library
only, and no more of it than must be: a host waits for this.
"""

from runapi_mcp.settings.env import KEY_NAMES, Option, for_host, from_env, options
from runapi_mcp.settings.reading import (
    CHAT_PATHS,
    LOOPBACK,
    Hold,
    is_reference,
    key_problem,
    read_base_url,
    read_model_id,
)
from runapi_mcp.settings.value import DEFAULT_BASE_URL, MIB, PAGE_CHARS, LogLevel, Settings

__all__ = [
    "CHAT_PATHS",
    "DEFAULT_BASE_URL",
    "KEY_NAMES",
    "LOOPBACK",
    "MIB",
    "PAGE_CHARS",
    "Hold",
    "LogLevel",
    "Option",
    "Settings",
    "for_host",
    "from_env",
    "is_reference",
    "key_problem",
    "options",
    "read_base_url",
    "read_model_id",
]

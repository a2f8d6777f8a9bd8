"""Where each host keeps its own config, by machine: the likeliest place first."""

from pathlib import PurePath

from runapi_mcp.hosts.machine import Machine


def claude_desktop(machine: Machine) -> tuple[PurePath, ...]:
    """Claude Desktop's."""
    return (machine.app("Claude", "claude_desktop_config.json"),)


def claude_code(machine: Machine) -> tuple[PurePath, ...]:
    """Claude Code's, which holds much else and grows large."""
    return (machine.named("CLAUDE_CONFIG_DIR", machine.at_home(), ".claude.json"),)


def cursor(machine: Machine) -> tuple[PurePath, ...]:
    """Cursor's."""
    return (machine.at_home(".cursor", "mcp.json"),)


def vscode(machine: Machine) -> tuple[PurePath, ...]:
    """VS Code's, of the default profile."""
    return (machine.app("Code", "User", "mcp.json"),)


def windsurf(machine: Machine) -> tuple[PurePath, ...]:
    """Windsurf's."""
    return (machine.at_home(".codeium", "windsurf", "mcp_config.json"),)


def zed(machine: Machine) -> tuple[PurePath, ...]:
    """Zed's, which are its settings as a whole."""
    if machine.platform == "windows":
        return (machine.app("Zed", "settings.json"),)
    if machine.platform == "macos":
        return (machine.at_home(".config", "zed", "settings.json"),)
    return (machine.xdg("zed", "settings.json"),)


def cline(machine: Machine) -> tuple[PurePath, ...]:
    """Cline's: that of the command line and newer builds, then that of the VS Code extension."""
    name = ("settings", "cline_mcp_settings.json")
    extension = machine.app("Code", "User", "globalStorage", "saoudrizwan.claude-dev", *name)
    return (machine.named("CLINE_DIR", machine.at_home(".cline"), "data", *name), extension)


def codex(machine: Machine) -> tuple[PurePath, ...]:
    """Codex's."""
    return (machine.named("CODEX_HOME", machine.at_home(".codex"), "config.toml"),)


def gemini_cli(machine: Machine) -> tuple[PurePath, ...]:
    """Gemini CLI's."""
    return (machine.at_home(".gemini", "settings.json"),)


def goose(machine: Machine) -> tuple[PurePath, ...]:
    """Goose's."""
    if machine.platform == "windows":
        return (machine.app("Block", "goose", "config", "config.yaml"),)
    if machine.platform == "macos":
        return (machine.at_home(".config", "goose", "config.yaml"),)
    return (machine.xdg("goose", "config.yaml"),)


def opencode(machine: Machine) -> tuple[PurePath, ...]:
    """opencode's, in either of its two spellings."""
    return (machine.xdg("opencode", "opencode.json"), machine.xdg("opencode", "opencode.jsonc"))

"""Imports point one way, and each foreign thing is known in one place only."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import runapi_mcp

PACKAGE = Path(runapi_mcp.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("doctor",),
    ("boot", "hosts"),
    ("transports",),
    ("server",),
    ("tools",),
    ("files", "citations", "extraction"),
    ("request",),
    ("key",),
    ("progress", "host_limits"),
    ("generations",),
    ("upstream",),
    ("telemetry",),
    ("wire",),
    ("key_helper",),
    ("watched",),
    ("signalling", "beside"),
    ("logs",),
    ("errors",),
)
"""From the top: a layer may import those below it, and itself; never those beside or above it."""

READABLE = {
    "settings": {"models", "errors", "printable"},
    "models": {"errors", "printable"},
    "printable": set[str](),
}
"""What every layer may read (`wire` and `errors` apart), and what these may import themselves."""

EXCEPTIONS = {
    "wire": {"errors", "models", "printable"},
    "errors": set[str](),
    "sim": set[str](),
    "hosts": {"errors", "printable", "settings", "wire.types"},
    "files": {"errors", "printable", "settings", "wire.json_text", "wire.types"},
    "citations": {"errors", "printable", "wire"},
    "extraction": {"errors", "generations", "printable", "wire"},
}
"""Layers that may import less than what is below them."""

SIMULATOR_FOR = {"cli", "sim"}

KNOWN_ONLY_IN = {
    "mcp": {"server", "transports", "cli"},
    "mcp_types": {"server", "transports", "cli"},
    "httpx": {"upstream", "transports.http.jwt"},
    "httpx_sse": {"upstream"},
    "redis": {"generations"},
    "keyring": {"key_helper"},
    "regress": {"extraction"},
    "opentelemetry": {"telemetry"},
}
"""Foreign packages and the only layers that know them."""

IMPURE = {
    *("anyio", "asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "socket"),
    *("sys", "threading", "time"),
}
"""What `wire` must not touch: strings in, events out."""

MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
)


@cache
def nodes(module: str) -> list[ast.AST]:
    """Return what is looked at of a module: its imports, names and attributes, wherever they stand."""
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    looked_at = (ast.Import, ast.ImportFrom, ast.Name, ast.Attribute)
    return [node for node in ast.walk(tree) if isinstance(node, looked_at)]


def layer(module: str) -> str:
    return module.partition(".")[0]


@cache
def imported(module: str) -> frozenset[str]:
    """Return what a module imports, by full name, wherever in the file it stands."""
    return frozenset(_imported(module))


def _imported(module: str) -> Iterator[str]:
    for node in nodes(module):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                assert level == 0, "relative imports hide where they lead"
                yield from (f"{source}.{alias.name}" for alias in names)
            case _:
                pass


def ours(module: str) -> set[str]:
    """Return what a module imports of this package, without the package's name."""
    prefix = "runapi_mcp."
    found = {name.removeprefix(prefix) for name in imported(module) if name.startswith(prefix)}
    return found - {"__version__"}


def allowed(name: str) -> set[str]:
    if name in READABLE:
        return READABLE[name]
    if name in EXCEPTIONS:
        return EXCEPTIONS[name]
    place = next((place for place, names in enumerate(LAYERS) if name in names), None)
    assert place is not None, f"{name} has no place in LAYERS: give it one"
    return {below for names in LAYERS[place + 1 :] for below in names} | set(READABLE)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    own = layer(module)
    may = allowed(own) | {own} | ({"sim"} if own in SIMULATOR_FOR else set())
    wrong = {
        name
        for name in ours(module)
        if not any(name == allowed_name or name.startswith(f"{allowed_name}.") for allowed_name in may)
    }
    assert not wrong


@pytest.mark.parametrize("module", MODULES)
def test_a_foreign_package_is_known_in_its_layer_only(module: str) -> None:
    for foreign, layers in KNOWN_ONLY_IN.items():
        if layer(module) not in layers and module not in layers:
            assert foreign not in {layer(name) for name in imported(module)}


@pytest.mark.parametrize("module", [module for module in MODULES if layer(module) == "wire"])
def test_the_wire_does_no_io_and_looks_at_no_clock(module: str) -> None:
    assert not IMPURE & {layer(name) for name in imported(module)}


OTHER_THREADS = {
    "beside",
    "extraction.worker",  # waits for a process
    "files.__init__",  # waits for disks
    "generations.store.shared",
    "server.app",  # looks at folders
    "watched",
    "sim.server",
}
"""Modules that run threads: what works on strangers' text does so in the two of `beside`."""


@pytest.mark.parametrize("module", [module for module in MODULES if module not in OTHER_THREADS])
def test_long_work_is_done_in_the_few_threads_that_there_are_for_it(module: str) -> None:
    assert not {name for name in imported(module) if "to_thread" in name}


READING_THE_ENVIRONMENT = ("cli.main", "extraction.worker")
"""The one for the settings; the other hands on the few variables that Python itself needs."""


@pytest.mark.parametrize("module", [module for module in MODULES if module not in READING_THE_ENVIRONMENT])
def test_only_the_command_line_prints_and_reads_the_environment(module: str) -> None:
    for node in nodes(module):
        match node:
            case ast.Name(id="print"):
                pytest.fail(f"print in line {node.lineno}")
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv" | "getenvb"):
                pytest.fail(f"the environment in line {node.lineno}")
            case _:
                pass
    assert not {"os.environ", "os.getenv"} & imported(module)


def test_every_layer_in_the_tables_is_a_name_once() -> None:
    names = [name for names in LAYERS for name in names]
    assert len(set(names)) == len(names)
    assert set(EXCEPTIONS) - {"sim"} <= set(names)

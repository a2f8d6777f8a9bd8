"""Processes of this server without the second that each takes to import it.

`forked()` starts the program as ``python -m runapi_mcp`` would, with pipes, terminal, environment and folder
of its own, but forked from an interpreter in which everything is imported already. What is tested of starting
itself, and what is read of a process in /proc, starts afresh: `FRESH`.

Three take part. The launcher is what a test starts: it hands its descriptors over, passes signals on, and
ends as the command ends. The server, one for all processes that run tests, forks a guard for every launcher;
the guard forks the command, and ends it when its launcher is gone.
"""

import ast
import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

FRESH: Final = [sys.executable, "-m", "runapi_mcp"]
"""Starts the program in an interpreter of its own."""
FDS: Final = 4
_SHARED: Final = "FORKED_SERVER"
"""Says where the server listens that this process shares with others."""
_OF_HELPERS: Final = {"PYTHONPATH", "PYTHON_KEYRING_BACKEND"}
"""What only processes look at that the program starts."""


def forked() -> list[str]:
    """Return the words that start the program, to be followed by its own."""
    return forked_script("-m", "runapi_mcp")


def forked_script(*what: str) -> list[str]:
    """Return the words that start a module or a file, as `python` takes them."""
    if sys.platform != "linux":
        return [sys.executable, *what]
    return [sys.executable, "-S", "-E", str(Path(__file__).with_name("forked_launcher.py")), _server(), *what]


def share_server() -> None:
    """Start a server for all processes that this one starts, which begin to test when they have collected."""
    if sys.platform == "linux":
        _, os.environ[_SHARED] = _start()


@cache
def _server() -> str:
    """Return where the server listens: the one that is shared, or else one of this process."""
    if _SHARED in os.environ:
        return os.environ[_SHARED]
    server, path = _start()
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return path


def _start() -> tuple[subprocess.Popen[bytes], str]:
    """Start a server that ends with this process; return it and where it is to listen."""
    folder = tempfile.TemporaryDirectory(prefix="forked-")
    path = f"{folder.name}/socket"
    server = subprocess.Popen([sys.executable, __file__, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def end() -> None:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.close()
        server.wait()
        server.stdout.close()
        folder.cleanup()

    atexit.register(end)
    return server, path


# ---------------------------------------------------------------- in the server


def _serve(path: str) -> dict[str, Any]:
    """Fork for whoever asks; return what was asked for, in the process that is to do it."""
    if sys.platform != "linux":
        raise OSError("nothing is forked here")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards are nobody's to wait for
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            sys.exit()  # who started it has gone
        launcher, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _guard(launcher)
        launcher.close()


def _import_everything() -> None:
    import gc
    import pkgutil
    from importlib import import_module

    import runapi_mcp

    for module in pkgutil.walk_packages(runapi_mcp.__path__, "runapi_mcp."):
        if not module.name.endswith(("__main__", ".manifest", "key_helper")):
            import_module(module.name)
    gc.freeze()


def _guard(launcher: socket.socket) -> dict[str, Any]:
    if sys.platform != "linux":
        raise OSError("nothing is forked here")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, fds, _, _ = socket.recv_fds(launcher, 8, FDS)
    length = int(head)
    text = b""
    while len(text) < length:
        text += launcher.recv(length - len(text))
    order: dict[str, Any] = ast.literal_eval(text.decode())
    if _needs_its_own_start(order["env"]):
        launcher.sendall(b"0\n")
        os._exit(0)
    child = os.fork()
    if child == 0:
        launcher.close()
        return order | {"fds": fds}
    for fd in fds:
        os.close(fd)
    launcher.sendall(b"%d\n" % child)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, launcher.fileno()], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(OSError):
        launcher.sendall(b"%d\n" % status)
    os._exit(0)


def _needs_its_own_start(env: dict[str, str]) -> bool:
    """Whether the interpreter would be another one in this environment."""
    if any(
        Path(folder, "sitecustomize.py").exists() for folder in env.get("PYTHONPATH", "").split(os.pathsep)
    ):
        return True
    names = {name for name in env if name.startswith(("PYTHON", "LC_", "LANG", "LD_"))} - _OF_HELPERS
    # The launcher's own interpreter adds this where the test, as the SDK's client does, gave no locale.
    same = dict(os.environ) | {"LC_CTYPE": "C.UTF-8"} if sys.stdout.encoding == "utf-8" else os.environ
    return any(env[name] != same.get(name, "") for name in names)  # an empty one says nothing


def _become(order: dict[str, Any]) -> None:
    """Make this process the one that was asked for: descriptors, folder, environment, words."""
    folder, *streams = order["fds"]
    os.chdir(folder)
    os.close(folder)
    for fd, given in zip(order["streams"], streams, strict=True):
        os.dup2(given, fd)
        os.close(given)
    os.umask(order["umask"])
    os.environ.clear()
    os.environ.update(order["env"])
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        old, new = getattr(sys, f"__{name}__"), None
        if fd in order["streams"]:
            new = open(  # noqa: SIM115
                fd,
                "r" if fd == 0 else "w",
                encoding=old.encoding,
                errors=old.errors,
                closefd=False,
                buffering=1 if fd == 2 or os.isatty(fd) else -1,
            )
        else:
            os.close(fd)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _run(words: list[str]) -> None:
    """Run what was asked for, and end as an interpreter would, but for taking apart what was imported."""
    import runpy

    code = 0

    def leave() -> None:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            return  # what the interpreter makes of it is for the interpreter to say
        os._exit(code)

    atexit.register(leave)  # the first of all is the last to be called, when threads have ended
    try:
        if words[0] == "-m":
            sys.argv[1:] = words[2:]
            try:
                sys.path[0] = str(Path.cwd())
            except FileNotFoundError:
                del sys.path[0]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:], sys.path[0] = words, str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        raise
    except BaseException:
        code = 1
        raise


if __name__ == "__main__":
    order = _serve(sys.argv[1])
    _become(order)
    _run(order["words"])

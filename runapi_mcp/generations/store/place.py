"""Where a machine's processes keep what they share: whose folder that is, and who of them is alive.

A process shows that it lives by a lock on a file of its own. The kernel takes it back whatever ends
the process, and keeps it through a machine's sleep and a clock that jumps, which no time stamp does.
"""

import errno
import math
import os
import re
import stat
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

ALIVE: Final = "alive-"
"""How the file begins by which a process shows that it lives."""
DETACHED: Final = "detached-"
"""The same of one that goes on without its host; in the file stand the handles that it finishes."""
_MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK: Final = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "davfs"),
    *("glusterfs", "9p", "virtiofs", "drvfs", "vboxsf", "prl_fs", "fakeowner"),
)
"""File systems on which SQLite's log or a lock does not hold between two machines, or at all.

Those that a virtual machine or a sandbox shares with what it runs on are among them: WSL's /mnt/c
(gastownhall/beads#920), Docker Desktop's mounts (stephengpope/thepopebot#135), virtiofs and 9p
(cachix/devenv#2985), Flatpak's documents (flatpak/xdg-desktop-portal#1117).
"""
_LOCAL: Final = ("fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.encfs")
"""The file systems of other programs that share memory: a container without root, an encrypted home.

Of the others some are a network's, some damage the file without a word (Ozark-Connect/NetworkOptimizer#707:
Unraid's and mergerfs; juicedata/juicefs#2068, huggingface/hf-mount#103), and some end the process with a
signal (gsd-build/gsd-2#3396).
"""
_REMOTE_DRIVE: Final = 4
_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})
"""Of what there is none left now, and will be again: room or inodes, a quota, files that may be open."""


class Unusable(Exception):
    """A folder cannot hold what is shared; its text says why, to the end of a sentence."""


def state_folder(env: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Return the folder for what a program keeps between its runs, as the platform has it.

    Raises:
        Unusable: This user has no home.
    """
    kind = PureWindowsPath if platform == "win32" else PurePosixPath
    named = kind(env.get("LOCALAPPDATA" if platform == "win32" else "XDG_STATE_HOME", ""))
    # The specification of XDG has a relative one ignored.
    if platform != "darwin" and named.is_absolute():
        return Path(str(named / "runapi-mcp"))
    home = kind(env.get("USERPROFILE" if platform == "win32" else "HOME", ""))
    if not home.is_absolute():
        raise Unusable("this user has no home folder")
    below = {"win32": "AppData/Local", "darwin": "Library/Application Support"}
    return Path(str(home / below.get(platform, ".local/state") / "runapi-mcp"))


def make_folder(folder: Path) -> None:
    """Make the folder, for its user alone.

    Raises:
        OSError: It cannot be made now.
        Unusable: It is another user's, on another machine, or nothing can be written there.
    """
    check_folder(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix" and stat.S_IMODE(folder.stat().st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        if error.errno in _PASSING:
            raise
        raise Unusable(f"{folder}: {_why(error)}") from None


def find_shortage(folder: Path) -> OSError | None:
    """Return the error of writing as many files in a folder as SQLite needs, where it will pass."""
    import tempfile

    try:
        with ExitStack() as files:
            for _ in range(4):
                os.write(files.enter_context(tempfile.TemporaryFile(dir=folder)).fileno(), bytes(4096))
        return None
    except OSError as error:
        return error if error.errno in _PASSING else None


def check_folder(folder: Path) -> None:
    """See that the folder is, or can be made, this user's own on this machine; change nothing.

    Raises:
        Unusable: It is not.
    """
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
        if not nearest.exists():
            raise Unusable(f"{nearest} is a link that leads nowhere")
        _check_owner(nearest)
        writable = nearest.is_dir() and os.access(nearest, os.W_OK)
        kind = _network(nearest)
    except (OSError, ValueError) as error:
        raise Unusable(f"{folder}: {_why(error)}") from None
    if not writable:
        raise Unusable(f"{nearest} cannot be written")
    if kind:
        whose = "another program's file system" if kind.startswith("fuse.") else "a network drive"
        raise Unusable(f"{folder} is on {whose} ({kind})")


def _check_owner(folder: Path) -> None:
    """See that what is made here belongs where it is made.

    Root in another's home (sudo) would leave files that its owner can neither use nor remove.
    """
    if sys.platform != "win32" and os.geteuid() == 0 and folder.stat().st_uid != 0:
        raise Unusable(f"{folder} belongs to another user than root, who runs this")


def _network(folder: Path) -> str:
    """Return what kind of network drive a folder is on; empty if it is on none, as far as is known."""
    if os.name == "nt":
        return _network_drive(folder)
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""  # macOS: a home on a network drive is rare there, and SQLite says so itself
    best, kind = "", ""
    where = str(folder.resolve())
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        at = fields[1].replace("\\040", " ").rstrip("/")
        if (where == at or where.startswith(at + "/")) and len(at) >= len(best):
            best, kind = at, fields[2]
    remote = kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL)
    return kind if remote else ""


def _network_drive(folder: Path) -> str:
    if folder.drive.startswith("\\\\"):
        return "UNC path"
    if sys.platform == "win32":
        import ctypes

        if ctypes.windll.kernel32.GetDriveTypeW(folder.anchor) == _REMOTE_DRIVE:
            return "mapped drive"
    return ""


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


class Mark:
    """The sign that a process lives: a locked file beside what it shares."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def show(self) -> None:
        """Show it, unless it is shown.

        Raises:
            OSError: No file can be made now.
            Unusable: Files cannot be locked here.
        """
        if self._file is not None:
            with suppress(OSError):
                if self._path.stat().st_ino == os.fstat(self._file).st_ino:
                    return
            os.close(self._file)
            self._file = None
        # Under another name until it is locked: who clears up takes an unlocked one for a dead one's.
        # Windows renames no open file, and removes none either: there, it has its name from the start.
        early = self._path.with_name(f"new-{self._path.name}") if os.name == "posix" else self._path
        try:
            file = os.open(early, os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(file):
                os.close(file)
                raise Unusable("files cannot be locked in its folder")
            if early != self._path:
                early.replace(self._path)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            raise Unusable(_why(error)) from None
        self._file = file

    def take_back(self) -> None:
        """Show it no longer."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            with suppress(OSError):  # Windows removes no file that somebody is just looking at; they will
                self._path.unlink()


def is_shown(mark: Path) -> bool:
    """Whether a process shows its sign."""
    try:
        file = os.open(mark, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # it is there, and may be nobody's business
    try:
        return not _lock(file, shared=True)
    finally:
        os.close(file)


def clear_marks(folder: Path) -> None:
    """Remove the signs of processes that are gone."""
    with suppress(OSError):
        for path in (*folder.glob(ALIVE + "*"), *folder.glob(DETACHED + "*")):
            if not is_shown(path):
                with suppress(OSError):
                    path.unlink()


def clear_old(folder: Path, ours: str, before: float = math.inf) -> None:
    """Remove files that nobody reads any more and that hold questions and answers all the same.

    Those are what was set aside, and what another version of this program wrote, which may still run: of
    what was written since `before` everything stays.
    """
    stem = ours.partition("-")[0]
    # Nothing else, whatever a folder that somebody named may hold.
    kind = re.compile(rf"({stem}-\d{{1,3}})\.sqlite(-wal|-shm|\.damaged|)")
    with suppress(OSError):
        for path in folder.glob(f"{stem}-*"):
            named = kind.fullmatch(path.name)
            if named is None:
                continue
            base, end = named.groups()
            if f"{base}.sqlite" == ours and end != ".damaged":
                continue
            # What is written stands in the log first, and makes that newer.
            beside = [path] if end == ".damaged" else folder.glob(f"{base}.sqlite*")
            if max((each.stat().st_mtime for each in beside), default=0.0) < before:
                path.unlink(missing_ok=True)


def _lock(file: int, *, shared: bool = False) -> bool:
    """Lock an open file if nobody has; return whether it was. The kernel gives it back at its end."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

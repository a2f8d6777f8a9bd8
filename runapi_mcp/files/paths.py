"""Local files, read only where the one who set the server up allows it, and never those that hold secrets.

A file is judged by the descriptor that is read; its name only says whether it may hold a secret.
"""

import difflib
import os
import platform
import re
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path, PurePath
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

from runapi_mcp.errors import InputError
from runapi_mcp.printable import one_line

_FOLDERS: Final = frozenset(
    {
        *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".oci", ".chef", ".password-store"),
        *("gcloud", "keyrings", "keychains", ".mozilla", ".thunderbird", ".1password", ".secrets"),
        ".git",  # its config may hold tokens in the addresses of remotes
    }
)
_FILES: Final = (
    *(".env", ".env.*", "*.env", ".envrc", ".flaskenv", ".dev.vars"),
    *(".netrc", "_netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".pgpass", ".my.cnf", ".git-credentials"),
    *(".htpasswd", ".dockercfg", ".boto", ".s3cfg", ".vault-token", ".terraformrc", "credentials.tfrc.json"),
    *("credentials", "credentials.*", ".*credentials", ".credentials.*", "client_secret*.json"),
    *(
        "*credentials.json",
        "*credentials.csv",
        "*accesskeys.csv",
        "rootkey.csv",
        "claude_desktop_config.json",
    ),
    *("*service-account*.json", "*service_account*.json", "*serviceaccount*.json"),
    *("secrets.json", "secrets.y*ml", "secrets.toml", "secrets.env", "secret.json", "secret.y*ml"),
    *("kubeconfig", "*.kubeconfig", "auth.json", ".claude.json", "master.key", "wallet.dat"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.ppk", "*.p8", "*.p12", "*.pfx"),
    *("*.jks", "*.keystore", "*.kdbx", "*.kdb", "*.agekey", "*.gpg", "*.tfstate", "*.tfstate.*", "*.tfvars"),
    *(".databrickscfg", ".dockerconfigjson", ".sentryclirc", ".vault_pass*", "rclone.conf", "*.ovpn"),
    "local.settings.json",
    *(".bash_history", ".zsh_history", ".python_history", ".psql_history", ".mysql_history"),
)
_IN_THEIR_FOLDERS: Final = (
    *("gh/hosts.yml", "glab-cli/config.yml", ".config/hub", ".fly/config.yml", "doctl/config.yaml"),
    *("hcloud/cli.toml", ".m2/settings*.xml", ".snowsql/config"),
)
"""Names that say nothing alone: where programs keep the token of a login (anthropics/claude-code#34819)."""
_HARMLESS: Final = (
    *("*.example", "*.sample", "*.template", "*.dist", "example.env", "sample.env", "template.env"),
    *("credentials.py", "credentials.ts", "credentials.js", "credentials.go", "credentials.rs"),
    *("credentials.md", "credentials.java", "credentials.rb", "*.pub"),
)
"""What is named alike and made to be shared: examples, public keys, code about credentials."""
_COPY: Final = re.compile(r"(?:~|#|\.(?:bak|backup|old|orig|save|copy|tmp|lock|sw[op]|\d{1,8}))+\Z")
"""What editors and people add to the name of a file whose earlier state they keep."""


def is_secret(path: PurePath) -> bool:
    """Whether a file of this name, or a folder that the path names on the way, holds secrets."""
    *folders, name = map(_bare, path.parts or ("",))
    if any(folder in _FOLDERS for folder in (*folders, name)):
        return True
    original = _COPY.sub("", name.removeprefix("#"))
    folder = "".join(folders[-1:])
    return any(
        (_any(one, _FILES) and not _any(one, _HARMLESS)) or _any(f"{folder}/{one}", _IN_THEIR_FOLDERS)
        for one in {name, original}
    )


def _bare(name: str) -> str:
    """Return a name as file systems tell names apart: Windows drops final dots and blanks, and streams."""
    return name.casefold().partition(":")[0].rstrip(". ") or name


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


_NEVER: Final = tuple(Path(folder) for folder in ("/proc", "/sys", "/dev"))
"""Folders whose files show the machine and this process, its key included; never read."""
_WALKS: Final = os.open in os.supports_dir_fd
"""Whether a file can be opened in a folder that is open; not on Windows."""
_MOST_PATH: Final = 32_768
"""Characters of a path on Windows, its end included."""
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe must not wait for its other end."""
# O_PATH: a folder on the way may be one that can be passed through, and not listed.
_FOLDER: Final = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", os.O_RDONLY)


_QUOTES: Final = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’", "<": ">"}
_DRIVE: Final = re.compile(r"/?([A-Za-z]):[\\/](.*)", re.DOTALL)
_MOUNTED: Final = re.compile(r"/(?:mnt/|cygdrive/)?([A-Za-z])/(.*)", re.DOTALL)
_DISTRIBUTION: Final = re.compile(r"[\\/]{2}wsl(?:\.localhost|\$)[\\/][^\\/]+(.*)", re.DOTALL | re.IGNORECASE)
_MOST_SIBLINGS: Final = 10_000
_UNSEEN_ALLOWED: Final = "\u200d"
"""Joins emoji, in names as elsewhere."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What of this machine may be read.

    Attributes:
        folders: The folders that files may come from, links resolved.
        local: Whether the one who asks sits at this machine: their ~ is its, and whole folders may be named.
    """

    folders: tuple[Path, ...]
    local: bool = True

    def holds(self, path: Path) -> bool:
        """Whether a path, links resolved, is in one of the folders."""
        return any(path.is_relative_to(folder) for folder in self.folders)

    def find(self, name: str) -> Path:
        """Return the path that a name or a `file://` URL means: the first reading of it that is there.

        People and models write names as other programs show them: in quotes, with blanks escaped for a
        shell, with ~ for the home folder, from the project's folder, with a space that is another space.
        If no reading is there, the plainest one is returned, for reading it to say so.

        Raises:
            InputError: It is no path of this machine.
        """
        plainest = next(readings(name, local=self.local, windows=os.name == "nt", wsl=_in_wsl()))
        _check_name(plainest)
        for reading in readings(name, local=self.local, windows=os.name == "nt", wsl=_in_wsl()):
            if reading.startswith(("\\\\", "//")) or not _is_seen(reading) or not reading.strip():
                continue
            for path in self._from_folders(_at_home(reading) if self.local else Path(reading)):
                if self.is_there(path):
                    return path
                if (alike := self._alike(path)) is not None:
                    return alike
        if os.name != "nt" and (drive := _DRIVE.match(plainest)):
            where = one_line(f"/mnt/{drive[1].lower()}/{drive[2].replace(chr(92), '/')}", 200)
            raise InputError(
                f"{one_line(plainest, 200)} is a path of Windows; this server runs on {platform.system()}.",
                advice=f"Under WSL that is {where}; in a container, give the path where it is mounted.",
            )
        return _at_home(plainest) if self.local else Path(plainest)

    def read(self, path: Path, most: int) -> bytes:
        """Return up to `most` bytes of a regular file.

        Raises:
            InputError: It is outside the folders, holds secrets by its name, is not there, cannot be
                read, or is no regular file.
        """
        with _open(path, self.judge(path), self) as file:
            opened = os.fstat(file.fileno())
            if not stat.S_ISREG(opened.st_mode):
                raise InputError(f"{_show(path)} is not a regular file.")
            if not _WALKS and not self._leads_to(_own_path(file.fileno())):
                raise InputError(f"{_show(path)} changed while it was being opened.")
            return file.read(most)

    def judge(self, path: Path) -> Path:
        """Return what a path leads to, if that may be read.

        Raises:
            InputError: It is outside the folders, or holds secrets by its name.
        """
        resolved = self._resolve(path)
        around = [folder for folder in self.folders if resolved.is_relative_to(folder)]
        named = any(is_secret(folder) for folder in around)
        if not named and (
            is_secret(PurePath(path.name)) or any(is_secret(resolved.relative_to(f)) for f in around)
        ):
            raise InputError(
                f"{_show(path)} may hold secrets, going by its name, and is not sent to a model.",
                advice=f"Whoever set this server up can allow it by name: --allow-dir {_show(resolved)}",
            )
        return resolved

    def _leads_to(self, own: Path) -> bool:
        """Whether what is open at this path of its own may be read, and no link is on the way there."""
        with suppress(InputError):
            return self.judge(own) == own
        return False

    def _resolve(self, path: Path) -> Path:
        try:
            resolved = _normalise(path.resolve())
        except (OSError, RuntimeError, ValueError):
            raise InputError(f"{_show(path)} cannot be resolved.") from None
        if any(resolved.is_relative_to(folder) for folder in _NEVER):
            raise InputError(f"{_show(path)} is not a file to read.")
        if not self.holds(resolved):
            shown = ", ".join(map(str, self.folders)) or _no_folder(self)
            where = "leads" if self.holds(path) else "is"
            raise InputError(
                f"{_show(path)} {where} outside the folders this server may read ({shown}).",
                advice="Whoever set it up can allow more with --allow-dir or RUNAPI_MCP_ALLOW_DIR"
                + ("." if self.folders else ": runapi-mcp --allow-dir ~/projects install HOST writes it."),
            )
        return resolved

    def _from_folders(self, path: Path) -> Iterator[Path]:
        """Yield a path; a relative one from each of the folders too: a host may start a server anywhere."""
        yield path
        if not path.is_absolute():
            yield from (folder / path for folder in self.folders)

    def is_there(self, path: Path) -> bool:
        """Whether something is at a path that may be read; of other places nothing is told."""
        try:
            return os.path.lexists(self._resolve(path))
        except (InputError, OSError, ValueError):
            return False

    def _alike(self, path: Path) -> Path | None:
        """Return the one path that differs from this in nothing that is seen, as in its kind of space.

        macOS writes accents apart from their letters, of folders too, and odd blanks in screenshots' names.
        """
        if self.is_there(path):
            return path
        if path == path.parent or (above := self._alike(path.parent)) is None:
            return None
        # A screenshot's name has U+202F before AM or PM, in Czech U+00A0 before the time (cline/cline#10691,
        # anthropics/claude-code#59381); hosts and models hand it on with a plain space.
        same = [name for name in self._siblings(above / path.name) if _plain(name) == _plain(path.name)]
        return above / same[0] if len(same) == 1 else None

    def _siblings(self, path: Path) -> list[str]:
        """Return the names in a path's folder, if that may be read."""
        if not path.name or not self.is_there(path.parent):
            return []
        with suppress(OSError), os.scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _MOST_SIBLINGS)]
        return []

    def suggest(self, path: Path) -> str:
        """Return a sentence that names the file that may have been meant; empty if none is like it."""
        close = difflib.get_close_matches(path.name, self._siblings(path), n=1, cutoff=0.75)
        return f"Did you mean {one_line(close[0], 100)}?" if close else ""


def readings(name: str, *, local: bool, windows: bool, wsl: bool) -> Iterator[str]:
    """Yield what a name may mean as a path, the plainest reading first.

    Args:
        name: What was written.
        local: Whether it was written by somebody at this machine.
        windows: Whether this is Windows.
        wsl: Whether this is Linux inside Windows.

    Raises:
        InputError: It is a broken `file://` URL, or one of another machine.
    """
    bare = name.strip(" \t")
    if len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1]:
        bare = bare[1:-1].strip(" \t")
    url = bare[:5].lower() == "file:"
    plain = _path_of(bare, windows=windows) if url else bare
    yield plain
    yield name
    if bare.startswith("@"):  # as hosts mark a file in a prompt
        yield bare[1:]
    # Gemini CLI writes blanks so in a file that is named by @ (google-gemini/gemini-cli#241).
    if not windows and "\\" in plain:  # as shells and terminals escape blanks
        yield re.sub(r"\\(.)", r"\1", plain)
        yield plain.replace("\\", "/")  # as a host on Windows writes a path within the project
    if "%" in plain and not url:  # out of a link
        yield unquote(plain)
    if windows and (mounted := _MOUNTED.fullmatch(plain)):
        yield f"{mounted[1].upper()}:/{mounted[2]}"
    if wsl and (drive := _DRIVE.fullmatch(plain)):
        yield f"/mnt/{drive[1].lower()}/{drive[2].replace(chr(92), '/')}"
    if wsl and (inside := _DISTRIBUTION.fullmatch(plain)):
        yield inside[1].replace("\\", "/")


def _check_name(name: str) -> None:
    """See that a name can be one of this machine's.

    Raises:
        InputError: It cannot.
    """
    # To open one, Windows logs in at whatever machine it names, which then has a hash of the password.
    if name.startswith(("\\\\", "//")) and not _DISTRIBUTION.fullmatch(name):
        raise InputError("a network path is not taken.", advice="Copy the file into an allowed folder.")
    if not name.strip():
        raise InputError("empty.", advice="Give a path, or a file://, https:// or data: URL.")
    if not _is_seen(name):
        raise InputError("this path holds a line break or another character that is not seen.")


def _is_seen(name: str) -> bool:
    """Whether all of a name is seen; blanks of every kind are, macOS writes some in names of screenshots."""
    return all(c.isprintable() or unicodedata.category(c) == "Zs" or c in _UNSEEN_ALLOWED for c in name)


def _normalise(path: Path) -> Path:
    """Return a path so that it can be compared: macOS opens a name however its accents are written."""
    return Path(unicodedata.normalize("NFC", str(path))) if sys.platform == "darwin" else path


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


def _in_wsl() -> bool:
    return "microsoft" in platform.release().lower()


def _path_of(url: str, *, windows: bool) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InputError("this is not a URL.", advice="Write file:///PATH, or the path alone.") from None
    if parts.netloc.lower() not in ("", "localhost"):
        raise InputError(
            "a file:// URL of another machine is not taken.", advice="Write file:///PATH, with three slashes."
        )
    path = unquote(parts.path)
    return path.lstrip("/") if windows else path


def resolve_folders(folders: Iterable[str]) -> tuple[str, ...]:
    """Return folders that may be read as they are now: ~ replaced, relative ones from here, links followed.

    Done once, when a server starts: a link that is put in the place of one later leads nowhere.
    """
    return tuple(str(_normalise(_at_home(folder).resolve())) for folder in folders)


def reach(allow_dirs: Sequence[str], *, working_dir: bool) -> Reach:
    """Return what may be read: the working directory, and the folders allowed by setting.

    A working directory that is the user's home or holds it, the top of the file system above all, is
    none: hosts start servers there when they know of no project, and everything of the user's is under
    it. Nor is any where callers come over the network (`working_dir` is false).
    """
    here = _here() if working_dir else None
    own = () if here is None or _holds_home(here) else (here,)
    return Reach((*own, *map(Path, allow_dirs)), working_dir)


def _no_folder(reach: Reach) -> str:
    return (
        f"there is none: it was started in {_here()}, which is no project" if reach.local else "there is none"
    )


def _holds_home(folder: Path) -> bool:
    if folder == Path(folder.anchor):
        return True
    with suppress(OSError, RuntimeError):  # the user may have none
        return Path.home().resolve().is_relative_to(folder)
    return False


def _at_home(folder: str) -> Path:
    """Return a folder with its ~ replaced; one of a user that is not there stays, and holds nothing."""
    with suppress(RuntimeError):
        return Path(folder).expanduser()
    return Path(folder)


def _here() -> Path | None:
    with suppress(OSError):  # it may be gone
        return _normalise(Path.cwd().resolve())
    return None


def _open(path: Path, resolved: Path, reach: Reach) -> BinaryIO:
    try:
        # One step: a directory can be opened, but not as a file, and is closed again.
        return open(resolved, "rb", opener=_open_without_links)
    except FileNotFoundError:
        start = "" if path.is_absolute() else f"A relative path starts at {_here()}; give the whole one."
        raise InputError(f"{_show(path)} does not exist.", advice=reach.suggest(path) or start) from None
    except OSError as error:
        raise InputError(f"{_show(path)} cannot be read ({error.strerror}).") from None


def _open_without_links(path: str, flags: int) -> int:
    """Open a path none of whose parts may be a link; return the descriptor.

    Each part is opened in the folder whose descriptor the part before gave, so that what was opened
    is what the path said, whatever is swapped meanwhile. O_NOFOLLOW on the whole path would see to
    its last part only.
    """
    flags |= _NO_LINK | _NO_WAIT
    if not _WALKS:
        return os.open(path, flags)
    top, *between, last = Path(path).parts
    folder = os.open(top, _FOLDER)
    try:
        for name in between:
            below = os.open(name, _FOLDER | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(last, flags, dir_fd=folder)
    finally:
        os.close(folder)


def _own_path(descriptor: int) -> Path:
    """Return where an open file is, by itself: a name may lead elsewhere by now, and back.

    Raises:
        InputError: The system does not say.
    """
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        told = ctypes.create_unicode_buffer(_MOST_PATH)
        if not 0 < ctypes.windll.kernel32.GetFinalPathNameByHandleW(handle, told, _MOST_PATH, 0) < _MOST_PATH:
            raise InputError("This file cannot be read: its disk does not say where it is.")
        # Without what Path.resolve leaves out as well.
        return Path(told.value.replace("\\\\?\\UNC\\", "\\\\", 1).removeprefix("\\\\?\\"))
    return Path(f"/proc/self/fd/{descriptor}").readlink()  # asked by tests only


def _show(path: Path) -> str:
    return one_line(str(path), 200)

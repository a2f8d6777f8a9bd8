"""Names as people write them, folders, patterns and diffs; secrets; a repository that means harm."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path, PurePath

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import became

from runapi_mcp.errors import InputError
from runapi_mcp.files import attach, folders, git
from runapi_mcp.files.paths import Reach, is_secret, readings, resolve_folders
from runapi_mcp.settings import Settings
from runapi_mcp.wire.types import Text


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


async def text_of(name: str, settings: Settings | None = None) -> str:
    (part,) = (await attach([name], settings or Settings())).parts
    assert isinstance(part, Text)
    return part.text


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("notes.txt", "~/notes/notes.txt"),
        ("notes.txt", " notes.txt "),
        ("notes.txt", '"notes.txt"'),
        ("notes.txt", "'notes.txt'"),
        ("notes.txt", "`notes.txt`"),
        ("notes.txt", "<notes.txt>"),
        ("notes.txt", "@notes.txt"),
        ("my notes.txt", "my\\ notes.txt"),
        ("my notes.txt", "my%20notes.txt"),
        ("notes.txt", ".\\notes.txt"),
        ("100%.txt", "100%.txt"),
        ("Notes: draft.txt", "Notes: draft.txt"),
        ("data: 2024.csv", "data: 2024.csv"),
        ("git: how.txt", "git: how.txt"),
        ("[id].tsx", "[id].tsx"),
        ("'quoted'", "'quoted'"),
        ("Screenshot at 9.41\u202fAM.png", "Screenshot at 9.41 AM.png"),
        ("Screenshot at 9.41\u202fAM.png", "Screenshot at 9.41\u202fAM.png"),
        ("re\u0301sume\u0301.txt", "r\u00e9sum\u00e9.txt"),
        ("C:\\odd.txt", "C:\\odd.txt"),
    ],
)
async def test_a_name_as_people_write_it_is_the_file(here: Path, file: str, name: str) -> None:
    (here / file).write_text("heliotrope")
    assert "heliotrope" in await text_of(name)


async def test_accents_of_a_folder_may_be_written_in_another_way(here: Path) -> None:
    (here / "Re\u0301ports" / "2026\u00a0Q1").mkdir(parents=True)
    (here / "Re\u0301ports" / "2026\u00a0Q1" / "a.txt").write_text("heliotrope")
    assert "heliotrope" in await text_of("R\u00e9ports/2026 Q1/a.txt")


async def test_a_relative_name_is_looked_for_in_every_allowed_folder(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "a.txt").write_text("heliotrope")
    monkeypatch.chdir("/")
    assert "heliotrope" in await text_of("a.txt", Settings(allow_dirs=(str(here),)))


async def test_over_the_network_the_home_and_whole_folders_are_not_read(here: Path) -> None:
    (here / "a.txt").write_text("heliotrope")
    settings = Settings(allow_dirs=(str(here),), working_dir_files=False)
    assert "heliotrope" in await text_of(str(here / "a.txt"), settings)
    for name in ("~/notes/a.txt", str(here), f"{here}/*.txt", "git:HEAD~1..HEAD"):
        with pytest.raises(InputError) as refused:
            await attach([name], settings)
        assert "heliotrope" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "windows", "wsl", "reading"),
    [
        ("C:\\Users\\me\\a.txt", False, True, "/mnt/c/Users/me/a.txt"),
        ("file:///c%3A/Users/me/a.txt", False, True, "/mnt/c/Users/me/a.txt"),
        ("\\\\wsl.localhost\\Ubuntu\\home\\me\\a.txt", False, True, "/home/me/a.txt"),
        ("/c/Users/me/a.txt", True, False, "C:/Users/me/a.txt"),
        ("/mnt/c/Users/me/a.txt", True, False, "C:/Users/me/a.txt"),
        ("file:///C:/Users/me/a.txt", True, False, "C:/Users/me/a.txt"),
        ('"C:\\Program Files\\a.txt"', True, False, "C:\\Program Files\\a.txt"),
    ],
)
def test_a_path_of_the_other_side_of_windows_is_read_as_this_side_names_it(
    name: str, windows: bool, wsl: bool, reading: str
) -> None:
    assert reading in list(readings(name, local=True, windows=windows, wsl=wsl))


async def test_a_drive_path_is_told_where_this_server_runs(here: Path) -> None:
    with pytest.raises(InputError) as refused:
        await attach(["C:\\Users\\me\\a.txt"], Settings())
    assert "a path of Windows; this server runs on" in str(refused.value)
    assert "/mnt/c/Users/me/a.txt" in str(refused.value)


async def test_a_server_started_nowhere_says_how_to_give_it_folders(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    with pytest.raises(InputError) as refused:
        await attach([str(here / "a.txt")], Settings())
    assert "it was started in /, which is no project" in str(refused.value)
    assert "--allow-dir ~/projects install HOST" in str(refused.value)


async def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(here: Path) -> None:
    (here / "architecture.md").write_text("x")
    with pytest.raises(InputError, match=r"Did you mean architecture\.md\?"):
        await attach(["architecure.md"], Settings())


SECRETS = (
    ".env", ".ENV", ".env.production", "prod.env", ".envrc", "id_rsa", "id_ed25519", "server.pem", "tls.key",
    ".netrc", ".npmrc", ".pypirc", ".git-credentials", "credentials", "credentials.json", "a.kdbx",
    "terraform.tfstate", "prod.tfvars", ".aws_credentials", "gcp-service-account.json", "ann_accessKeys.csv",
    ".ssh/config", ".aws/config", ".git/config", ".kube/config",
    ".docker/config.json", ".gnupg/x", "deep/in/.ssh/known_hosts", ".env.", ".env ", ".env::$DATA",
    ".env~", "#.env#", ".netrc.swp", ".npmrc.bak", ".git-credentials.lock", "id_rsa.old",
    "google-credentials.json", ".pgpass.orig~", "auth.json.20260101",
    ".config/gh/hosts.yml", ".config/hub", ".m2/settings.xml", ".m2/settings-security.xml", ".fly/config.yml",
    ".config/gh/hosts.yml.bak", "rclone.conf", ".databrickscfg", "office.ovpn", "local.settings.json",
    "client_secret_1.json", "service-account-prod.json", "secrets.yaml",
)  # fmt: skip
OPEN = (
    ".env.example", ".env.sample", "id_rsa.pub", "environment.py", ".github/workflows/ci.yml", "keys.py",
    "credentials.py", "README.md", "notes.bak", "a~", "#", ".lock",
    "ansible/hosts.yml", "my-service-account/package.json", "settings.xml", "config.yml", "hub",
    ".gitignore", "token.txt", "secrets.py", "env", "monkey.py",
)  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
async def test_a_file_that_holds_secrets_by_its_name_is_not_sent(here: Path, name: str) -> None:
    assert is_secret(PurePath(name))
    (here / name).parent.mkdir(parents=True, exist_ok=True)
    (here / name).write_text("heliotrope")
    (here / "link.txt").symlink_to(here / name)
    for asked in (name, "link.txt"):
        with pytest.raises(InputError) as refused:
            await attach([str(here / asked)], Settings())
        assert "may hold secrets" in str(refused.value)
    (here / "plain.txt").write_text("lilac")
    attached = await attach(["."], Settings())
    assert "lilac" in str(attached.parts)
    assert "heliotrope" not in str(attached.parts)


@pytest.mark.parametrize("name", OPEN)
def test_what_is_only_named_alike_is_sent(name: str) -> None:
    assert not is_secret(PurePath(name))


async def test_a_secret_that_is_allowed_by_name_is_read(here: Path, tmp_path: Path) -> None:
    (here / ".env").write_text("heliotrope")
    assert "heliotrope" in await text_of(".env", Settings(allow_dirs=(str(here / ".env"),)))
    keys = tmp_path / ".ssh"
    keys.mkdir()
    (keys / "id_rsa").write_text("lilac")
    assert "lilac" in await text_of(str(keys / "id_rsa"), Settings(allow_dirs=(str(keys),)))


async def test_a_link_put_in_the_place_of_an_allowed_folder_leads_nowhere(here: Path, tmp_path: Path) -> None:
    (allowed := tmp_path / "allowed").mkdir()
    (other := tmp_path / "other").mkdir()
    (other / "a.txt").write_text("heliotrope")
    settings = Settings(allow_dirs=resolve_folders([str(allowed)]))
    allowed.rmdir()
    allowed.symlink_to(other)
    with pytest.raises(InputError, match="outside the folders"):
        await attach([str(allowed / "a.txt")], settings)


def fill(here: Path) -> None:
    for name, content in {
        "src/b.py": b"b = 2\n",
        "src/a.py": b"a = 1\n",
        "src/deep/er/c.py": b"c = 3\n",
        "src/page.ts": b"let d;\n",
        "src/logo.png": b"\x89PNG\r\n\x1a\n\0\0",
        "src/.env": b"KEY=heliotrope\n",
        "build/out.py": b"ignored = 1\n",
        ".gitignore": b"build/\n*.log\n!keep.log\n",
        "x.log": b"ignored\n",
        "keep.log": b"kept\n",
        "src/.gitignore": b"page.ts\n",
    }.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content)


@pytest.mark.parametrize("in_repository", [True, False])
async def test_a_folder_is_its_text_files_in_order_and_says_what_is_left_out(
    here: Path, in_repository: bool
) -> None:
    fill(here)
    if in_repository:
        run_git(here, "init", "-q")
    attached = await attach(["."], Settings())
    (part,) = attached.parts
    assert isinstance(part, Text)
    places = [part.text.index(f"File {name}:") for name in ("src/a.py", "src/b.py", "src/deep/er/c.py")]
    assert places == sorted(places)
    assert "kept" in part.text
    for absent in ("ignored", "heliotrope", "let d", "PNG"):
        assert absent not in part.text
    (plan,) = attached.notices
    assert plan.startswith(".: 6 files, about ")
    assert "1 that may hold secrets (src/.env)" in plan
    assert "1 not UTF-8 text (src/logo.png)" in plan
    assert await attach(["."], Settings()) == attached


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("src/**/*.py", {"a.py", "b.py", "deep/er/c.py"}),
        ("src/*.py", {"a.py", "b.py"}),
        ("**/*.{py,log}", {"src/a.py", "src/b.py", "src/deep/er/c.py", "keep.log"}),
        ("src/[a].py", {"a.py"}),
        ("~/notes/src/deep/**", {"er/c.py"}),
        ("src/d*p/**/c.py", {"deep/er/c.py"}),
    ],
)
async def test_a_pattern_is_the_files_that_it_matches(here: Path, pattern: str, names: set[str]) -> None:
    fill(here)
    text = await text_of(pattern)
    found = {line.removeprefix("File ")[:-1] for line in text.splitlines() if line.startswith("File ")}
    assert {PurePath(name).name for name in found} == {PurePath(name).name for name in names}


async def test_a_pattern_that_matches_nothing_and_a_folder_of_nothing_are_told(here: Path) -> None:
    fill(here)
    (here / "empty").mkdir()
    for name, said in (("src/*.rs", "matches no text file"), ("empty", "holds no text file")):
        with pytest.raises(InputError, match=said):
            await attach([name], Settings())


async def test_a_folder_of_images_is_told_how_they_are_given(here: Path) -> None:
    (here / "receipts").mkdir()
    (here / "receipts" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    for name in ("receipts", "receipts/*.png"):
        with pytest.raises(InputError, match=r"no text file.*Images, PDF, .* each by its own path"):
            await attach([name], Settings())


async def test_a_folder_that_is_too_much_is_refused_with_its_largest_files(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST_BYTES", 10_000)
    fill(here)
    (here / "src" / "huge.py").write_text("x" * 20_000)
    with pytest.raises(InputError) as refused:
        await attach(["src"], Settings())
    assert "about 5,0" in str(refused.value)
    assert "The largest: huge.py" in str(refused.value)


async def test_without_git_a_folder_is_listed_all_the_same(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(here)
    (here / "node_modules").mkdir()
    (here / "node_modules" / "m.js").write_text("module")
    monkeypatch.setenv("PATH", str(here))
    attached = await attach(["."], Settings())
    assert "a = 1" in str(attached.parts)
    assert "module" not in str(attached.parts)
    assert "Without git, what .gitignore names is not left out." in attached.notices[0]


@given(
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "*", "**", "a*", "?"]), min_size=1, max_size=5),
)
def test_stars_match_as_pathlib_says(parts: list[str], pattern: list[str]) -> None:
    def slow(parts: list[str], pattern: list[str]) -> bool:
        if not pattern:
            return not parts
        if pattern[0] == "**":
            return slow(parts, pattern[1:]) or (bool(parts) and slow(parts[1:], pattern))
        return bool(parts) and PurePath(parts[0]).match(pattern[0]) and slow(parts[1:], pattern[1:])

    assert folders._matches(parts, pattern) == slow(parts, pattern)


def test_a_pattern_of_many_stars_is_worked_off_at_once() -> None:
    assert not folders._matches(["a" * 50] * 60, ["**", "*a*a*a*a*a*b"] * 20)


def run_git(folder: Path, *words: str) -> str:
    who = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b.c",
    }
    return subprocess.run(
        ["git", *words], cwd=folder, env=os.environ | who, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(here: Path) -> Path:
    run_git(here, "init", "-q", "-b", "main")
    (here / "a.txt").write_text("one\n")
    (here / ".env").write_text("KEY=old-heliotrope\n")
    run_git(here, "add", "-f", ".")
    run_git(here, "commit", "-qm", "one")
    (here / "a.txt").write_text("two\n")
    (here / ".env").write_text("KEY=new-heliotrope\n")
    run_git(here, "commit", "-qam", "two")
    return here


@pytest.mark.parametrize("refs", ["HEAD~1..HEAD", "HEAD~1..", "HEAD~1...HEAD", "main~1..main"])
async def test_a_diff_between_commits_is_attached_without_secrets(repository: Path, refs: str) -> None:
    attached = await attach([f"git:{refs}"], Settings())
    assert "-one\n+two" in str(attached.parts[0]).replace("\\n", "\n")
    assert "heliotrope" not in str(attached.parts)
    assert attached.notices[0].endswith("Left out, as it may hold secrets: .env.")


@pytest.mark.parametrize(
    ("refs", "said"),
    [
        ("--output=pwned..HEAD", "is no name of a commit"),
        ("HEAD..--ext-diff", "is no name of a commit"),
        ("HEAD:a.txt..HEAD", "is no name of a commit"),
        ("nosuch..HEAD", "git knows no commit nosuch"),
        ("HEAD..HEAD", "changes nothing"),
    ],
)
async def test_refs_that_are_none_are_refused(repository: Path, refs: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        await attach([f"git:{refs}"], Settings())
    assert not (repository / "pwned").exists()


@pytest.mark.parametrize("name", ["git:HEAD", "git:", "git:diff", "git:main"])
async def test_a_diff_of_what_is_not_committed_is_told_how_to_be_had(repository: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"names no two commits.*attach the files that changed"):
        await attach([name], Settings())
    (repository / name).write_text("no diff")
    assert "no diff" in str((await attach([name], Settings())).parts)


async def test_a_hostile_repository_runs_nothing_and_learns_no_key(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAPI_TOKEN", "canary-key")
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\nenv > {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    for name in (
        *("core.fsmonitor", "diff.external", "diff.evil.command", "diff.evil.textconv", "filter.evil.clean"),
        *("filter.evil.smudge", "filter.evil.process", "core.pager", "core.sshCommand", "core.editor"),
        *("core.gitProxy", "credential.helper", "gpg.program", "core.askPass", "interactive.diffFilter"),
        *(
            "pager.diff-tree",
            "pager.ls-files",
            "alias.diff-tree",
            "alias.ls-files",
            "remote.origin.uploadpack",
        ),
    ):
        run_git(repository, "config", name, str(trap))
    run_git(repository, "config", "core.hooksPath", str(tmp_path))
    (repository / ".gitattributes").write_text("* diff=evil filter=evil\n")
    (repository / ".git" / "info" / "attributes").write_text("* diff=evil filter=evil\n")
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (repository / ".git" / "hooks" / hook).write_text(trap.read_text())
        (repository / ".git" / "hooks" / hook).chmod(0o755)
    (repository / "git").write_text(trap.read_text())
    (repository / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{repository}{os.pathsep}.{os.pathsep}{os.environ['PATH']}")
    assert "+two" in str((await attach(["git:HEAD~1..HEAD"], Settings())).parts)
    assert "two" in str((await attach(["."], Settings())).parts)
    assert not (tmp_path / "sprung").exists()


def test_what_git_is_given_holds_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAPI_TOKEN", "canary-key")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    assert not {"RUNAPI_TOKEN", "GIT_EXTERNAL_DIFF"} & git._environment(lone=False).keys()


@pytest.mark.parametrize("how", ["a file that points away", "alternates", "a link", "common"])
async def test_a_repository_that_is_kept_elsewhere_is_not_read(
    repository: Path, tmp_path: Path, how: str
) -> None:
    away = tmp_path / "away.git"
    inside = repository / ".git"
    match how:
        case "a file that points away":
            inside.rename(away)
            inside.write_text(f"gitdir: {away}\n")
        case "alternates":
            (inside / "objects" / "info" / "alternates").write_text(f"{away}\n")
        case "a link":
            (inside / "objects").rename(away)
            (inside / "objects").symlink_to(away)
        case _:
            (inside / "commondir").write_text(f"{away}\n")
    with pytest.raises(InputError, match="is kept outside the folders"):
        await attach(["git:HEAD~1..HEAD"], Settings())


async def test_a_worktree_inside_the_repository_can_be_compared(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_git(repository, "worktree", "add", "-q", "trees/one", "HEAD")
    monkeypatch.chdir(repository / "trees" / "one")
    assert "+two" in await text_of("git:HEAD~1..HEAD", Settings(allow_dirs=(str(repository),)))


def test_a_git_that_hangs_or_never_stops_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_SECONDS", 0.2)
    assert git._run(["sleep", "60"], tmp_path, 100) is None
    assert git._run(["yes"], tmp_path, 100) is None


def is_gone(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    "script",
    [
        "sleep 60 & echo $! > child; exit 0",
        "sleep 60 & echo $! > child; exec >&-; sleep 60",
    ],
)
async def test_what_a_git_started_is_not_waited_for_and_is_ended_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(git, "_SECONDS", 0.5)
    began = time.monotonic()
    assert git._run(["sh", "-c", script], tmp_path, 100) is None
    assert time.monotonic() - began < 30  # of 60
    child = (tmp_path / "child").read_text().strip()
    await became(lambda: is_gone(child))


@pytest.mark.skipif(sys.platform == "win32", reason="there files are no pipes")
@pytest.mark.parametrize("name", ["commondir", "HEAD", "config", "packed-refs", "objects/info/alternates"])
async def test_a_pipe_in_the_place_of_a_file_of_git_holds_nobody(
    repository: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(git, "_SECONDS", 0.5)
    place = repository / ".git" / name
    place.unlink(missing_ok=True)
    await anyio.run_process(["mkfifo", str(place)])
    with anyio.fail_after(60):
        with suppress(InputError):  # git may do without it
            await attach(["git:HEAD~1..HEAD"], Settings())


def test_a_reach_of_nothing_holds_nothing(tmp_path: Path) -> None:
    assert not Reach(()).holds(tmp_path)

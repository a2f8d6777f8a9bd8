"""Completion for shells: a script that knows the commands and their flags, and needs nothing to run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from runapi_mcp.errors import InputError

SHELLS: Final = ("bash", "zsh", "fish")
_PROGRAM: Final = "runapi-mcp"


@dataclass(frozen=True)
class Flag:
    """A flag.

    Attributes:
        names: What it is called, such as `--model` and `-m`.
        about: What it does.
        valued: Whether a value follows.
        words: The values there are, where only some are.
    """

    names: tuple[str, ...]
    about: str
    valued: bool
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command, or, without a name, what stands before one.

    Attributes:
        name: What is typed.
        about: What it does.
        flags: What it takes.
        words: What may follow beside flags.
        files: Whether files may follow.
    """

    name: str
    about: str
    flags: tuple[Flag, ...]
    words: tuple[str, ...] = ()
    files: bool = False


def script(shell: str, whole: Command, commands: Sequence[Command]) -> str:
    """Return a completion script.

    Args:
        shell: bash, zsh or fish.
        whole: What stands before a command.
        commands: The commands.

    Raises:
        InputError: The shell is another.
    """
    match shell:
        case "bash":
            return _bash(whole, commands)
        case "zsh":
            loaded = "autoload -U +X bashcompinit && bashcompinit"
            return f"#compdef {_PROGRAM}\n{loaded}\n{_bash(whole, commands)}"
        case "fish":
            return "\n".join(_fish(whole, commands)) + "\n"
    raise InputError(f"{shell[:20]!r} is no shell this knows.", advice=f"Shells: {', '.join(SHELLS)}.")


def _bash(whole: Command, commands: Sequence[Command]) -> str:
    """Return a function for bash; where it finds no word, bash offers files."""
    every = [whole, *commands]
    before = "|".join(name for flag in whole.flags for name in _valued(flag))
    names = " ".join(command.name for command in commands)
    lists = "\n".join(_list(command, names) for command in every)
    values = "\n".join(case for command in every for case in _values(command))
    return f"""_runapi_mcp() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="" flags words i
  if [ "$word" = "=" ]; then
    word=""
  elif [ "$before" = "=" ]; then
    before="${{COMP_WORDS[COMP_CWORD-2]}}"
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${{COMP_WORDS[i]}}" in
      {before})
        i=$((i + 1))
        if [ "${{COMP_WORDS[i]}}" = "=" ]; then i=$((i + 1)); fi ;;
      -*) ;;
      *) command="${{COMP_WORDS[i]}}"; break ;;
    esac
  done
  COMPREPLY=()
  case "$command $before" in
{values}
  esac
  case "$command" in
{lists}
    *) return ;;
  esac
  case "$word" in
    -*) words="$flags" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _runapi_mcp {_PROGRAM}
"""


def _list(command: Command, names: str) -> str:
    """Return the case that lists what may follow a command; where neither words nor files do, its flags."""
    flags = " ".join(name for flag in command.flags for name in flag.names)
    words = " ".join(command.words) if command.name else names
    return f'''    "{command.name}") flags="{flags}" words="{words or ("" if command.files else flags)}" ;;'''


def _values(command: Command) -> Iterator[str]:
    """Yield the cases that list the values of a command's flags; where none are listed, bash offers files."""
    for flag in command.flags:
        names = "|".join(f'"{command.name} {name}"' for name in _valued(flag))
        if names and flag.words:
            yield f'    {names}) COMPREPLY=($(compgen -W "{" ".join(flag.words)}" -- "$word")); return ;;'
        elif names:
            yield f"    {names}) return ;;"


def _valued(flag: Flag) -> tuple[str, ...]:
    return flag.names if flag.valued else ()


def _fish(whole: Command, commands: Sequence[Command]) -> Iterator[str]:
    names = " ".join(command.name for command in commands)
    before = f"complete -c {_PROGRAM} -n 'not __fish_seen_subcommand_from {names}'"
    for command in commands:
        yield f"{before} -f -a {command.name} -d {_fish_quoted(command.about)}"
    yield from (f"{before} {_fish_flag(flag)}" for flag in whole.flags)
    for command in commands:
        after = f"complete -c {_PROGRAM} -n '__fish_seen_subcommand_from {command.name}'"
        if not command.files:
            yield f"{after} -f"
        if command.words:
            yield f"{after} -a {_fish_quoted(' '.join(command.words))}"
        yield from (f"{after} {_fish_flag(flag)}" for flag in command.flags)


def _fish_flag(flag: Flag) -> str:
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    if flag.words:
        parts += ["-x", "-a", _fish_quoted(" ".join(flag.words))]
    elif flag.valued:
        parts += ["-r", "-F"]
    return " ".join([*parts, "-d", _fish_quoted(flag.about)])


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

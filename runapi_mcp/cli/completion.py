"""Completion for shells: a script that knows the commands and their flags, and needs nothing to run."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runapi_mcp.cli.key import DEEDS
from runapi_mcp.cli.parser import Parser, Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError

_HOST_COMMANDS: Final = ("install", "uninstall")
_FILE: Final = "FILE"


def add_completion(commands: Subparsers, whole: Parser) -> None:
    """Add completion, for the commands beside it and the flags before them."""
    completion = add_command(
        commands,
        "completion",
        "print a completion script for bash, zsh or fish",
        takes="bash|zsh|fish",
        examples=[
            'eval "$(runapi-mcp completion bash)"',
            "runapi-mcp completion fish > ~/.config/fish/completions/runapi-mcp.fish",
        ],
    )
    completion.add_argument("shell", metavar="bash|zsh|fish")
    completion.set_defaults(person=lambda given, around: _print(given, around, commands, whole))


def _print(given: argparse.Namespace, around: Surroundings, commands: Subparsers, whole: Parser) -> int:

    if given.shell not in SHELLS:
        given.parser.error(f"{given.shell[:20]!r} is no shell this knows. Shells: {', '.join(SHELLS)}.")
    words, values = _words(), _values()
    known = [_command(name, parser, words.get(name, ()), values) for name, parser in commands.choices.items()]
    around.say(script(given.shell, _command("", whole, (), values), known).rstrip("\n"))
    return 0


def _words() -> Mapping[str, Sequence[str]]:
    """Return the words that may follow a command."""
    from runapi_mcp.hosts import HOSTS

    return dict.fromkeys(_HOST_COMMANDS, tuple(HOSTS)) | {"completion": SHELLS, "key": DEEDS}


def _values() -> Mapping[str, Sequence[str]]:
    """Return the words that may follow a flag, where the flag itself does not list them."""
    from runapi_mcp.models import ALIASES, MODELS
    from runapi_mcp.settings import options
    from runapi_mcp.sim import SCENARIOS

    models = (*(model.id for model in MODELS), *ALIASES)
    listed = {option.flag: option.choices for option in options() if option.choices}
    return {**listed, "--model": models, "--search-model": models, "--scenario": tuple(SCENARIOS)}


def _command(
    name: str, parser: Parser, words: Sequence[str], values: Mapping[str, Sequence[str]]
) -> "Command":

    flags = tuple(_flag(action, values) for action in parser.flags)
    files = any(action.metavar == _FILE for action in parser.operands)
    return Command(name, parser.about, flags, tuple(words), files)


def _flag(action: argparse.Action, values: Mapping[str, Sequence[str]]) -> "Flag":

    long = next(name for name in action.option_strings if name.startswith("--"))
    about = (action.help or "").replace("%%", "%")
    words = tuple(map(str, action.choices or values.get(long, ())))
    return Flag(tuple(action.option_strings), about, action.nargs != 0, words if action.nargs != 0 else ())


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
    values = "\n".join(case for command in every for case in _value_words(command))
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


def _value_words(command: Command) -> Iterator[str]:
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

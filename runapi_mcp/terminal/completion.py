"""Completion for shells: a script that knows the commands and their flags, and needs nothing to run."""

from collections.abc import Mapping, Sequence
from typing import Final

from runapi_mcp.errors import InputError

SHELLS: Final = ("bash", "zsh", "fish")
_PROGRAM: Final = "runapi-mcp"


def script(shell: str, commands: Mapping[str, Sequence[str]], words: Mapping[str, Sequence[str]]) -> str:
    """Return a completion script.

    Args:
        shell: bash, zsh or fish.
        commands: The flags of each command.
        words: What may follow a command beside flags.

    Raises:
        InputError: The shell is another.
    """
    all_words = {name: (*words.get(name, ()), *flags) for name, flags in commands.items()}
    match shell:
        case "bash":
            return _bash(all_words)
        case "zsh":
            return f"#compdef {_PROGRAM}\nautoload -U +X bashcompinit && bashcompinit\n{_bash(all_words)}"
        case "fish":
            return _fish(all_words)
    raise InputError(f"{shell[:20]!r} is no shell this knows.", advice=f"Shells: {', '.join(SHELLS)}.")


def _bash(commands: Mapping[str, Sequence[str]]) -> str:
    cases = "\n".join(f'    {name}) words="{" ".join(words)}" ;;' for name, words in commands.items())
    return f"""_runapi_mcp() {{
  local words word="${{COMP_WORDS[COMP_CWORD]}}"
  case "${{COMP_WORDS[1]}}" in
{cases}
    *) words="{" ".join(commands)}" ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="{" ".join(commands)}"; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _runapi_mcp {_PROGRAM}
"""


def _fish(commands: Mapping[str, Sequence[str]]) -> str:
    lines = [f"complete -c {_PROGRAM} -n __fish_use_subcommand -f -a '{' '.join(commands)}'"]
    for name, words in commands.items():
        seen = f"'__fish_seen_subcommand_from {name}'"
        lines += [
            f"complete -c {_PROGRAM} -n {seen} "
            + (f"-l {word[2:]}" if word.startswith("--") else f"-f -a {word}")
            for word in words
        ]
    return "\n".join(lines) + "\n"

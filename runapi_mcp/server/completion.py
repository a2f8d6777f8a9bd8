"""Completion of prompt arguments, from what is known already: never a request to RunAPI."""

from collections.abc import Iterable, Sequence
from typing import Final

import mcp_types as types

from runapi_mcp.catalog import ALIASES, MODELS, find
from runapi_mcp.server.prompts import Prompt, find_prompt

MOST: Final = 100
"""Values of one completion, as the MCP spec allows."""


def completed(
    ref: types.PromptReference | types.ResourceTemplateReference,
    argument: types.CompletionArgument,
    live: Sequence[str],
) -> types.Completion:
    """Return what an argument of a prompt may become: what begins with its value, then what holds it.

    Handles are never completed: knowing one is what lets a caller read a generation.

    Args:
        ref: The prompt. For a resource there is nothing.
        argument: The argument's name, and its value so far.
        live: The model ids of the last live list, as far as one was fetched.

    Raises:
        MCPError: There is no such prompt.
    """
    prompt = find_prompt(ref.name) if isinstance(ref, types.PromptReference) else None
    values = _matching(argument.value, _values(prompt, argument.name, live) if prompt else ())
    return types.Completion(values=values[:MOST], total=len(values), has_more=len(values) > MOST)


def _values(prompt: Prompt, name: str, live: Sequence[str]) -> Iterable[str]:
    if name == "model":
        return _models(live, searches=prompt.searches)
    return next((argument.choices for argument in prompt.arguments if argument.name == name), ())


def _models(live: Sequence[str], *, searches: bool) -> list[str]:
    """Return model ids, the table's first, without those known to lack the search they would need."""
    # What the live list does not name no longer exists; without one the table must do.
    known = [model.id for model in MODELS if not live or model.id in live]
    every = dict.fromkeys((*known, *live, *(alias for alias in ALIASES if not live)))
    return [name for name in every if not searches or (row := find(name)) is None or row.search]


def _matching(typed: str, values: Iterable[str]) -> list[str]:
    wanted = typed.strip().lower()
    holding = [value for value in values if wanted in value.lower()]
    return sorted(holding, key=lambda value: not value.lower().startswith(wanted))

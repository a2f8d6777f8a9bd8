"""What errors and partial answers are called where a person reads them, not a model in a host."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runapi_mcp.errors import NotFound, RunapiError, UpstreamError

if TYPE_CHECKING:
    from runapi_mcp.generations import View

_ADVICE: Final[Mapping[str, str]] = {
    "key_missing": "Get one at https://runapi.ai, then: export RUNAPI_TOKEN=… "
    "(or keep it in this machine's keyring: runapi-mcp key set).",
    "keyring_failed": "Set RUNAPI_TOKEN instead.",
    "key_refused": "Set RUNAPI_TOKEN to a valid RunAPI key (https://runapi.ai).",
    "not_allowed": "Use a model this key may call (runapi-mcp models shows them), or a key that may call it.",
    "not_found": "runapi-mcp models shows the models that exist. If every model fails, RunAPI may serve "
    "them elsewhere: try --chat-path /v1.",
    "model_retired": "Name another with --model; runapi-mcp models shows those that exist.",
    "unreachable": "Check the network, the proxy settings and --base-url; nothing was sent.",
    "cut": "Ask again.",
    "failed_midway": "It is RunAPI's side; ask again.",
    "stalled": "Ask again, or raise --idle-timeout if long silences are normal for this model and effort.",
    "deadline": "Ask for less at once, or raise --deadline.",
    "budget_spent": "They count anew at 00:00 UTC; --max-tokens-per-day allows more.",
}
"""By the error's code, in place of what is said to models and to whoever set a host up."""


def told(error: RunapiError) -> str:
    """Return an error as a person is told of it."""
    usual = error.advice == error.default_advice
    advice = _ADVICE.get(error.code, error.advice) if usual else error.advice
    if isinstance(error, NotFound):
        advice = advice.replace("list_models", "runapi-mcp models")
    request_id = error.request_id if isinstance(error, UpstreamError) else None
    parts = [error.what, advice, f"(request id {request_id})" if request_id else ""]
    return " ".join(part for part in parts if part)


def partial(view: "View") -> str:
    """Return why an answer is not all there is, as a person is told of it; empty if it is."""
    finish = view.answer.finish
    match view.status:
        case "complete" | "running":
            return ""
        case "cancelled":
            return "Partial: it was interrupted."
        case _ if view.error is not None:
            return f"Partial: {told(view.error)}"
        case _ if finish is not None and finish.reason == "length":
            return "Partial: the output limit was reached (--max-output-tokens, or the model's own)."
        case _ if finish is not None and finish.reason == "filtered":
            return "Partial: a safety rule stopped the answer."
        case _:
            return "Partial: the model stopped with an error. Ask again."

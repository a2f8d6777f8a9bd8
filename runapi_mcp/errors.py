"""Every error this package raises on purpose, in one tree.

::

    RunapiError                   what happened, whose move it is, what to do
    ├── InputError                the caller's arguments; nothing was sent
    │   └── HandleError           a handle that is unknown, expired or somebody else's
    │       └── StoreDown         a handle that cannot be looked up now
    ├── SettingsError             the server's settings; nothing was sent
    │   └── KeyMissing            no RunAPI key is set
    │       └── KeyringFailed     the keyring that is to hold it cannot be asked, or does not answer
    ├── ConfigError               a host's config cannot be read or changed; it was not touched
    ├── Bug                       a fault of this server's own; its log has the details
    ├── BusyError                 this server has no room for another generation
    │   └── MemoryFull            what is asked would not fit into the caller's share of memory
    ├── TooManyCalls              as many of the caller's calls run as may
    ├── BudgetSpent               the principal has used up the tokens of the day
    ├── ConsentNeeded             the person at the host did not allow what it may cost; nothing was sent
    └── UpstreamError             RunAPI, or the way there
        ├── Unreachable           no connection; nothing was sent
        ├── Refused               an answer with a status instead of a stream
        │   ├── KeyRefused        401, or Google's 400 API_KEY_INVALID
        │   ├── NoCredit          402
        │   ├── NotAllowed        403
        │   ├── NotFound          404
        │   ├── ModelRefused      the model cannot do what the call asks of it
        │   │   └── ModelRetired  410, or `model_retired`
        │   ├── RateLimited       429; carries the wait it asked for
        │   ├── Unavailable       408, 5xx; may carry a wait
        │   └── RequestRefused    any other 3xx or 4xx
        ├── ProtocolError         bytes that are not the stream they should be
        ├── Blocked               a safety rule stopped the prompt or the answer
        ├── EmptyAnswer           a finished stream with nothing in it
        └── Interrupted           a stream that began and did not finish; text is kept
            ├── StreamCut         it ended, or its connection broke, without a finish
            ├── Stalled           nothing came for the idle time-out
            ├── DeadlinePassed    the total time ran out
            ├── ServerLeft        the server that ran it was stopped
            ├── AnswerTooLong     there was more of it than may be kept
            ├── LimitPassed       it went on past the cap that was sent with the call
            └── FailedMidway      RunAPI reported an error inside the stream

Foreign exceptions become these at one border (``upstream``), and these become MCP
results at another (``server.boundary``); between the two nothing is caught to be rephrased.
Messages are written here, by us. Text that came from upstream appears only through
:func:`~runapi_mcp.printable.quote_text`: cut short, on one line, and in quotation marks.
"""

from typing import ClassVar, Literal


class RunapiError(Exception):
    """An error with a stable `code` and a message that says what to do next.

    Args:
        what: What happened, as a sentence.
        advice: Whose move it is and what to do, as a sentence. Defaults to the class's own.
    """

    code: ClassVar[str] = "error"
    default_advice: ClassVar[str] = ""

    def __init__(self, what: str, *, advice: str | None = None) -> None:
        self.what = what
        self.advice = self.default_advice if advice is None else advice
        super().__init__(what, self.advice)

    def __str__(self) -> str:
        return f"{self.what} {self.advice}".strip()


class InputError(RunapiError):
    """The caller's arguments cannot be carried out; nothing was sent. The caller can fix it."""

    code = "bad_argument"


class HandleError(InputError):
    """A handle that names no generation the caller may see."""

    code = "unknown_handle"


class StoreDown(HandleError):
    """The store that servers share cannot be reached, and the handle is not of this server."""

    code = "store_down"
    default_advice = "Try again in a moment; a generation goes on meanwhile."


class SettingsError(RunapiError):
    """The server is set up wrongly; nothing was sent. Whoever set it up can fix it."""

    code = "bad_setting"


class KeyMissing(SettingsError):
    """No RunAPI key is set."""

    code = "key_missing"
    default_advice = (
        "Get a key at https://runapi.ai, set RUNAPI_TOKEN in the environment of this MCP server "
        "(the env block of the host's MCP configuration), and restart it."
    )


class KeyringFailed(KeyMissing):
    """The keyring that is to hold the key cannot be asked, is locked, or does not answer in time."""

    code = "keyring_failed"


class ConfigError(RunapiError):
    """A host's config that cannot be read or changed; it was not touched. Its owner can fix it."""

    code = "bad_config"


class Bug(RunapiError):
    """A fault of this server's own. Whoever runs it can report it."""

    code = "bug"
    default_advice = (
        "It is not caused by the arguments; whoever runs the server finds the details in its log "
        "(RUNAPI_MCP_LOG=info)."
    )


class BusyError(RunapiError):
    """As many generations run or wait as this server allows. Time fixes it."""

    code = "busy"
    default_advice = "Try again when some have finished, or raise RUNAPI_MCP_MAX_RUNNING."


class MemoryFull(BusyError):
    """What is asked does not fit into the memory that one caller is given. The caller can fix it."""

    code = "memory_full"
    default_advice = (
        "Fetch the answers that wait for you (get_result), stop what you do not need (cancel true), or send "
        "less; RUNAPI_MCP_MEMORY_BYTES sets the limit."
    )


class TooManyCalls(RunapiError):
    """As many of the caller's own calls run as this server allows each caller. Time fixes it."""

    code = "too_many_calls"
    default_advice = (
        "Wait for one to end, or stop one: get_result with its handle and cancel true. Whoever runs this "
        "server can allow more (RUNAPI_MCP_MAX_CALLS_PER_USER)."
    )


class BudgetSpent(RunapiError):
    """The principal has used up the tokens of the day. Time fixes it, or whoever runs the server."""

    code = "budget_spent"
    default_advice = (
        "The day begins anew at 00:00 UTC; until then ask for less. Whoever runs this server can allow more."
    )


class ConsentNeeded(RunapiError):
    """The person at the host did not allow what a call may cost, or is still to be asked; nothing was sent.

    Attributes:
        question: What they are still to be asked; "" where they were.
    """

    code = "consent_needed"
    default_advice = (
        "Ask for less: a smaller max_output_tokens, a max_cost, or a cheaper model. Whoever runs this server "
        "sets what is asked about."
    )

    def __init__(self, what: str, *, question: str = "") -> None:
        super().__init__(what)
        self.question = question


class UpstreamError(RunapiError):
    """RunAPI, or the way there, did not give an answer.

    Attributes:
        status: The HTTP status (or, inside a stream, the status its error named), if any.
        request_id: The `X-Client-Request-Id` we sent; RunAPI keeps it for support.
        retry_after: Seconds RunAPI asked callers to wait, if it said so.
        hopeless: Whether waiting that long will not help (a daily quota).
    """

    code = "upstream"

    def __init__(
        self,
        what: str,
        *,
        advice: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        hopeless: bool = False,
    ) -> None:
        super().__init__(what, advice=advice)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.hopeless = hopeless

    def __str__(self) -> str:
        tail = f" (request id {self.request_id})" if self.request_id else ""
        return super().__str__() + tail


class Unreachable(UpstreamError):
    """No connection could be made; nothing was sent, so trying again is safe."""

    code = "unreachable"
    default_advice = (
        "Check the network, the proxy settings and RUNAPI_BASE_URL, then try again; nothing was sent."
    )


class Refused(UpstreamError):
    """RunAPI answered with a status instead of a stream.

    Attributes:
        following: The model that answers when this process is asked again; empty if there is none.
    """

    code = "refused"
    following: str = ""


class KeyRefused(Refused):
    """The key is not one RunAPI knows."""

    code = "key_refused"
    default_advice = "Set RUNAPI_TOKEN to a valid RunAPI key (https://runapi.ai) and restart this MCP server."


class NoCredit(Refused):
    """The account has run out of credit."""

    code = "no_credit"
    default_advice = "Top up the RunAPI account (https://runapi.ai); the same call will then work."


class NotAllowed(Refused):
    """The key is known but may not do this."""

    code = "not_allowed"
    default_advice = (
        "Use a model this key may call (list_models shows them), or a key that may call this one."
    )


class NotFound(Refused):
    """The model or the path does not exist.

    Attributes:
        lacking: Which of the two it is by what RunAPI says; empty where that may mean either.
    """

    code = "not_found"
    default_advice = "list_models shows the models that exist."
    lacking: Literal["model", "route", ""] = ""


class ModelRefused(Refused):
    """The model lacks something that the call asks for; another may have it."""

    code = "model_refused"
    default_advice = "Name a model that can do this, or leave out what this one cannot do."


class ModelRetired(ModelRefused):
    """RunAPI served the model once, and does no more."""

    code = "model_retired"
    default_advice = "Name another model; list_models shows those that exist."


class RateLimited(Refused):
    """Too many calls for now."""

    code = "rate_limited"
    default_advice = "Wait before calling again; calling at once makes it worse."


class Unavailable(Refused):
    """RunAPI, or a proxy before it, cannot serve this now."""

    code = "unavailable"
    default_advice = "It is RunAPI's side; try again in a minute, or with another model."


class RequestRefused(Refused):
    """RunAPI would not take this request as it is.

    Attributes:
        said: What RunAPI says of it, as it came: untrusted, and not to be shown.
    """

    code = "request_refused"
    said: str = ""
    default_advice = "Change the arguments it names; the same call will be refused again."


class ProtocolError(UpstreamError):
    """What arrived is not the stream it should be."""

    code = "protocol"
    default_advice = (
        "It is not caused by the arguments. Check that RUNAPI_BASE_URL points at RunAPI and that no proxy "
        "rewrites its answers."
    )


class Blocked(UpstreamError):
    """A safety rule stopped the prompt, or the answer before it had any text."""

    code = "blocked"
    default_advice = "Rephrase the request; the same one will be blocked again."


class EmptyAnswer(UpstreamError):
    """The stream finished, with nothing in it to give."""

    code = "empty_answer"
    default_advice = "Ask again, or with another model."


class Interrupted(UpstreamError):
    """A stream that began and did not finish; what had arrived is kept.

    Attributes:
        partial: The answer text that had arrived.
    """

    code = "interrupted"

    def __init__(
        self,
        what: str,
        *,
        partial: str = "",
        advice: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what, advice=advice, status=status, request_id=request_id, retry_after=retry_after)
        self.partial = partial


class StreamCut(Interrupted):
    """The stream ended, or its connection broke, before the model said it was done."""

    code = "cut"
    default_advice = "It is not caused by the arguments; continue from the partial text or ask again."


class Stalled(Interrupted):
    """The connection stayed open and nothing came."""

    code = "stalled"
    default_advice = (
        "Ask again, or raise RUNAPI_MCP_IDLE_TIMEOUT if long silences are normal for this model and effort."
    )


class DeadlinePassed(Interrupted):
    """The generation ran longer than this server allows."""

    code = "deadline"
    default_advice = "Ask for less at once, or raise RUNAPI_MCP_DEADLINE."


class ServerLeft(Interrupted):
    """The server that ran it was stopped."""

    code = "server_left"
    default_advice = "Continue from the partial text or ask again, when it is back."


class AnswerTooLong(Interrupted):
    """There was more of an answer than this server keeps of one, or for one caller."""

    code = "answer_too_long"
    default_advice = "Ask for less at once; RUNAPI_MCP_MAX_ANSWER_BYTES sets the limit."


class LimitPassed(Interrupted):
    """The answer went on past the cap that was sent with the call, and was closed; its text is kept."""

    code = "limit_passed"
    default_advice = "Ask for less at once; whoever runs this server sets what a day may cost."


class FailedMidway(Interrupted):
    """RunAPI reported an error inside a stream it had begun."""

    code = "failed_midway"
    default_advice = "It is RunAPI's side; continue from the partial text or ask again."

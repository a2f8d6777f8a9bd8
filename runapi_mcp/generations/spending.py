"""What callers spend: counted as it ends, by day, caller and model, and held to limits before it begins.

A limit of a day (UTC), in tokens or in money, is a brake, not a wish. Before anything is sent, the worst
that it can come to is taken off the day: the question by an estimate, the answer by the cap that is then
always sent. What was not used is given back at the end. So no number of calls at once gets past a limit,
on however many servers; and what a server held that died stays taken, because nobody knows what became of
it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NoReturn, TypeAlias

from runapi_mcp import logs
from runapi_mcp.errors import BudgetSpent, InputError, LimitPassed, Refused, RunapiError, Unreachable
from runapi_mcp.generations.values import Job, Receipt
from runapi_mcp.logs import principal
from runapi_mcp.models import find
from runapi_mcp.settings import Settings
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import (
    Call,
    FunctionCall,
    Inline,
    JsonObject,
    JsonValue,
    Linked,
    Part,
    Returned,
    Text,
)
from runapi_mcp.wire.usage import MILLION, Price, all_tokens

MOST_OWNERS: Final = 10_000
"""Callers kept; whoever spent nothing for longest is forgotten first."""


def utc_today() -> date:
    """Return the day that counts now."""
    return datetime.now(UTC).date()


# ---------------------------------------------------------------- counted by the day

KEEP_DAYS: Final = 31
OTHERS: Final = "others"
_MOST_ROWS: Final = 20_000
"""Callers and models of one process that are told apart; what comes later is counted as the others'."""

Key: TypeAlias = tuple[str, str, str]
"""A day as ISO writes it, whose name, and the model."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one caller used of one model on one day; money in millionths of a currency's unit."""

    day: str
    principal: str
    model: str
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def costs(self) -> dict[str, float]:
        """What it cost, by currency, as far as that is known."""
        costs = {name.removeprefix("cost_"): n for name, n in self.counts.items() if name.startswith("cost_")}
        return {unit: n / MILLION for unit, n in sorted(costs.items())}

    def as_json(self) -> JsonObject:
        """Return it as programs read it; what was not counted is left out."""
        counts: JsonObject = {n: count for n, count in sorted(self.counts.items()) if n[:5] != "cost_"}
        money: JsonObject = {"cost": dict[str, JsonValue](self.costs)} if self.costs else {}
        return {"day": self.day, "principal": self.principal, "model": self.model} | counts | money


class DayBook:
    """Counts what is used of this process, for a month at most."""

    def __init__(self, today: Callable[[], date] = utc_today) -> None:
        self._today = today
        self._counts: dict[Key, Counter[str]] = {}

    def add(self, job: Job, receipt: Receipt) -> Row:
        """Note a generation that has ended, and return what it adds."""
        key = _key_of(self._today(), job, receipt)
        if key not in self._counts and len(self._counts) >= _MOST_ROWS:
            key = (key[0], OTHERS, OTHERS)
        added = Row(*key, _counts_of(job, receipt))
        self._counts.setdefault(key, Counter()).update(added.counts)
        oldest = (self._today() - timedelta(days=KEEP_DAYS)).isoformat()
        if next(iter(self._counts))[0] <= oldest:
            self._counts = {known: counts for known, counts in self._counts.items() if known[0] > oldest}
        return added

    async def rows(self, days: int, owner: str | None = None) -> list[Row]:
        """Return what was used in the last so many days, today included, the newest first; of one or all."""
        wanted = set(self.days(days))
        found = [Row(*key, Counter(counts)) for key, counts in self._counts.items() if key[0] in wanted]
        return sort_rows(found, owner)

    def days(self, number: int) -> list[str]:
        """Return the last so many days, today first."""
        return [(self._today() - timedelta(days=back)).isoformat() for back in range(min(number, KEEP_DAYS))]


def _key_of(today: date, job: Job, receipt: Receipt) -> Key:
    """Return under what a generation is counted.

    A model that nobody knows has no line of its own, nor has a key before RunAPI has taken it: both can be
    made up without an end.
    """
    model = receipt.model if find(receipt.model) else "other"
    made_up = job.owner.startswith("key:") and receipt.tokens is None
    return today.isoformat(), OTHERS if made_up else principal(job.owner), model


def _counts_of(job: Job, receipt: Receipt) -> Counter[str]:
    """Return what a generation adds."""
    counts = Counter({"generations": 1, receipt.status: 1, "requests": receipt.requests})
    counts["searches"] = int(job.call.search)
    if receipt.tokens is None:
        counts["uncounted"] = int(receipt.status != "failed")
    else:
        tokens = receipt.tokens
        for name in ("input", "output", "thinking", "cached"):
            counts[f"{name}_tokens"] = getattr(tokens, name) or 0
    if receipt.cost is not None:
        counts[f"cost_{receipt.currency}"] = round(receipt.cost * MILLION)
    elif receipt.status != "failed":
        counts["unpriced"] = 1
    return +counts  # without what is nothing


def sort_rows(rows: Iterable[Row], owner: str | None = None) -> list[Row]:
    """Return rows in order, the newest day first; of one principal or all."""
    wanted = None if owner is None else principal(owner)
    kept = [row for row in rows if wanted is None or row.principal == wanted]
    by_name = sorted(kept, key=lambda row: (row.principal, row.model))
    return sorted(by_name, key=lambda row: row.day, reverse=True)


# ---------------------------------------------------------------- held to limits

Kind: TypeAlias = Literal["tokens", "cost"]
"""What is counted: tokens, or millionths of a currency's unit."""
DayKey: TypeAlias = tuple[date, str, Kind]
"""A day, whose, and what of it is counted."""

_SHARE: Final = 20
"""Where a call sets no cap of its own, it gets this part of the day's limit, so that several run at once."""
_LEAST_CAP: Final = 2_048
_WORTH_ASKING: Final = 256
"""Tokens of an answer below which it is not worth asking for one."""
_MODELS_OWN: Final = 65_536
_TRIES: Final = 4
_CHARS_A_TOKEN: Final = 4
"""Of text that has come; few languages take more, so what is estimated so is seldom too much."""
_SLACK: Final = 1.1
_SLACK_TOKENS: Final = 64
_FILE_TOKENS: Final = 2_600
_FILE_BYTES_A_TOKEN: Final = 16
_LINK_TOKENS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken off a day's limit."""

    day: date
    owner: str
    kind: Kind
    amount: int


class DayCounts:
    """Counts what principals have taken of a day, and never more than a limit: those of this process."""

    def __init__(self, today: Callable[[], date] = utc_today) -> None:
        self._today = today
        self._taken: dict[DayKey, int] = {}

    async def take(self, owner: str, kind: Kind, amount: int, limit: int) -> Taken | int:
        """Take so much of today; or return how much is taken already, where it does not fit.

        Raises:
            BudgetSpent: It cannot be known now.
        """
        day = self._today()
        taken = self._taken.get((day, owner, kind), 0)
        if taken + amount > limit:
            return taken
        return self.note(Taken(day, owner, kind, amount))

    def note(self, taken: Taken) -> Taken:
        """Count something as taken, whatever the limit is."""
        key = (taken.day, taken.owner, taken.kind)
        self._taken[key] = self._taken.get(key, 0) + taken.amount
        if len(self._taken) > 2 * MOST_OWNERS:
            self._forget()
        return taken

    def settle(self, taken: Taken, used: int) -> None:
        """Give back what was taken and not used; what was used beyond it counts, too."""
        key = (taken.day, taken.owner, taken.kind)
        if key in self._taken:
            self._taken[key] = max(self._taken[key] + used - taken.amount, 0)

    async def used(self, owner: str, kind: Kind) -> int:
        """Return what is taken of today."""
        return self.of(self._today(), owner, kind)

    def of(self, day: date, owner: str, kind: Kind) -> int:
        """Return what is taken of a day."""
        return self._taken.get((day, owner, kind), 0)

    def _forget(self) -> None:
        """Let other days go, and if that is not enough, whoever has taken least today."""
        today = self._today()
        own = sorted((n, key) for key, n in self._taken.items() if key[0] == today)
        self._taken = {key: n for n, key in own[-MOST_OWNERS:]}


class Allowance:
    """What one generation may spend: taken round by round, settled at its end.

    Attributes:
        cap: The tokens that the round under way may write, thoughts included; `None` for any number.
    """

    def __init__(self, limits: "Limits", owner: str, max_cost: float | None) -> None:
        self.cap: int | None = None
        self._limits = limits
        self._owner = owner
        self._max_cost = max_cost
        self._taken: list[Taken] = []
        self._most_cost = 0
        self._named_cap: int | None = None

    async def next_round(self, call: Call) -> Call:
        """Take what a round can come to at worst, and return its call with the cap that holds it to that.

        Raises:
            BudgetSpent: The day's limit leaves too little.
            InputError: The call's own limit does.
        """
        if not self._counts:
            return call
        if not self._taken:
            self._named_cap = call.max_output_tokens
        read = estimate_tokens(call)
        price = self._limits.price_of(call.model)
        cap = self._limits.default_cap(call, read, price)
        if self._max_cost is not None:
            cap = self._within_max_cost(call.model, read, cap, price)
        cap = await self._limits.take(self._owner, read, cap, call, price, self._taken)
        if price is not None:
            self._most_cost += price.most(read, cap)
        self.cap = cap
        return replace(call, max_output_tokens=cap)

    async def another_model(self, call: Call) -> Call:
        """Take the first round anew for another model than the one that RunAPI has refused, unbilled.

        Raises:
            BudgetSpent: The day's limit leaves too little for this one.
            InputError: The call's own limit does.
        """
        if not self._counts:
            return call
        named = self._named_cap
        self.free()
        return await self.next_round(replace(call, max_output_tokens=named))

    def check(self, fold: Fold) -> None:
        """See that a stream under way keeps to its cap: by its own counts, or else an estimate of its text.

        Raises:
            LimitPassed: It does not, and is to be closed.
        """
        if self.cap is None or fold.finished:
            return
        usage = fold.usage
        if usage is not None and usage.output is not None:
            past = usage.output + (usage.thinking or 0) > self.cap
        else:
            come = (fold.characters + fold.thought_characters) // _CHARS_A_TOKEN
            past = come > self.cap * _SLACK + _SLACK_TOKENS
        if past:
            raise LimitPassed(
                f"The answer went past the {self.cap:,} tokens that were asked for at most, and was closed."
            )

    def free(self) -> None:
        """Give back everything: nothing was sent, or nothing of it billed."""
        taken, self._taken = self._taken, []
        self._most_cost = 0
        for one in taken:
            self._limits.counts.settle(one, 0)

    def settle(self, receipt: Receipt, error: RunapiError | None) -> None:
        """Give back what was not used; where nobody knows what was, all of it stays taken."""
        taken, self._taken = self._taken, []
        free = receipt.requests == 0 or (receipt.rounds == 1 and isinstance(error, Refused | Unreachable))
        if not taken:
            return
        self._settle_kind("tokens", taken, 0 if free else all_tokens(receipt.tokens) or None)
        cost = None if receipt.cost is None else round(receipt.cost * MILLION)
        self._settle_kind("cost", taken, 0 if free else cost)
        tokens = receipt.tokens
        written = (tokens.output or 0) + (tokens.thinking or 0) if tokens else 0
        if self.cap is not None and receipt.rounds == 1 and written > self.cap:
            logs.warning("cap ignored by RunAPI", model=receipt.model, cap=self.cap, written=written)

    @property
    def _counts(self) -> bool:
        return self._limits.any or self._max_cost is not None

    def _settle_kind(self, kind: Kind, taken: list[Taken], used: int | None) -> None:
        own = [one for one in taken if one.kind == kind]
        if used is None or not own:
            return
        for one in own[:-1]:  # the rest of the sum is the last one's, which may have gone past its cap
            here = min(used, one.amount)
            self._limits.counts.settle(one, here)
            used -= here
        self._limits.counts.settle(own[-1], used)

    def _within_max_cost(self, model: str, read: int, cap: int, price: Price | None) -> int:
        assert self._max_cost is not None, "there is one"
        if price is None:
            raise InputError(
                f"max_cost: no price of {model} is known, so a limit could not be kept.",
                advice="Leave max_cost out, or name a model whose price is known.",
            )
        writable = price.writable(read, round(self._max_cost * MILLION) - self._most_cost)
        if writable < 1:
            reading = price.most(read, 0) / MILLION
            raise InputError(
                f"max_cost: reading the question alone may cost {reading:.6f} {price.currency}.",
                advice="Allow more, or send less.",
            )
        return min(cap, writable)


class Limits:
    """The limits of one server, and what is counted against them.

    Args:
        counts: What is taken of the day.
        settings: The limits.
        price_of: What a model costs, if that is known.
    """

    def __init__(
        self, counts: DayCounts, settings: Settings, price_of: Callable[[str], Price | None]
    ) -> None:
        self.counts = counts
        self.price_of = price_of
        self._tokens = settings.max_tokens_per_day
        self._cost = round(settings.max_cost_per_day * MILLION)

    @property
    def any(self) -> bool:
        """Whether there is a limit of the day."""
        return bool(self._tokens or self._cost)

    def default_cap(self, call: Call, read: int, price: Price | None) -> int:
        """Return what a call asks for at most: its own cap, or a part of what the day has."""
        if call.max_output_tokens is not None:
            return call.max_output_tokens
        row = find(call.model)
        cap = (row.output_tokens if row else None) or _MODELS_OWN
        if self._tokens:
            cap = min(cap, max(self._tokens // _SHARE, _LEAST_CAP))
        if self._cost and price is not None:
            cap = min(cap, max(price.writable(read, self._cost // _SHARE), _LEAST_CAP))
        return cap

    def worst_cost(self, job: Job) -> tuple[float, str] | None:
        """Return what a job's first request can come to, and the currency; `None` if no price is known."""
        price = self.price_of(job.call.model)
        if price is None:
            return None
        read = estimate_tokens(job.call)
        worst = price.most(read, self.default_cap(job.call, read, price)) / MILLION
        return (worst if job.max_cost is None else min(worst, job.max_cost)), price.currency

    async def take(
        self, owner: str, read: int, cap: int, call: Call, price: Price | None, into: list[Taken]
    ) -> int:
        """Take a round's worst case of every limit, and return the cap that this left it.

        Raises:
            BudgetSpent: It leaves too little; nothing is taken.
        """
        own: list[Taken] = []
        try:
            if self._tokens:
                cap = await self._take_one(owner, "tokens", self._tokens, read, cap, call, None, own)
            if self._cost:
                price = price or _refuse_unpriced(call.model)
                cap = await self._take_one(owner, "cost", self._cost, read, cap, call, price, own)
        except BaseException:
            for one in own:
                self.counts.settle(one, 0)
            raise
        into += own
        return cap

    async def _take_one(
        self,
        owner: str,
        kind: Kind,
        limit: int,
        read: int,
        cap: int,
        call: Call,
        price: Price | None,
        own: list[Taken],
    ) -> int:
        for _ in range(_TRIES):
            amount = price.most(read, cap) if price else read + cap
            taken = await self.counts.take(owner, kind, amount, limit)
            if isinstance(taken, Taken):
                own.append(taken)
                return cap
            left = limit - taken
            smaller = price.writable(read, left) if price else left - read
            if call.max_output_tokens is not None or smaller < _WORTH_ASKING:
                raise _explain_spent(kind, limit, max(left, 0), amount, price)
            cap = min(cap, smaller)
        raise _explain_spent(kind, limit, 0, read, price)

    async def left(self, owner: str) -> str:
        """Return what the day leaves a principal, in a sentence; "" where there is no limit."""
        said = []
        if self._tokens:
            left = max(self._tokens - await self.counts.used(owner, "tokens"), 0)
            said.append(f"{left:,} of {self._tokens:,} tokens")
        if self._cost:
            left = max(self._cost - await self.counts.used(owner, "cost"), 0)
            said.append(f"{left / MILLION:,.2f} of {self._cost / MILLION:,.2f} in money")
        return f"Left until 00:00 UTC: {', '.join(said)}." if said else ""


def _refuse_unpriced(model: str) -> NoReturn:
    raise BudgetSpent(
        f"No price of {model} is known, and this server limits what calls may cost.",
        advice="Name a model whose price is known; whoever runs this server can add one.",
    )


UNLIMITED: Final = Allowance(Limits(DayCounts(), Settings(), lambda _model: None), "", None)
"""Of a generation that nobody counts."""


def _explain_spent(kind: Kind, limit: int, left: int, amount: int, price: Price | None) -> BudgetSpent:
    if kind == "tokens":
        return BudgetSpent(
            f"Today's {limit:,} tokens leave {left:,}: the others are used, or reserved by calls that run. "
            f"This call may take {amount:,}, its question and max_output_tokens together."
        )
    unit = price.currency if price else ""
    return BudgetSpent(
        f"Today's {limit / MILLION:,.2f} {unit} leave {left / MILLION:,.4f}: the rest is spent, or reserved "
        f"by calls that run. This call may cost {amount / MILLION:,.4f}."
    )


# ---------------------------------------------------------------- estimated


def estimate_tokens(call: Call) -> int:
    """Return about how many tokens a call's question is, rather too many than too few.

    A token is seldom less than two bytes of text, but for digits, each of which is one.
    """
    texts = [call.system or "", *(t for turn in call.turns for p in turn.parts for t in _texts(p))]
    texts += [f"{function.name}{function.description}{function.parameters}" for function in call.functions]
    texts.append("" if call.schema is None else str(call.schema))
    files = [part for turn in call.turns for part in turn.parts if isinstance(part, Inline | Linked)]
    return 16 + sum(map(_text_tokens, texts)) + sum(map(_file_tokens, files)) + 8 * len(call.turns)


def _texts(part: Part) -> tuple[str, ...]:
    match part:
        case Text(text=text):
            return (text,)
        case FunctionCall():
            return (part.name, part.arguments)
        case Returned():
            return (part.name, part.content)
        case _:
            return ()


def _text_tokens(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    digits = sum(text.count(digit) for digit in "0123456789")
    return (size + digits + 1) // 2


def _file_tokens(part: Inline | Linked) -> int:
    if isinstance(part, Linked):
        return _LINK_TOKENS
    return _FILE_TOKENS + len(part.base64) * 3 // 4 // _FILE_BYTES_A_TOKEN

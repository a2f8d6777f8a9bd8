"""Tokens and money: what each dialect says of tokens → :class:`Usage`, and by which prices they cost what.

Money is counted in millionths of the currency's unit, in whole numbers: a price for a million tokens is
what one token costs of those. A list knows the price of tokens alone; what a search costs beside them is
in none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AliasChoices, AliasPath, Field

from runapi_mcp.errors import ProtocolError, SettingsError
from runapi_mcp.wire.lax import Lax, Maybe, read_documents
from runapi_mcp.wire.types import Usage

_MOST: Final = 1_000_000_000
_Count: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
"""Tokens of one answer; no model takes or writes a thousandth of the most."""


class _Counts(Lax):
    """The counts of one chunk; each dialect has its own names for them.

    Attributes:
        tools: What tools were given; it counts as input.
    """

    prompt: Maybe[_Count] = None
    output: Maybe[_Count] = None
    thinking: Maybe[_Count] = None
    total: Maybe[_Count] = None
    cached: Maybe[_Count] = None
    tools: Maybe[_Count] = None

    def read(self) -> Usage | None:
        """Return them in our words, if they say anything: output without thinking, what was left out counted.

        Google leaves a count of zero out. On chat it leaves thinking out of the output and counts it in the
        total; OpenAI's own shape, and some bridges to Google's, count it in both and name it in the details
        (docs/wire.md §5.2, §6.2). Counts that are all zero are of a relay that knows none.
        """
        prompt, output, thinking, total = self.prompt, self.output, self.thinking, self.total
        if prompt is not None and self.tools:
            prompt += self.tools
        if not any((prompt, output, thinking, total)):
            return None
        if total is not None and total < (prompt or 0) + (output or 0):
            # A total that is less than its parts, or zero, is one that somebody left out.
            thinking = thinking or 0
        elif total is not None:
            if prompt is None:
                prompt = max(total - (output or 0) - (thinking or 0), 0)
            output = output or 0
            unexplained = max(total - prompt - output, 0)
            if not thinking:
                thinking = unexplained
            elif unexplained < thinking:
                output = max(total - prompt - thinking, 0)
            else:
                # What tools were given, where it is counted and not named.
                prompt += unexplained - thinking
        return Usage(prompt, output, thinking, self.cached)


class ChatUsage(_Counts):
    """A chat chunk's ``usage`` (docs/wire.md §5.2), or what a relay makes of it in the words of Responses."""

    prompt: Maybe[_Count] = Field(None, validation_alias=AliasChoices("prompt_tokens", "input_tokens"))
    output: Maybe[_Count] = Field(None, validation_alias=AliasChoices("completion_tokens", "output_tokens"))
    thinking: Maybe[_Count] = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("completion_tokens_details", "reasoning_tokens"),
            AliasPath("output_tokens_details", "reasoning_tokens"),
        ),
    )
    total: Maybe[_Count] = Field(None, alias="total_tokens")
    cached: Maybe[_Count] = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("prompt_tokens_details", "cached_tokens"),
            AliasPath("input_tokens_details", "cached_tokens"),
        ),
    )


class NativeUsage(_Counts):
    """A native chunk's ``usageMetadata`` (docs/wire.md §6.2), in either casing."""

    prompt: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("promptTokenCount", "prompt_token_count")
    )
    output: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("candidatesTokenCount", "candidates_token_count")
    )
    thinking: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("thoughtsTokenCount", "thoughts_token_count")
    )
    total: Maybe[_Count] = Field(None, validation_alias=AliasChoices("totalTokenCount", "total_token_count"))
    cached: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("cachedContentTokenCount", "cached_content_token_count")
    )
    tools: Maybe[_Count] = Field(
        None, validation_alias=AliasChoices("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    )


def update(known: Usage | None, new: Usage) -> Usage:
    """Return what is known after a later count: what it does not say stays.

    One without any output says nothing of the output that was counted before (docs/wire.md §5.2).
    """
    if known is None:
        return new
    silent = not new.output and not new.thinking
    return Usage(
        known.input if new.input in (None, 0) and known.input else new.input,
        known.output if new.output is None or (silent and known.output) else new.output,
        known.thinking if new.thinking is None or (silent and known.thinking) else new.thinking,
        known.cached if new.cached is None else new.cached,
    )


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the sum of two counts; what neither said stays unsaid."""
    if one is None or other is None:
        return one or other
    return Usage(
        _sum(one.input, other.input),
        _sum(one.output, other.output),
        _sum(one.thinking, other.thinking),
        _sum(one.cached, other.cached),
    )


def all_tokens(usage: Usage | None) -> int:
    """Return what counts against a budget: tokens read, thought and written."""
    return sum(filter(None, (usage.input, usage.output, usage.thinking))) if usage else 0


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


# ---------------------------------------------------------------- money

MILLION: Final = 1_000_000
"""Millionths in a unit of a currency."""
_MOST_PRICE: Final = Decimal(10_000)
"""The highest price for a million tokens that is believed; a price for one token would be far below it."""
_MOST_MODELS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a million tokens, in units of a currency; thinking costs what writing does.

    Attributes:
        input: Of tokens that are read.
        output: Of tokens that are written or thought.
        cached: Of tokens that are read again; where a list does not say, what reading costs.
        currency: Of all of it.
    """

    input: Decimal
    output: Decimal
    cached: Decimal
    currency: str = "USD"

    def cost(self, usage: Usage | None) -> int | None:
        """Return what tokens cost, in millionths; `None` where not all of them were counted."""
        if usage is None or usage.input is None or usage.output is None:
            return None
        again = min(usage.cached or 0, usage.input)
        written = usage.output + (usage.thinking or 0)
        return _whole((usage.input - again) * self.input + again * self.cached + written * self.output)

    def most(self, read: int, written: int) -> int:
        """Return what so many tokens cost at most, in millionths."""
        return _whole(read * max(self.input, self.cached) + written * self.output)

    def writable(self, read: int, money: int) -> int:
        """Return how many tokens can be written for so much money when so many are read; below 0 if none."""
        left = Decimal(money) - read * max(self.input, self.cached)
        if not self.output:
            return 2**31 if left >= 0 else -1
        return int(left / self.output) if left >= 0 else -1


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of models, by their ids."""

    by_model: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """Return a model's price, if it is known."""
        return self.by_model.get(model.removeprefix("models/").lower())


class _Row(Lax):
    model: Maybe[str | dict[str, Any]] = None
    model_id: Maybe[str] = None
    input: Maybe[Decimal] = Field(None, alias="input_price_per_1m_cents")
    output: Maybe[Decimal] = Field(None, alias="output_price_per_1m_cents")
    cached: Maybe[Decimal] = Field(None, alias="cache_read_price_per_1m_cents")
    cached_input: Maybe[Decimal] = Field(None, alias="cached_input_price_per_1m_cents")
    currency: Maybe[str] = None

    @property
    def name(self) -> str:
        """The model's id, wherever the row has it."""
        if isinstance(self.model, dict):
            found = next((self.model.get(key) for key in ("id", "name", "slug") if self.model.get(key)), "")
            return str(found)
        return self.model or self.model_id or ""


class _List(Lax):
    data: Maybe[list[Maybe[_Row]]] = None
    price_schedules: Maybe[list[Maybe[_Row]]] = None


def read_price_list(text: str) -> Prices:
    """Read RunAPI's list: prices of a million tokens in cents (docs/wire.md §2.3).

    A row without both prices, or with one that nobody would ask, is none. Where a model has several rows
    the dearest counts: which of them a call falls under is not ours to know.

    Raises:
        ProtocolError: It is no list of prices.
    """
    wrapped = text if text.lstrip().startswith("{") else f'{{"data": {text}}}'
    try:
        page = read_documents(_List, wrapped)[0]
    except (ProtocolError, IndexError):
        raise ProtocolError("RunAPI's list of prices could not be read.") from None
    if page.data is None and page.price_schedules is None:
        raise ProtocolError("RunAPI's list of prices has no prices in it.")
    found: dict[str, Price] = {}
    for row in [*(page.data or []), *(page.price_schedules or [])][:_MOST_MODELS]:
        price = _price(row) if row else None
        if row and row.name and price:
            name = row.name.removeprefix("models/").lower()
            before = found.get(name)
            if before is None or price.output + price.input > before.output + before.input:
                found[name] = price
    return Prices(found)


def _price(row: _Row) -> Price | None:
    if row.input is None or row.output is None or not (_sane(row.input / 100) and _sane(row.output / 100)):
        return None
    cached = row.cached if row.cached is not None else row.cached_input
    cached = row.input if cached is None or not _sane(cached / 100) else cached
    return Price(row.input / 100, row.output / 100, cached / 100, (row.currency or "USD").upper()[:8])


def read_price_file(text: str) -> Prices:
    """Read a file of prices: `MODEL INPUT OUTPUT [CACHED]`, for a million tokens, one model a line.

    A line `currency EUR` says what they are in; without it they are US dollars. ``#`` begins a comment.

    Raises:
        SettingsError: A line is none of these, or there is no price. It is named by its number.
    """
    found: dict[str, Price] = {}
    currency = "USD"
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0].lower() == "currency" and len(words) == 2 and words[1].isalpha() and not found:
            currency = words[1].upper()[:8]
            continue
        prices = [_number(word) for word in words[1:]]
        if len(prices) not in (2, 3) or any(price is None for price in prices):
            raise SettingsError(
                f"Line {number} of the prices is not MODEL INPUT OUTPUT [CACHED].", advice=_ADVICE
            )
        sums = [price for price in prices if price is not None]
        if not all(map(_sane, sums)):
            what = f"Line {number} of the prices has one that is no price for a million tokens."
            raise SettingsError(what, advice=_ADVICE)
        cached = sums[2] if len(sums) == 3 else sums[0]
        found[words[0].removeprefix("models/").lower()] = Price(sums[0], sums[1], cached, currency)
    if not found:
        raise SettingsError("There is no price in the prices.", advice=_ADVICE)
    return Prices(found)


_ADVICE: Final = (
    "Write a model's id and the prices of a million tokens read, written and, if it differs, read again: "
    "gemini-2.5-flash 0.30 2.50 0.075"
)


def _sane(price: Decimal) -> bool:
    return price.is_finite() and 0 <= price <= _MOST_PRICE


def _number(word: str) -> Decimal | None:
    try:
        return Decimal(word) if word.isascii() and len(word) <= 20 else None
    except InvalidOperation:
        return None


def _whole(millionths: Decimal) -> int:
    """Return an amount in whole millionths, never less than it was."""
    return int(millionths.to_integral_value(ROUND_CEILING))

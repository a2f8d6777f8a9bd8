"""What a search is narrowed to: asked of the model in words, and enforced where sources show it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, WithJsonSchema

from runapi_mcp.citing.sources import host_of, is_host
from runapi_mcp.tools._args import at_most

Recency: TypeAlias = Literal["day", "week", "month", "year"]
Depth: TypeAlias = Literal["quick", "thorough"]

_MOST_DOMAINS: Final = 50
_LANGUAGE: Final = re.compile(r"[A-Za-z][A-Za-z -]{1,39}")


def _domain(text: str) -> str:
    bare = text.strip().lower()
    host = host_of(bare if "://" in bare else f"https://{bare}").removeprefix("*.")
    if not is_host(host):
        raise ValueError("must be a domain such as example.org")
    return host


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("must be one language, such as German, de or pt-BR")
    return text


Domains: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_domain)], ...],
    at_most(_MOST_DOMAINS, "domains"),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
Language: TypeAlias = Annotated[str, AfterValidator(_language)]


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one search."""

    recency: Recency | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    language: str | None = None

    def instructions(self) -> str:
        """Return the filters as instructions to the model; empty if there are none."""
        asked = []
        if self.recency:
            asked.append(f"Use only pages published within the last {self.recency}.")
        if self.include:
            asked.append(f"Use only pages of these sites: {', '.join(self.include)}.")
        if self.exclude:
            asked.append(f"Use no pages of these sites: {', '.join(self.exclude)}.")
        if self.language:
            asked.append(f"Prefer pages in this language: {self.language}.")
        return " ".join(asked)

    def allows(self, host: str) -> bool:
        """Whether a source of this host may be shown; with `include`, an unknown host may not."""
        plain = _ascii(host)
        if any(_under(plain, domain) for domain in self.exclude):
            return False
        return not self.include or any(_under(plain, domain) for domain in self.include)

    def enforced(self, removed: int) -> Iterator[tuple[str, str]]:
        """Yield each filter in use and how it was enforced."""
        checked = f"asked of the model and checked on the sources ({removed} removed)"
        for name, value in (("recency", self.recency), ("language", self.language)):
            if value:
                yield name, "asked of the model; sources do not show it, so it is not checked"
        for name, domains in (("include_domains", self.include), ("exclude_domains", self.exclude)):
            if domains:
                yield name, checked


def _under(host: str, domain: str) -> bool:
    plain = _ascii(domain)
    return host == plain or host.endswith("." + plain)


def _ascii(host: str) -> str:
    """Return a host name as DNS has it, so that both spellings of one are the same."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host

"""What a search is narrowed to: asked of the model in words, and enforced where sources show it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, WithJsonSchema

Recency: TypeAlias = Literal["day", "week", "month", "year"]
Depth: TypeAlias = Literal["quick", "thorough"]

_HOST: Final = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+")
_LANGUAGE: Final = re.compile(r"[A-Za-z][A-Za-z -]{1,39}")


def host_of(url: str) -> str:
    """Return a URL's host, in lower case and without `www.`; empty if it has none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.").rstrip(".")
    except ValueError:
        return ""


def is_host(text: str) -> bool:
    """Whether a text is a host name with a dot in it, and nothing else."""
    return bool(_HOST.fullmatch(text)) and len(text) <= 253


def _domain(text: str) -> str:
    bare = text.strip().lower()
    host = host_of(bare if "://" in bare else f"https://{bare}").removeprefix("*.")
    if not is_host(host):
        raise ValueError("must be a domain such as example.org")
    return host


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text):
        raise ValueError("must be a language name or code such as de")
    return text


Domains: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(_domain)], ...],
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


NO_FILTERS: Final = Filters()


def _under(host: str, domain: str) -> bool:
    plain = _ascii(domain)
    return host == plain or host.endswith("." + plain)


def _ascii(host: str) -> str:
    """Return a host name as DNS has it, so that both spellings of one are the same."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host

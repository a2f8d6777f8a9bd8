"""A dozen made-up facts to search in, several scripts among them so that bytes and characters differ."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page of the simulated web. None of it is true."""

    slug: str
    site: str
    title: str
    claim: str

    @property
    def url(self) -> str:
        """Where the page claims to be."""
        return f"https://example.org/{self.slug}"

    @property
    def redirect(self) -> str:
        """The opaque address Google's grounding gives instead of the page's own."""
        return f"https://vertexaisearch.cloud.google.com/grounding-api-redirect/{self.slug.upper()}SIMULATED"


PAGES = (
    Page("zoe", "example.org", "Zoë Ångström wins the regatta", "Zoë Ångström won the Lake Vättern regatta."),
    Page("lighthouse", "example.org", "Lighthouses of Port Merrow", "Port Merrow has three lighthouses."),
    Page("naxos", "νάξος.example.org", "Το φεστιβάλ της Νάξου", "Το φεστιβάλ της Νάξου αρχίζει τον Μάιο."),
    Page("suzhou", "example.org", "苏州新图书馆", "苏州新图书馆藏书两百万册。"),
    Page("garden", "garden.example.org", "Roof gardens 🌱", "Roof gardens 🌱 cool a house by two degrees."),
    Page("orbit", "space.example.org", "The Tern-4 satellite", "Tern-4 circles us in 97 minutes."),
    Page("krakow", "example.org", "Kawa w Krakowie", "Kraków ma więcej kawiarni niż mostów."),
    Page("sapporo", "example.org", "札幌の雪まつり", "札幌の雪像は今年、四十体ある。"),
    Page("glacier", "example.org", "The Hollow Glacier", "The Hollow Glacier lost eleven metres in 2023."),
    Page("battery", "example.org", "Salt batteries", "Salt holds a charge for nine days — they say."),
    Page("emoji", "example.org", "Family emoji 👩‍👩‍👧", "The emoji 👩‍👩‍👧 takes eighteen bytes of UTF-8."),
    Page("python", "docs.example.org", "Release notes", "The simulated Python 3.99 came on a Tuesday."),
)  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """A stretch of an answer, in characters, end exclusive, and the index of the page that backs it."""

    start: int
    end: int
    page: int


@dataclass(frozen=True)
class Grounding:
    """A search answer: its text, the pages found, which stretch comes from which page."""

    query: str
    text: str
    pages: tuple[Page, ...]
    segments: tuple[Segment, ...]


def search(question: str, found: int = 3) -> Grounding:
    """Answer from the pages that share most words with the question (any pages when none does)."""
    asked = set(_words(question))
    ranked = sorted(
        PAGES, key=lambda page: -len(asked & set(_words(f"{page.title} {page.claim} {page.slug}")))
    )
    pages = tuple(ranked[:found])
    text, segments = "", []
    for index, page in enumerate(pages):
        segments.append(Segment(len(text), len(text) + len(page.claim), index))
        text += page.claim + " "
    text += "(A simulated search over a dozen made-up pages.)"
    return Grounding(" ".join(question.split())[:80], text, pages, tuple(segments))


def _words(text: str) -> list[str]:
    return re.findall(r"\w{3,}", text.lower())

"""More than a dozen made-up facts to search in, in several scripts, so that bytes and characters differ."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page of the simulated web. None of it is true."""

    slug: str
    site: str
    title: str
    claim: str
    day: str = ""
    """When it was published, as its address shows it: YYYY/MM/DD; empty if it does not."""

    @property
    def url(self) -> str:
        """Where the page claims to be."""
        return (
            f"https://example.org/{self.day}/{self.slug}" if self.day else f"https://example.org/{self.slug}"
        )

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
    Page("sailing", "example.org", "Sailing", "The Lake Vättern regatta has been sailed since 1931."),
    Page("boats", "example.org", "Who sails", "Forty boats entered the Lake Vättern regatta this year."),
    Page("dome", "space.example.org", "The Example Observatory", "The Example Observatory opened in 1974."),
    Page("stars", "space.example.org", "Visits", "The Example Observatory can be visited on Fridays."),
    Page("ferry-stops", "example.org", "Ferry", "The Merrow ferry stopped for the winter.", "2024/01/15"),
    Page("ferry-runs", "example.org", "Ferry", "The Merrow ferry runs again, twice a day.", "2026/11/20"),
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
    """Answer from the pages that share most words with the question; where none does, say so."""
    asked = _words(question)
    shared = {page: len(asked & _words(f"{page.title} {page.claim} {page.slug}")) for page in PAGES}
    ranked = sorted((page for page in PAGES if shared[page]), key=lambda page: -shared[page])
    pages = tuple(ranked[:found])
    query = " ".join(question.partition("\n\n")[0].split())[:80]
    if not pages:
        return Grounding(
            query, "Nothing on the dozen made-up pages of the simulated web is about that.", (), ()
        )
    text, segments = "", []
    for index, page in enumerate(pages):
        segments.append(Segment(len(text), len(text) + len(page.claim), index))
        text += page.claim + " "
    text += "(A simulated search over a dozen made-up pages.)"
    return Grounding(query, text, pages, tuple(segments))


_SAYING_NOTHING = re.compile(
    r"the|and|was|were|are|for|from|with|that|this|which|where|when|who|what|why|how|has|have|had|does|did|can"
    r"|could|will|would|about|into|than|then|there|their|its|his|her|you|your|our|any|all|some|many|much|latest"
    r"|newest|current|today|now|new|recent|please|tell|find|out|utc|\d+"
)
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{2,}")


def _words(text: str) -> set[str]:
    """Return the words of a text that say what it is about; of a script without spaces, its pairs."""
    said = (word.removesuffix("s") for word in re.findall(r"\w{3,}", text.lower()))
    words = {word for word in said if not _SAYING_NOTHING.fullmatch(word)}
    pairs = {run[at : at + 2] for run in _UNSPACED.findall(text) for at in range(len(run) - 1)}
    return words | pairs

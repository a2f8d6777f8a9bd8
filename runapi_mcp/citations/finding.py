"""What a search found, as it is kept between the rounds of a generation: its answer and its sources."""

from collections.abc import Mapping
from typing import Any

from runapi_mcp.wire.types import Answer, Grounding, JsonObject, Source, Support


def write_finding(answer: Answer, links: Mapping[str, str]) -> JsonObject:
    """Return an answer with its sources as JSON; `links` says where redirect links lead."""
    grounding = answer.grounding
    return {
        "text": answer.text,
        "sources": [
            [links.get(source.url, source.url), source.title, source.origin, source.snippet]
            for source in grounding.sources
        ],
        "supports": [
            [support.start, support.end, support.text, list(support.sources)]
            for support in grounding.supports
        ],
        "queries": list(grounding.queries),
        "unread": grounding.unread,
    }


def read_finding(kept: Mapping[str, Any]) -> Answer:
    """Return the answer that :func:`write_finding` wrote, with its sources."""
    grounding = Grounding(
        tuple(Source(*source) for source in kept["sources"]),
        tuple(Support(start, end, text, tuple(of)) for start, end, text, of in kept["supports"]),
        tuple(kept["queries"]),
        bool(kept["unread"]),
    )
    return Answer(text=str(kept["text"]), grounding=grounding)

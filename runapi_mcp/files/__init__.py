"""Files that a call names, as parts of a turn.

What a call gives and what comes of it stand here; `attach`, which makes the one of the other, is loaded with
the first call that has files. `paths` knows which local files may be read, `kinds` what kind a file is.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from runapi_mcp.wire.types import Inline, Linked, Part


class ResourceLink(BaseModel):
    """An MCP resource link, as a host hands it over; what else it says is not needed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    uri: str
    mimeType: str | None = None  # noqa: N815  # MCP's spelling
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """The parts that stand for a call's files.

    Attributes:
        parts: The parts.
        binary: Whether one needs more than images and text.
        notices: What must be said of what was sent and what was left out, a sentence or two each.
    """

    parts: tuple[Part, ...] = ()
    binary: bool = False
    notices: tuple[str, ...] = ()


def is_binary(part: Part) -> bool:
    """Whether a part is a file that needs more than images and text."""
    return isinstance(part, Inline | Linked) and not part.mime_type.startswith("image/")

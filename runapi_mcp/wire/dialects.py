"""What a dialect is, and which there are.

The contract of a decoder
-------------------------
``decode(frame)`` is given the frames of one stream in order. It may do three things:

* return the events the frame holds, in the order in which they matter (text before the finish
  that ends it), possibly none: a comment, an unknown part, a keep-alive;
* return a :class:`~runapi_mcp.wire.types.Failure`, when the frame is upstream's report of an error;
* raise :class:`~runapi_mcp.errors.ProtocolError`, when the frame is not of the dialect at all.

``end()`` is called after the last frame, and returns what was held back to be sure of it (half a
tag, say); ``[DONE]`` says so too, and after it there is nothing left to return. A decoder never raises
anything else: any other exception is a bug of ours. It keeps no more than one frame's worth of text.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from runapi_mcp.models import DialectName
from runapi_mcp.wire.chat import Chat
from runapi_mcp.wire.gemini import Native
from runapi_mcp.wire.types import Call, Event, Frame, Request


class Decoder(Protocol):
    """Turns the frames of one stream into events; its contract is at the top of this module."""

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Return the events of `frame`.

        Raises:
            ProtocolError: The frame is not of this dialect.
        """

    def end(self) -> Sequence[Event]:
        """Return the events held back until the stream's end."""


class Dialect(Protocol):
    """One of the two ways in which RunAPI serves Gemini."""

    @property
    def name(self) -> DialectName:
        """What settings, receipts and the catalogue call it."""

    def encode(self, call: Call) -> Request:
        """Return the request that asks for `call` as a stream."""

    def decoder(self) -> Decoder:
        """Return a fresh decoder for the stream that answers."""


def dialects(chat_root: str) -> Mapping[DialectName, Dialect]:
    """Return the dialects by name; `chat_root` is the path that chat lives under."""
    return {"chat": Chat(chat_root), "native": Native()}

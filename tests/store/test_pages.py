"""A page of what another process wrote: read alone where that is enough, and the same to the letter."""

import pytest
from generations.played import STOP, Clock, bench, job

from runapi_mcp.generations.store import writer
from runapi_mcp.tools import TOOLS, Page
from runapi_mcp.wire.types import TextDelta
from store.test_every import store_at

SAID = "Ein Satz. Zwölf Äpfel,\nund 🍎🍏 noch einer: 数字も。\n\nHalf \ud83d of a pair, and its rest. "
TEXT = SAID * 4
ASK = TOOLS["ask_gemini"]


async def test_pages_read_alone_are_those_of_the_whole_text(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_ENTRY_CHARS", 17)
    clock = Clock()
    async with bench([TextDelta(TEXT), STOP], store=store_at(place, clock), clock=clock) as made:
        handle = (await made.ended(job())).handle
    async with bench(store=store_at(place, clock), clock=clock) as made:
        whole = (await made.generations.find(handle, job().owner)).view()
    assert whole.answer.text == TEXT
    parts = 0
    async with bench(store=store_at(place, clock), clock=clock) as made:
        assert ASK.render is not None
        for limit in (1, 16, 17, 40, 4_000):
            for offset in range(0, len(TEXT), 7):
                page = Page(limit, offset)
                view = (await made.generations.find(handle, job().owner, page.characters)).view()
                parts += any(view.beside)
                assert ASK.render(view, page).blocks == ASK.render(whole, page).blocks
                assert len(view.answer.text) + sum(view.beside) == len(TEXT)
        past = (await made.generations.find(handle, job().owner, range(len(TEXT), len(TEXT) + 9))).view()
        assert (past.answer.text, past.beside) == (TEXT, (0, 0))
    assert bool(parts) == (not place.startswith("redis")), "Redis does not know where which text is"

# ruff: noqa: ASYNC240  # a picture now and then
"""The page at / in a real browser. `make browser` runs these; they need Debian's chromium."""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from network.raw_web import web
from network.web_host import served

from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.joining import REMOTE_HOSTS
from runapi_mcp.transports.http.tokens import TokenList

if not os.environ.get("RUNAPI_MCP_BROWSER"):
    pytest.skip("make browser runs these", allow_module_level=True)

from browser.chromium import PROGRAM, Page, browser_page

TOKEN = "token-of-ann-0123456789"
PICTURES = os.environ.get("RUNAPI_MCP_PICTURES")
"""Where pictures are put, to be looked at."""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    if PROGRAM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    async with browser_page() as one:
        yield one
        assert one.complaints == []


@pytest.fixture
async def url(sim: Simulator) -> AsyncIterator[str]:
    async with served(sim, TokenList.read(f"ann:{TOKEN}")) as base_url:
        yield base_url


async def type_token(page: Page, token: str) -> None:
    await page.run(f"document.getElementById('token').value = '{token}'")
    await page.run("document.querySelector('#check button').click()")
    await page.until("!['', 'Asking…'].includes(document.getElementById('verdict').textContent)")


async def test_the_right_token_is_told_whose_it_is_and_what_it_used(page: Page, url: str) -> None:
    async with web(url, Authorization=f"Bearer {TOKEN}") as http:
        await http.call(1, "ask_gemini", prompt="Used", model="gemini-2.5-flash")
    await page.open(url)
    await type_token(page, TOKEN)
    assert await page.text("#verdict") == "Yes: this server knows you as ann."
    assert "gemini-2.5-flash" in await page.text("#rows")
    assert await page.run("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
    assert await page.run("document.cookie") == ""
    assert await page.run("document.body.innerText.includes('token-of-ann')") is False
    assert TOKEN not in str(await page.run("location.href"))
    assert {asked.partition("?")[0] for asked in page.asked} == {f"{url}/", f"{url}/mcp"}


async def test_a_wrong_token_is_told_so_in_the_servers_words(page: Page, url: str) -> None:
    await page.open(url)
    await type_token(page, "wrong-token-0123456789")
    assert (await page.text("#verdict")).startswith("No. 401: The token is not valid here")
    assert await page.run("document.getElementById('used').hidden")
    await type_token(page, "with a blank")
    assert "blank" in await page.text("#verdict")
    # The browser says of itself that a request was answered 401.
    assert all("401" in said for said in page.complaints)
    page.complaints.clear()


async def test_each_hosts_entry_has_this_servers_address(page: Page, url: str) -> None:
    await page.open(url)
    for host in REMOTE_HOSTS:
        await page.run(
            f"document.getElementById('host').value = '{host.id}';"
            "document.getElementById('host').dispatchEvent(new Event('change'))"
        )
        shown = await page.text("#entry")
        assert f"{url}/mcp" in shown
        assert "YOUR_TOKEN" in shown
        assert "SERVER_URL" not in shown


async def test_what_is_copied_holds_the_token_that_was_typed(page: Page, url: str) -> None:
    await page.open(url)
    await page.run("navigator.clipboard.writeText = async text => { window.copied = text }")
    await type_token(page, TOKEN)
    await page.run("document.getElementById('copy').click()")
    await page.until("window.copied")
    assert f"Bearer {TOKEN}" in str(await page.run("window.copied"))
    assert TOKEN not in await page.text("#entry")


async def test_behind_a_prefix_it_asks_and_shows_what_is_behind_it(page: Page, sim: Simulator) -> None:
    async with served(sim, path_prefix="/runapi") as url:
        await page.open(f"{url}/runapi")
        assert await page.text("#url") == f"{url}/runapi/mcp"
        await page.run("document.querySelector('#ask button').click()")
        await page.until("document.getElementById('verdict').textContent.startsWith('Yes')")
        assert "Bearer" not in await page.text("#entry")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 340])
async def test_nothing_is_wider_than_the_window(page: Page, url: str, scheme: str, width: int) -> None:
    async with web(url, Authorization=f"Bearer {TOKEN}") as http:
        await http.call(1, "ask_gemini", prompt="Used", model="gemini-2.5-flash")
    await page.tell(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    await page.tell(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=1400,
        deviceScaleFactor=1,
        mobile=width < 500,
    )
    await page.open(url)
    await type_token(page, TOKEN)
    assert await page.run("document.documentElement.scrollWidth <= innerWidth")
    assert await page.run("document.querySelector('#rows td').offsetHeight < 80"), "a name in one line or two"
    assert await page.run(
        "[...document.querySelectorAll('button,select,input')]."
        "every(one => !one.offsetHeight || one.offsetHeight >= 40)"
    )
    if PICTURES:
        picture = await page.tell("Page.captureScreenshot", format="png")
        Path(PICTURES, f"page-{scheme}-{width}.png").write_bytes(base64.b64decode(picture["data"]))

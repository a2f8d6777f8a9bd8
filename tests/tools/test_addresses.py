"""Files by address: data: URLs as they are written, and links that are of the kind their address says."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import InputError
from runapi_mcp.files import ResourceLink, attach
from runapi_mcp.files.kinds import find_base64, kind_of_url, read_data_url
from runapi_mcp.settings import Settings
from runapi_mcp.wire.types import Inline, Linked, Text

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
LIMIT = 100_000


def broken(text: str, every: int, by: str) -> str:
    return by.join(text[at : at + every] for at in range(0, len(text), every))


@given(
    st.binary(max_size=400),
    st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
    st.booleans(),
    st.sampled_from(["", "\n", "\r\n", "\n\t", " "]),
    st.booleans(),
    st.sampled_from(["data:image/png;base64,", "DATA:;BASE64,", "data:a/b;n=c; base64,", " data:;base64,"]),
)  # fmt: skip
def test_base64_is_read_however_it_is_written(
    content: bytes, encode: object, padded: bool, between: str, escaped: bool, head: str
) -> None:
    text = encode(content).decode()  # type: ignore[operator]
    text = text if padded else text.rstrip("=")
    text = broken(text, 60, between) if between else text
    assert read_data_url(head + (quote(text, safe="") if escaped else text), LIMIT) == content


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("data:text/plain;charset=utf-8,hello%20wide%20world", "hello wide world"),
        ("data:,A%20brief%20note", "A brief note"),
        ("data:text/plain,a+b,c;d", "a+b,c;d"),
        ("data:text/html,<p>x</p>", "<p>x</p>"),
        ("data:text/plain;charset=iso-8859-1,caf%E9", "café"),
        ('data:text/plain;charset="utf-8",caf%C3%A9', "café"),
        ("data:text/plain;charset=no-such-set,caf%C3%A9", "café"),
        ("data:text/plain;charset=ISO-8859-1;base64,Y2Fmw6k=", "café"),
    ],
)
def test_text_without_base64_is_read_in_its_character_set(url: str, content: str) -> None:
    assert read_data_url(url, LIMIT) == content.encode()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data:text/plain", "no comma after its type"),
        ("data:image/png;base64,!!!", "base64 is broken"),
        ("data:image/png;base64,AAAAA", "base64 is broken"),
        ("data:image/png;base64,A=AA", "base64 is broken"),
    ],
)
def test_what_is_no_data_url_is_told_as_that(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_data_url(url, LIMIT)


@given(st.text(max_size=200))
def test_any_data_url_is_bytes_within_the_limit_or_an_error_of_ours(rest: str) -> None:
    try:
        content = read_data_url(f"data:{rest}", 50)
    except InputError:
        return
    assert content is None or len(content) <= 50


async def test_what_is_larger_than_a_file_may_be_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(InputError, match="larger than"):
        await attach([f"data:;base64,{'A' * 9_000}"], Settings(max_file_bytes=1024))


async def test_a_data_url_is_the_part_that_its_content_is() -> None:
    url = "data:application/octet-stream;base64," + broken(base64.b64encode(PNG).decode(), 76, "\r\n")
    attached = await attach([url, "data:,hello"], Settings())
    assert attached.parts == (
        Inline("image/png", base64.b64encode(PNG).decode()), Text("File data:\n\nhello\n"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://e.org/deploy/values.yaml", "text/plain"),
        ("https://e.org/README.md", "text/plain"),
        ("https://e.org/src/main.TS", "text/plain"),
        ("https://e.org/a.csv?x=1", "text/plain"),
        ("https://e.org/a.json", "application/json"),
        ("https://e.org/page.html", "text/html"),
        ("https://e.org/a.pdf#page=2", "application/pdf"),
        ("https://arxiv.org/pdf/1706.03762", "application/pdf"),
        ("https://openreview.net/pdf?id=x", "application/pdf"),
        ("https://e.org/a.webp", "image/webp"),
        ("https://e.org/a.m4a", "audio/mp4"),
        ("https://images.example/photo-1?w=80&fm=jpg", "image/jpeg"),
        ("https://bucket.example/x?response-content-type=application%2Fpdf", "application/pdf"),
        ("https://youtu.be/x", "video/mp4"),
    ],
)
async def test_a_link_goes_out_as_what_its_address_says(url: str, kind: str) -> None:
    assert (await attach([url], Settings())).parts == (Linked(kind, url),)


@pytest.mark.parametrize(
    "url", ["https://e.org/photo", "https://e.org/v1.2/x", "https://e.org/", "https://e.org/a.xyz"]
)
async def test_a_link_that_says_nothing_is_asked_for_its_type_and_sent_with_it(url: str) -> None:
    with pytest.raises(InputError, match=r"does not say what it leads to.*;type=application/pdf"):
        await attach([url], Settings())
    typed = await attach(
        [f"{url};type=application/pdf", ResourceLink(uri=url, mimeType="image/jpg")], Settings()
    )
    assert typed.parts == (Linked("application/pdf", url), Linked("image/jpeg", url))


@pytest.mark.parametrize(
    "url", ["https://e.org/a.docx", "https://e.org/a.tar.gz", "https://e.org/a.zip", "https://e.org/a.svg"]
)
async def test_a_link_to_what_gemini_does_not_take_is_refused_with_what_it_takes(url: str) -> None:
    with pytest.raises(InputError, match=r"of a kind that is not taken\. Taken: images"):
        await attach([url], Settings())


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_address_is_of_a_kind_or_of_none(host: str, path: str, query: str) -> None:
    assert isinstance(kind_of_url(host, path, query), str)


@pytest.mark.parametrize("size", [9, 10, 11, 49_152, 49_153, 200_000])
def test_the_base64_of_an_image_is_sent_as_it_came(size: int) -> None:
    content = b"\x89PNG\r\n\x1a\n" + bytes(size - 8)
    text = base64.b64encode(content).decode()
    assert find_base64(f"data:image/jpeg;base64,{text}", size) == ("image/png", text)
    assert find_base64(f"data:image/jpeg;base64,{text}", size - 1) is None
    for broken in (
        f"{text[:-4]}=A==",
        f"{text[:8]}%2B{text[8:]}",
        f"{text[:8]}\n{text[8:]}",
        text[:-1],
        f"{text}=",
    ):
        assert find_base64(f"data:;base64,{broken}", 2 * size) is None
    if size > 49_152:
        assert find_base64(f"data:;base64,{text[:65_532]}QQ=={text[65_536:]}", size) is None, "it ends before"

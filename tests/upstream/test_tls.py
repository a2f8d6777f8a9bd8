"""TLS to RunAPI: one handshake while the connection is kept, and a session that is resumed after it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runapi_mcp.upstream import http
from upstream.asking import ask, upstream_at

BODY = (
    b'data: {"choices":[{"delta":{"content":"Well."},"finish_reason":"stop"}],"usage":{"total_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


@pytest.fixture
def server_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's context, with a certificate that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem, key_pem = tmp_path / "certificate.pem", tmp_path / "key.pem"
    pem.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    http._build_tls_context.cache_clear()
    http._SESSIONS.clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_pem)
    yield context
    http._build_tls_context.cache_clear()
    http._SESSIONS.clear()


@asynccontextmanager
async def serving(context: ssl.SSLContext, *, keeps: bool) -> AsyncIterator[tuple[str, list[bool]]]:
    """A server that answers; gives its URL, and of each connection whether it was resumed."""
    resumed: list[bool] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        while head := await reader.read(65536):
            _, _, body = head.partition(b"\r\n\r\n")
            if not body.endswith(b"}"):  # it comes in a write of its own
                await reader.read(65536)
            writer.write(ANSWER)
            await writer.drain()
            if not keeps:
                break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", resumed


async def test_a_kept_connection_has_one_handshake(server_context: ssl.SSLContext) -> None:
    async with serving(server_context, keeps=True) as (url, resumed), upstream_at(url) as upstream:
        assert [(await ask(upstream)).text for _ in range(3)] == ["Well."] * 3
    assert resumed == [False]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_new_connection_resumes_the_session_of_the_last(
    server_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    server_context.minimum_version = server_context.maximum_version = version
    async with serving(server_context, keeps=False) as (url, resumed), upstream_at(url) as upstream:
        assert [(await ask(upstream)).text for _ in range(3)] == ["Well."] * 3
    assert resumed == [False, True, True]


async def test_a_server_that_knows_no_session_any_more_is_greeted_anew(
    server_context: ssl.SSLContext,
) -> None:
    async with serving(server_context, keeps=False) as (url, _), upstream_at(url) as upstream:
        assert (await ask(upstream)).error is None
    server_context.options |= ssl.OP_NO_TICKET
    server_context.num_tickets = 0
    async with serving(server_context, keeps=False) as (url, resumed), upstream_at(url) as upstream:
        assert (await ask(upstream)).error is None
    assert len(resumed) == 1

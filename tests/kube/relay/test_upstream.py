"""Upstream connections: whom they reach, and which of them may be used again."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kube.credentials import Credentials
from kube.guard import AddressGuard
from kube.relay import upstream
from kube.relay.upstream import Link, SocketDialer, TlsDialer, UpstreamPool, UpstreamUnreachable
from kube.tls import client_context
from tests.bed.pki import Authority, KeyPair


@asynccontextmanager
async def tls_server(certificate: KeyPair, folder: Path, seen: list[str] | None = None) -> AsyncIterator[int]:
    """Accepts and keeps quiet; ``seen`` collects what name clients ask for. Yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = folder / "server.pem"
    pem.write_text(certificate.certificate_pem + certificate.key_pem)
    context.load_cert_chain(pem)
    if seen is not None:
        context.sni_callback = lambda _, name, __: seen.append(name or "")

    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def dialer(
    authority: Authority, *urls: str, guard: AddressGuard | None = None, server_name: str | None = None
) -> TlsDialer:
    context = client_context(Credentials(urls or ("https://unused",), authority.certificate_pem))
    return TlsDialer(urls, context, guard or AddressGuard(["127.0.0.0/8"]), server_name)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def test_endpoints_are_tried_in_order_and_the_one_that_answered_is_tried_first_next_time(
    authority: Authority, server_certificate: KeyPair, tmp_path: Path
) -> None:
    async with tls_server(server_certificate, tmp_path) as port:
        dead = f"https://127.0.0.1:{unused_port()}"
        tls = dialer(authority, dead, f"https://127.0.0.1:{port}")
        for _ in range(2):
            link = await tls.dial()
            assert link.authority == f"127.0.0.1:{port}"
            link.close()
        assert tls._servers[0].port == port


async def test_flt20_a_connection_notices_by_itself_that_its_peer_is_gone(
    authority: Authority, server_certificate: KeyPair, tmp_path: Path
) -> None:
    async with tls_server(server_certificate, tmp_path) as port:
        link = await dialer(authority, f"https://127.0.0.1:{port}").dial()
        connection = link.writer.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        link.close()


async def test_sec60_a_name_is_resolved_once_and_that_address_is_connected(
    authority: Authority, server_certificate: KeyPair, tmp_path: Path
) -> None:
    asked: list[str] = []
    names: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    guard = AddressGuard(["127.0.0.0/8"], resolver=resolver)
    async with tls_server(server_certificate, tmp_path, names) as port:
        link = await dialer(authority, f"https://kube.example:{port}", guard=guard).dial()
        assert link.authority == f"kube.example:{port}"
        link.close()
    assert (asked, names) == (["kube.example"], ["kube.example"])


@pytest.mark.parametrize("url", ["https://127.0.0.1:6443", "https://169.254.169.254", "https://[::1]:6443"])
async def test_sec57_an_address_that_the_guard_refuses_is_not_connected(authority: Authority, url: str) -> None:
    with pytest.raises(UpstreamUnreachable, match="refused or not known"):
        await dialer(authority, url, guard=AddressGuard()).dial()


async def test_a_name_that_nobody_knows_is_unreachable(authority: Authority) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(UpstreamUnreachable, match="not known"):
        await dialer(authority, "https://kube.example", guard=AddressGuard(resolver=resolver)).dial()


async def test_sec30_another_ca_is_not_accepted(server_certificate: KeyPair, tmp_path: Path) -> None:
    async with tls_server(server_certificate, tmp_path) as port:
        with pytest.raises(UpstreamUnreachable, match="certificate is not accepted") as failed:
            await dialer(Authority("other"), f"https://127.0.0.1:{port}").dial()
    assert "127.0.0.1" not in str(failed.value)


async def test_sec30_a_certificate_of_another_name_is_not_accepted(
    authority: Authority, server_certificate: KeyPair, tmp_path: Path
) -> None:
    async with tls_server(server_certificate, tmp_path) as port:
        url = f"https://127.0.0.1:{port}"
        with pytest.raises(UpstreamUnreachable, match="certificate is not accepted"):
            await dialer(authority, url, server_name="other.example").dial()
        link = await dialer(authority, url, server_name="kube.example").dial()
        link.close()


async def test_who_says_nothing_is_waited_for_a_limited_time(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "CONNECT_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UpstreamUnreachable, match="did not answer"):
        await dialer(authority, f"https://127.0.0.1:{silent.getsockname()[1]}").dial()


async def test_who_speaks_no_tls_is_unreachable(authority: Authority) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        with pytest.raises(UpstreamUnreachable, match="TLS with it failed"):
            await dialer(authority, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}").dial()


async def test_a_port_where_nobody_listens_and_a_cluster_without_endpoints_are_unreachable(
    authority: Authority, tmp_path: Path
) -> None:
    with pytest.raises(UpstreamUnreachable, match="connection refused") as failed:
        await dialer(authority, f"https://127.0.0.1:{unused_port()}").dial()
    assert "127.0.0.1" not in str(failed.value)
    with pytest.raises(UpstreamUnreachable, match="no endpoint"):
        await dialer(authority).dial()
    with pytest.raises(UpstreamUnreachable, match="nothing answers"):
        await SocketDialer(tmp_path / "absent.sock").dial()


class FakeWriter:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class FakeDialer:
    """Makes links that lead nowhere."""

    def __init__(self) -> None:
        self.made: list[Link] = []

    async def dial(self) -> Link:
        self.made.append(Link(asyncio.StreamReader(), FakeWriter()))  # type: ignore[arg-type]
        return self.made[-1]


@pytest.fixture
def fake() -> FakeDialer:
    return FakeDialer()


async def test_a_connection_that_came_back_is_lent_again_the_last_first(fake: FakeDialer) -> None:
    pool = UpstreamPool(fake)
    first, second = await pool.lend(), await pool.lend()
    assert not first.reused
    pool.take_back(first)
    pool.take_back(second)
    assert await pool.lend() is second
    assert second.reused
    assert await pool.lend(fresh=True) not in (first, second)
    assert await pool.lend() is first


def _unasked(link: Link) -> None:
    link.reader.feed_data(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _ended(link: Link) -> None:
    link.reader.feed_eof()


def _closed(link: Link) -> None:
    link.writer.close()


@pytest.mark.parametrize("spoil", [_unasked, _ended, _closed])
@pytest.mark.parametrize("when", ["before it comes back", "while it is idle"])
async def test_sec25_a_connection_with_bytes_that_nobody_asked_for_or_an_end_is_never_lent_again(
    fake: FakeDialer, spoil: Callable[[Link], None], when: str
) -> None:
    pool = UpstreamPool(fake)
    link = await pool.lend()
    if when == "before it comes back":
        spoil(link)
    pool.take_back(link)
    if when == "while it is idle":
        spoil(link)
    assert await pool.lend() is not link
    assert link.writer.is_closing()


async def test_what_was_idle_for_too_long_is_closed(fake: FakeDialer) -> None:
    pool = UpstreamPool(fake, idle_lifetime=30.0)
    old, young = await pool.lend(), await pool.lend()
    pool.take_back(old)
    pool.take_back(young)
    old.idle_since -= 31.0
    assert await pool.lend() is young
    assert old.writer.is_closing()


async def test_only_so_many_are_kept(fake: FakeDialer) -> None:
    pool = UpstreamPool(fake)
    links = [await pool.lend() for _ in range(upstream.MOST_IDLE + 5)]
    for link in links:
        pool.take_back(link)
    assert [link.writer.is_closing() for link in links].count(False) == upstream.MOST_IDLE


async def test_a_closed_pool_closes_what_is_idle_at_once_and_what_is_lent_when_it_comes_back(fake: FakeDialer) -> None:
    pool = UpstreamPool(fake)
    idle, lent = await pool.lend(), await pool.lend()
    pool.take_back(idle)
    pool.close()
    assert idle.writer.is_closing()
    assert not lent.writer.is_closing()
    pool.take_back(lent)
    assert lent.writer.is_closing()

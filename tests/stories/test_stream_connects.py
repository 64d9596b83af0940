"""Connecting: DNS failures, certificates and proxies."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from connecttrade_async import ConnectError, ConnectTrade, Endpoints
from connecttrade_async.models.events import Gap, StreamLost, StreamRetrying
from connecttrade_async.sandbox import Sandbox
from scripted_server import untrusted_end
from stream_fixtures import HURRIED, client_at, end_that, nothing_left, publish, story, taken, until

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

NAME = "stream.connecttrade.example"


class Resolving(asyncio.SelectorEventLoop):
    """An event loop with a resolver that knows one name, or none."""

    knows = True

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        if host == NAME:
            if not self.knows:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "127.0.0.1"
        return await super().getaddrinfo(host, port, **hints)


@pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("asyncio", {"debug": True, "loop_factory": Resolving}), id="a resolver in our hands")],
)
async def test_stream_reconnects_after_a_temporary_dns_failure() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Resolving)
    async with Sandbox(seed=1) as sandbox, nothing_left():
        there = Endpoints(stream=sandbox.stream.url.replace("127.0.0.1", NAME))
        settings: dict[str, Any] = {"endpoints": there, "reconnect": HURRIED, "allow_insecure": True}
        named = ConnectTrade(sandbox.client_id, sandbox.client_secret, **settings)
        async with named as ct, ct.brokerage_stream() as stream:
            events, life = stream.subscribe(), stream.subscribe("lifecycle")
            loop.knows = False
            sandbox.stream.reset()
            assert (await until(life, StreamLost)).cause == "the connection was dropped"
            unknown = f"the name {NAME} was not found: check the address and the network"
            for _ in range(3):
                assert (await until(life, StreamLost)).cause == unknown
                await until(life, StreamRetrying)
            loop.knows = True
            assert (await until(events, Gap)).cause == "the connection was dropped"
            publish(sandbox, 1)
            assert story(await taken(events, 1)) == ["o1"]
            assert stream.health().gaps == 1


async def welcoming(link: ServerConnection) -> None:
    """Accept every login."""
    for said in ("welcome", "authenticated", "subscribed"):
        await link.send(f'{{"type": "{said}"}}')
        if said != "subscribed":
            await link.recv()
    await link.wait_closed()


async def test_stream_over_tls_accepts_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    vouched = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(vouched))
    monkeypatch.setenv("SSL_CERT_FILE", str(vouched))
    async with (
        nothing_left(),
        end_that(welcoming, ssl=context) as url,
        client_at(url.replace("ws:", "wss:")) as ct,
        ct.brokerage_stream() as stream,
    ):
        assert stream.health().state == "LIVE"


async def test_stream_over_tls_sends_nothing_to_an_untrusted_server() -> None:
    async with nothing_left():
        with untrusted_end() as url, pytest.raises(ConnectError, match="certificate verify failed"):
            await client_at(url.replace("https:", "wss:")).brokerage_stream().__aenter__()


@pytest.mark.parametrize("proxy", ["http://user:hunter2@{}", "ftp://user:hunter2@{}", "socks5h://user:hunter2@{}"])
async def test_stream_ignores_a_proxy_of_the_environment(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        writer.close()

    async with nothing_left(), end_that(welcoming) as url, await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        address = proxy.format("{}:{}".format(*server.sockets[0].getsockname()))
        for name in ("http_proxy", "https_proxy", "ws_proxy", "all_proxy", "socks_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with client_at(url) as ct, ct.brokerage_stream() as stream:
            assert stream.health().state == "LIVE"
    assert asked == []

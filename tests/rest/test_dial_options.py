from __future__ import annotations

import asyncio
import socket
import ssl
import traceback
from base64 import b64encode
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given, strategies as st

from connecttrade_async import ConfigurationError, ConnectError, ConnectTrade, Endpoints, Retry
from connecttrade_async.config import DialOptions
from connecttrade_async.rest.connector import Connector
from proxy import Proxy
from scripted_server import ScriptedEnd, trusted

ONCE = Retry(attempts=1)


async def test_ssl_context_is_used_for_requests() -> None:
    server, client = trusted()
    async with (
        ScriptedEnd(tls=server) as end,
        ConnectTrade("c", "hush", endpoints=Endpoints(end.url), ssl=client) as ct,
    ):
        assert await ct.users.list() == []


@pytest.mark.parametrize("is_tls", [False, True])
async def test_proxy_forwards_requests_and_gets_its_login(*, is_tls: bool) -> None:
    server, client = trusted()
    async with Proxy() as proxy, ScriptedEnd(tls=server if is_tls else None) as end:
        address = proxy.url.replace("//", "//ada:pass%20word@")
        async with ConnectTrade("c", "hush", endpoints=Endpoints(end.url), ssl=client, proxy=address) as ct:
            for _ in range(3):
                await ct.users.list()
    assert (len(end.seen), end.links, len(proxy.asked)) == (3, 1, 1)
    assert proxy.asked[0].startswith("CONNECT 127.0.0.1:" if is_tls else f"GET {end.url}/users")
    assert set(proxy.logins) == {f"Basic {b64encode(b'ada:pass word').decode()}"}


@pytest.mark.parametrize("refusal", ["407 Proxy Authentication Required", "502 Bad Gateway", ""])
async def test_proxy_failure_reports_nothing_sent_and_masks_the_password(refusal: str) -> None:
    server, client = trusted()
    async with Proxy(refusal) as proxy, ScriptedEnd(tls=server) as end:
        address = proxy.url.replace("//", "//ada:s3cr3t@")
        if not refusal:
            with socket.create_server(("127.0.0.1", 0)) as free:
                address = f"http://ada:s3cr3t@127.0.0.1:{free.getsockname()[1]}"
        async with ConnectTrade("c", "hush", endpoints=Endpoints(end.url), ssl=client, proxy=address, retry=ONCE) as ct:
            with pytest.raises(ConnectError, match="the proxy") as caught:
                await ct.request("POST", "/orders", json={})
    assert caught.value.kind == "unreachable"
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
    assert "s3cr3t" not in "".join(told.format())
    assert "s3cr3t" not in repr((caught.value, caught.value.__cause__, caught.value.__context__))
    assert end.seen == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"ssl": True}, r"ssl must be an ssl\.SSLContext or None, got bool"),
        ({"ssl": "ca.pem"}, r"ssl must be .* got str"),
        ({"proxy": 3128}, "proxy must be the address of a proxy as text, or None, got int"),
        ({"proxy": ""}, "proxy must be http://"),
        ({"proxy": "10.0.0.1:3128"}, "proxy must be http://"),
        ({"proxy": "socks5://ada:s3cr3t@host"}, "proxy must be http://"),
        ({"proxy": "http://ada:s3cr3t@"}, "proxy must be http://"),
        ({"proxy": "http://ada:s3cr3t@host:0"}, "proxy must be http://"),
        ({"proxy": "http://ada:s3cr3t@host:99999"}, "proxy must be http://"),
        ({"proxy": "http://ada:s3cr3t@host/path"}, "proxy must be http://"),
        ({"proxy": "http://ada:s3cr3t@host?x"}, "proxy must be http://"),
        ({"proxy": "http://ada:s3cr3t@ho st"}, "proxy must be http://"),
        ({"proxy": "http://[::1"}, "proxy must be http://"),
    ],
)
def test_invalid_dial_options_are_refused_without_showing_the_password(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        ConnectTrade("client", "hush", **settings)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if "connecttrade_async" in frame.filename]
    assert "s3cr3t" not in str(caught.value) + "".join(str(frame.locals) for frame in ours)


@pytest.mark.parametrize("option", [{"ssl": ssl.create_default_context()}, {"proxy": "http://127.0.0.1:9"}])
async def test_ssl_and_proxy_with_a_borrowed_session_are_refused(option: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ConfigurationError, match="ssl and proxy must be None with http="):
            ConnectTrade("client", "hush", http=http, **option)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@%[]\\:"), min_size=1))
def test_repr_of_dial_options_masks_any_proxy_login(password: str) -> None:
    dial = DialOptions.of(None, f"http://ada:pw-{password}@proxy.example:3128")
    assert f"pw-{password}" not in repr(dial)
    assert dial.proxy is not None
    assert dial.proxy.reveal() == f"http://ada:pw-{password}@proxy.example:3128"


async def test_unreachable_address_falls_back_to_the_next_at_once() -> None:
    class Both(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [
                ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
                for address in ("127.0.0.2", "127.0.0.1")
            ]

        async def close(self) -> None:
            return

    async with ScriptedEnd() as end:
        port = int(end.url.rpartition(":")[2])
        with ExitStack() as stack:
            # It listens at the first address and accepts nothing: its queue is full, and more is not answered.
            deaf = stack.enter_context(socket.socket())
            deaf.bind(("127.0.0.2", port))
            deaf.listen(0)
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)  # noqa: FBT003 - the socket's own spelling
                filler.connect_ex(("127.0.0.2", port))
            async with (
                asyncio.timeout(5),
                aiohttp.ClientSession(connector=Connector(resolver=Both())) as http,
                http.get(f"http://two.example:{port}/users") as reply,
            ):
                assert reply.status == 200

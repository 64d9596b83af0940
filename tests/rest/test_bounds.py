"""Responses are bounded: the decompressed body in bytes, and the lines of the headers."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async import (
    APIError,
    ConfigurationError,
    ConnectTrade,
    Endpoints,
    Limits,
    OrderOutcomeUnknownError,
    Retry,
    Timeouts,
    TransportError,
    tickets,
)
from scripted_server import Act, ScriptedEnd, answer

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE = 1_048_576


def client(url: str, largest: int = MEGABYTE, **settings: Any) -> ConnectTrade:
    limits = Limits(response_bytes=largest)
    return ConnectTrade("client", "hush", endpoints=Endpoints(url), limits=limits, retry=Retry(attempts=1), **settings)


def plain(body: bytes, status: int = 200) -> Act:
    return answer(status, body)


def gzipped(body: bytes, status: int = 200) -> Act:
    return answer(status, gzip.compress(body, 1), content_encoding="gzip")


def deflated(body: bytes, status: int = 200) -> Act:
    return answer(status, zlib.compress(body, 1), content_encoding="deflate")


def chunked(body: bytes, status: int = 200) -> Act:
    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(f"HTTP/1.1 {status} Scripted\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for start in range(0, len(body), 100_000):
            part = body[start : start + 100_000]
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    return act


FORMS = [plain, gzipped, deflated, chunked]


@pytest.mark.parametrize("is_lent", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_body_beyond_response_bytes_raises_an_error_that_names_the_setting(
    form: Callable[[bytes], Act], method: str, *, is_lent: bool
) -> None:
    async with (
        ScriptedEnd(form(b"[" + b" " * 2 * MEGABYTE + b"]"), answer()) as end,
        aiohttp.ClientSession() as http,
        client(end.url, http=http if is_lent else None) as ct,
    ):
        with pytest.raises(TransportError, match=r"more than 1,048,576 bytes: raise Limits\.response_bytes") as caught:
            await ct.request(method, "/orders")
        assert caught.value.kind == "too-large"
        assert (await ct.request("GET", "/orders")).body == b"[]"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, MEGABYTE - 1, MEGABYTE])
async def test_body_up_to_response_bytes_arrives_whole(form: Callable[[bytes], Act], size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with ScriptedEnd(form(body[:size])) as end, client(end.url) as ct:
        assert (await ct.request("GET", "/orders")).body == body[:size]


@given(st.integers(1, 300_000), st.integers(1, 300_000), st.sampled_from(FORMS))
@settings(max_examples=40, deadline=None)
def test_body_limit_is_exact_to_the_byte(size: int, largest: int, form: Callable[[bytes], Act]) -> None:
    async def exchange() -> None:
        async with ScriptedEnd(form(b" " * size)) as end, client(end.url, largest) as ct:
            if size <= largest:
                assert (await ct.request("GET", "/x")).body == b" " * size
            else:
                with pytest.raises(TransportError, match="more than"):
                    await ct.request("GET", "/x")

    asyncio.run(exchange())


@pytest.mark.parametrize("form", [gzipped, deflated])
async def test_compressed_bomb_is_bounded_and_does_not_block_the_loop(form: Callable[[bytes], Act]) -> None:
    bomb = form(b"0" * 300 * MEGABYTE)
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with ScriptedEnd(bomb) as end, client(end.url, 16 * MEGABYTE) as ct:
        working = asyncio.create_task(work())
        tracemalloc.start()
        try:
            with pytest.raises(TransportError, match="more than"):
                await ct.request("GET", "/orders")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            working.cancel()
    assert peak < 48 * MEGABYTE
    assert turns > 14


@pytest.mark.parametrize("form", FORMS)
async def test_large_error_body_is_truncated(form: Callable[..., Act]) -> None:
    body = b'{"message":"' + b"secret token " * MEGABYTE + b'"}'
    async with ScriptedEnd(form(body, 400), answer()) as end, client(end.url, 32 * MEGABYTE) as ct:
        with pytest.raises(APIError) as caught:
            await ct.request("GET", "/orders")
        assert caught.value.status == 400
        assert len(str(caught.value)) < 1000
        await ct.users.list()
    assert end.links == 2  # the rest is not read, so the connection cannot be used again


async def test_error_body_within_the_bound_keeps_its_message() -> None:
    body = b'{"message":"' + b"x" * 60_000 + b' is wrong"}'
    async with ScriptedEnd(answer(422, body)) as end, client(end.url) as ct:
        with pytest.raises(APIError, match="xxx"):
            await ct.users.list()


async def test_place_with_a_too_large_response_looks_the_order_up_and_never_sends_again() -> None:
    ticket = tickets.limit("MSFT", "BUY", qty=1, price="410.50", account_id="a", broker="ALPACA")
    async with (
        ScriptedEnd(answer(201, b" " * 2 * MEGABYTE), answer(200, b'{"orders":[]}')) as end,
        client(end.url, timeouts=Timeouts(settle=0.2)) as ct,
    ):
        with pytest.raises(OrderOutcomeUnknownError):
            await ct.user("u", "whisper").orders.place(ticket)
    assert [seen.method for seen in end.seen].count("POST") == 1


# --- headers


@pytest.mark.parametrize("is_lent", [False, True])
@pytest.mark.parametrize("length", [8_190, 8_200, 60_000, 100_000])
async def test_header_up_to_the_limit_of_curl_is_accepted(length: int, *, is_lent: bool) -> None:
    async with (
        ScriptedEnd(answer(content_security_policy="x" * length)) as end,
        aiohttp.ClientSession() as http,
        client(end.url, http=http if is_lent else None) as ct,
    ):
        response = await ct.request("POST", "/orders", json={})
    assert len(response.headers["content-security-policy"]) == length


async def test_long_reason_phrase_is_accepted() -> None:
    head = b"HTTP/1.1 200 " + b"fine " * 4_000 + b"\r\nContent-Length: 2\r\n\r\n[]"

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(head)
        return True

    async with ScriptedEnd(act) as end, client(end.url) as ct:
        assert await ct.users.list() == []


async def test_header_beyond_header_bytes_raises() -> None:
    limits = Limits(header_bytes=1_000)
    async with (
        ScriptedEnd(answer(content_security_policy="x" * 5_000)) as end,
        ConnectTrade("c", "hush", endpoints=Endpoints(end.url), limits=limits) as ct,
    ):
        with pytest.raises(TransportError) as caught:
            await ct.users.list()
    assert caught.value.kind == "garbled"


@pytest.mark.parametrize("name", ["response_bytes", "header_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "1"])
def test_limits_with_an_invalid_bound_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"Limits.{name} must be"):
        Limits(**{name: value})


# --- hosts


async def test_non_ascii_host_name_is_sent_in_its_idna_form(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []

    async def resolve(host: str, *_: object, **__: object) -> list[Any]:
        resolved.append(host)
        raise OSError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with client("https://b\u00fccher.example") as ct:
        with pytest.raises(TransportError):
            await ct.users.list()
    assert set(resolved) == {"xn--bcher-kva.example"}

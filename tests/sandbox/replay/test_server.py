"""Recordings written by hand, served over real sockets to a bare client."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect as connect_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connecttrade_async.sandbox import RecordingError, Replay, Sandbox

HEADER = {"kind": "header", "format": "connecttrade-recording", "version": 1}
JSON = [["content-type", "application/json"]]
LOGIN = {"action": "authenticate", "client_id": "***", "client_secret": "***"}

Play = Callable[..., Awaitable[Replay]]
Dial = Callable[..., Awaitable[ClientConnection]]


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Play]:
    """Serve lines as a recording, as fast as the conversation allows."""
    async with AsyncExitStack() as stack:

        async def play(*lines: dict[str, Any], speed: float | None = None) -> Replay:
            path = tmp_path / "session.jsonl"
            path.write_text("\n".join(map(json.dumps, (HEADER, *lines))), "utf-8")
            return await stack.enter_async_context(Sandbox.replay(path, speed=speed))

        yield play


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    async with AsyncExitStack() as stack:

        async def dial(url: str) -> ClientConnection:
            return await stack.enter_async_context(connect_socket(url, compression=None, close_timeout=0.2))

        yield dial


def exchange(method: str, path: str, response: object = None, **members: Any) -> dict[str, Any]:
    text = response if response is None or isinstance(response, str) else json.dumps(response)
    made: dict[str, Any] = {
        "kind": "exchange",
        "at": 0.0,
        "took": 0.0,
        "method": method,
        "path": path,
        "query": [],
        "user": None,
    }
    return {**made, "request": None, "status": 200, "headers": JSON, "response": text, "error": None, **members}


def opened(at: float = 0.0, *, session: int = 1, stream: str = "brokerage") -> dict[str, Any]:
    return {"kind": "open", "at": at, "stream": stream, "session": session}


def frame(direction: str, content: object, at: float = 0.0, *, session: int = 1) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(content)
    return {"kind": "frame", "at": at, "session": session, "direction": direction, "text": text}


def closed(code: int, reason: str = "", at: float = 0.0, *, session: int = 1) -> dict[str, Any]:
    return {"kind": "close", "at": at, "session": session, "code": code, "reason": reason}


async def fetch(replay: Replay, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http:
        options: dict[str, Any] = {} if body is None else {"json": body}
        async with http.request(method, replay.url + path, headers=headers, **options) as answer:
            return answer.status, await answer.json()


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def end_of(link: ClientConnection) -> tuple[int | None, str | None]:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            await link.recv()
    return link.protocol.close_code, link.protocol.close_reason


# REST -----------------------------------------------------------------------------------------------------------------


async def test_answers_of_one_operation_come_in_their_order_and_each_once(play: Play) -> None:
    replay = await play(*(exchange("GET", "/users", [{"user_id": name}], at=at) for at, name in ((1, "a"), (2, "b"))))
    assert [await fetch(replay, "GET", "/users") for _ in range(2)] == [
        (200, [{"user_id": "a"}]),
        (200, [{"user_id": "b"}]),
    ]
    status, refused = await fetch(replay, "GET", "/users")
    assert (status, refused["message"]) == (404, "The recording has no GET /users that is not answered yet.")
    assert replay.unmatched == ("GET /users",)


async def test_answer_keeps_its_bytes_status_and_headers(play: Play) -> None:
    text = '{"message" : "caf\u00e9 13.50"}'
    headers = [["Content-Type", "application/problem+json"], ["next-cursor", "c"], ["Content-Length", "9"], ["a", "1"]]
    replay = await play(exchange("GET", "/accounts", text, status=409, headers=[*headers, ["a", "2"]]))
    async with aiohttp.ClientSession() as http, http.get(replay.url + "/accounts") as answer:
        assert (answer.status, await answer.text("utf-8")) == (409, text)
        assert (answer.headers["next-cursor"], answer.headers.getall("a")) == ("c", ["1", "2"])
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["content-length"]) == len(text.encode())


async def test_query_decides_between_recorded_answers(play: Play) -> None:
    replay = await play(
        exchange("GET", "/orders", [1], query=[["limit", "2"], ["status", "all"]]),
        exchange("GET", "/orders", [2], query=[["limit", "3"]]),
        exchange("GET", "/orders", [3], query=[["limit", "2"], ["start_time", "2026-01-01T00:00:00Z"]]),
    )
    assert await fetch(replay, "GET", "/orders?limit=3") == (200, [2])
    assert await fetch(replay, "GET", "/orders?limit=2&start_time=2030-01-01T00:00:00Z") == (200, [3])
    assert (await fetch(replay, "GET", "/orders?limit=4"))[0] == 404
    assert await fetch(replay, "GET", "/orders?status=all&limit=2") == (200, [1])
    assert replay.unmatched == ("GET /orders with the query limit",)


async def test_ids_that_the_client_chooses_come_back_in_answers(play: Play) -> None:
    order = {"order_id": "o-1", "cl_order_id": "recorded", "account_id": "a-1", "order_qty": 13.50}
    sent = {"cl_order_id": "recorded", "account_id": "a-1", "order_qty": "5", "symbol": "AAPL"}
    text = '{"order_id":"o-1","cl_order_id":"recorded","account_id":"a-1","order_qty":13.50,"note":"recorded"}'
    replay = await play(
        exchange("POST", "/users", {"user_id": "u-9", "user_secret": "***"}, request='{"user_id":"u-9"}'),
        exchange("POST", "/orders", text, request=json.dumps(sent), user="u-9"),
        exchange("GET", "/orders", [order], user="u-9"),
        exchange("DELETE", "/users/u-9", {"user_id": "u-9"}),
    )
    assert (await fetch(replay, "POST", "/users", {"user_id": "jane"}))[1]["user_id"] == "jane"
    async with aiohttp.ClientSession() as http:
        body = {**sent, "cl_order_id": "mine", "order_qty": "7"}
        async with http.post(replay.url + "/orders", json=body, headers={"user-id": "jane"}) as answer:
            assert await answer.text() == text.replace('"cl_order_id":"recorded"', '"cl_order_id": "mine"').replace(
                ": ", ":"
            )
    [found] = (await fetch(replay, "GET", "/orders", **{"user-id": "jane"}))[1]
    assert found == {**order, "cl_order_id": "mine"}
    assert await fetch(replay, "DELETE", "/users/jane") == (200, {"user_id": "jane"})
    assert replay.unmatched == replay.unused == ()


async def test_body_of_another_shape_is_not_matched(play: Play) -> None:
    replay = await play(exchange("POST", "/orders", {}, request='{"cl_order_id":"a","legs":[{"ratio":"1"}]}', user="u"))
    user = {"user-id": "u"}
    others: list[Any] = [{}, {"legs": []}, {"legs": [{"ratio": 1}]}]
    for other in others:
        assert (await fetch(replay, "POST", "/orders", {"cl_order_id": "b", **other}, **user))[0] == 404
    assert (await fetch(replay, "POST", "/orders", {"cl_order_id": "b", "legs": [{"ratio": "2"}]}))[0] == 404
    assert (await fetch(replay, "POST", "/orders", {"cl_order_id": "b", "legs": [{"ratio": "2"}]}, **user))[0] == 200
    assert len(replay.unmatched) == 4


async def test_one_user_never_gets_the_answers_of_another(play: Play) -> None:
    replay = await play(
        exchange("GET", "/balances", [{"cash": "1"}], user="u-1"),
        exchange("GET", "/balances", [{"cash": "2"}], user="u-2", at=1),
        exchange("GET", "/balances", [{"cash": "3"}], user="u-1", at=2),
    )
    one, other = {"user-id": "u-2"}, {"user-id": "jane"}
    assert await fetch(replay, "GET", "/balances", **one) == (200, [{"cash": "2"}])
    assert (await fetch(replay, "GET", "/balances", **one))[0] == 404
    assert [(await fetch(replay, "GET", "/balances", **other))[1][0]["cash"] for _ in range(2)] == ["1", "3"]


async def test_account_that_the_recording_knows_never_gets_the_answer_of_another(play: Play) -> None:
    accounts = [{"account_id": "a-1"}, {"account_id": "a-2"}]
    balance = [{"account_id": "a-1", "cash": "1"}]
    replay = await play(
        exchange("GET", "/accounts", accounts, user="u"),
        exchange("GET", "/balances", balance, query=[["account_id", "a-1"]], user="u"),
    )
    assert (await fetch(replay, "GET", "/balances?account_id=a-2", **{"user-id": "u"}))[0] == 404
    assert await fetch(replay, "GET", "/balances?account_id=a-1", **{"user-id": "u"}) == (200, balance)


async def test_request_that_got_no_answer_loses_its_connection(play: Play) -> None:
    lost = {"status": None, "headers": None, "response": None, "error": "the connection was lost"}
    replay = await play(exchange("POST", "/users", **lost), exchange("POST", "/users", [], at=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await fetch(replay, "POST", "/users")
    assert await fetch(replay, "POST", "/users") == (200, [])


async def test_operation_with_a_template_of_its_own_matches_other_ids(play: Play) -> None:
    replay = await play(
        exchange("GET", "/v2/books/b%2F1/b", [], operation="GET /v2/books/{book}/b"), exchange("GET", "/v2/books/c", [])
    )
    assert (await fetch(replay, "GET", "/v2/books/c"))[0] == 200
    assert (await fetch(replay, "GET", "/v2/books/d"))[0] == 404
    assert replay.unused == ("GET /v2/books/{book}/b",)
    assert (await fetch(replay, "GET", "/v2/books/b/1/b"))[0] == 404
    assert (await fetch(replay, "GET", "/v2/books/other/b"))[0] == 200


# Streams --------------------------------------------------------------------------------------------------------------

STORY = (
    opened(),
    frame("in", {"type": "welcome"}, 0.1),
    frame("out", LOGIN, 0.2),
    frame("in", {"type": "authenticated"}, 0.3),
    frame("out", {"action": "subscribe", "topics": ["orders", "balances"]}, 0.4),
    frame("in", {"type": "subscribed", "topics": ["orders", "balances"]}, 0.5),
    frame("in", '{"type":"order","data":{"avg_fill_price":13.50}}', 0.6),
)


async def login(link: ClientConnection, *topics: str) -> None:
    assert await read(link) == {"type": "welcome"}
    await link.send(json.dumps({"action": "authenticate", "client_id": "mine", "client_secret": "hush"}))
    assert await read(link) == {"type": "authenticated"}
    await link.send(json.dumps({"action": "subscribe", "topics": topics or ["balances", "orders"]}))


async def test_session_plays_frames_in_order_and_closes_as_recorded(play: Play, dial: Dial) -> None:
    replay = await play(*STORY, closed(4409, "Another session.", 0.7))
    link = await dial(replay.endpoints.stream)
    await login(link)
    assert (await read(link))["type"] == "subscribed"
    async with asyncio.timeout(5):
        assert await link.recv() == STORY[-1]["text"]
    assert await end_of(link) == (4409, "Another session.")
    assert replay.unmatched == replay.unused == ()


@pytest.mark.parametrize(("code", "reason"), [(1000, "over"), (1001, ""), (1006, None), (1005, ""), (1015, None)])
async def test_session_ends_with_the_recorded_code(play: Play, dial: Dial, code: int, reason: str | None) -> None:
    replay = await play(opened(), frame("in", {"type": "welcome"}), closed(code, reason or ""))
    link = await dial(replay.endpoints.stream)
    assert await read(link) == {"type": "welcome"}
    assert await end_of(link) == (1006 if reason is None else code, reason or "")


async def test_dropped_session_loses_no_frame_and_the_next_connection_plays_the_next_session(
    play: Play, dial: Dial
) -> None:
    many = [frame("in", {"number": number, "text": "x" * 1000}) for number in range(500)]
    replay = await play(
        opened(), *many, closed(1006), opened(1, session=2), frame("in", {"type": "welcome"}, 1, session=2)
    )
    link = await dial(replay.endpoints.stream)
    assert [(await read(link))["number"] for _ in many] == list(range(500))
    assert await end_of(link) == (1006, "")
    second = await dial(replay.endpoints.stream)
    assert await read(second) == {"type": "welcome"}
    with pytest.raises(InvalidStatus, match="404"):
        await dial(replay.endpoints.stream)
    assert replay.unmatched == ("brokerage: one more session",)


async def test_next_frames_wait_for_the_frames_of_the_client_in_any_order(play: Play, dial: Dial) -> None:
    outs = [
        {"action": "subscribe", "id": number, "channel": "quotes", "symbols": [name]}
        for number, name in ((7, "F"), (8, "ZM"))
    ]
    replay = await play(
        opened(stream="market_data"),
        *(frame("out", each) for each in outs),
        *(frame("in", {"type": "subscribed", "id": number}) for number in (7, 8)),
        {"kind": "frame", "at": 0.0, "session": 1, "direction": "in", "base64": "AAE="},
    )
    link = await dial(replay.endpoints.market_data)
    await link.send(json.dumps({**outs[1], "id": 31}))
    async with asyncio.timeout(5):
        await (await link.ping())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await link.recv()
    await link.send(json.dumps({**outs[0], "id": 32}))
    assert [(await read(link))["id"] for _ in outs] == [32, 31]
    async with asyncio.timeout(5):
        assert await link.recv() == b"\x00\x01"


async def test_frame_that_the_recording_does_not_have_is_listed_without_its_content(play: Play, dial: Dial) -> None:
    replay = await play(*STORY)
    link = await dial(replay.endpoints.stream)
    await login(link, "positions")
    await link.send("no JSON")
    await link.send(json.dumps({"action": "subscribe", "topics": ["orders", "balances"]}))
    assert (await read(link))["type"] == "subscribed"
    assert replay.unmatched == (
        "brokerage session 1: a frame with the action 'subscribe'",
        "brokerage session 1: a frame",
    )
    assert "hush" not in repr(replay) + repr(replay.unmatched)


async def test_ids_of_rest_come_back_in_the_frames_of_a_stream(play: Play, dial: Dial) -> None:
    event = '{"type":"order","data":{"cl_order_id":"recorded","side":"recorded"}}'
    replay = await play(
        exchange("POST", "/orders", {"order_id": "o-1"}, request='{"cl_order_id":"recorded"}'),
        opened(),
        frame("out", LOGIN),
        frame("in", event),
    )
    link = await dial(replay.endpoints.stream)
    await fetch(replay, "POST", "/orders", {"cl_order_id": "mine"})
    await link.send(json.dumps(LOGIN))
    assert (await read(link))["data"] == {"cl_order_id": "mine", "side": "recorded"}


async def test_frame_waits_for_the_request_that_was_recorded_before_it(play: Play, dial: Dial) -> None:
    replay = await play(opened(), frame("in", 1, 1), exchange("GET", "/users", [], at=2), frame("in", 2, 3))
    link = await dial(replay.endpoints.stream)
    assert await read(link) == 1
    reading = asyncio.create_task(read(link))
    await asyncio.sleep(0.05)
    assert not reading.done()
    assert await fetch(replay, "GET", "/users") == (200, [])
    assert await reading == 2


async def test_client_that_sends_no_request_waits_a_second_once(play: Play, dial: Dial) -> None:
    asks = [exchange("GET", "/users", [number], at=number + 0.5) for number in range(20)]
    replay = await play(opened(), *asks, *(frame("in", number, number) for number in range(20)), closed(1001, at=30))
    begun = asyncio.get_running_loop().time()
    link = await dial(replay.endpoints.stream)
    assert [await read(link) for _ in range(20)] == list(range(20))
    assert await end_of(link) == (1001, "")
    assert asyncio.get_running_loop().time() - begun < 4
    assert await fetch(replay, "GET", "/users") == (200, [0])


async def test_times_pass_as_recorded_divided_by_the_speed(play: Play, dial: Dial) -> None:
    replay = await play(
        opened(10),
        frame("in", 1, 12),
        frame("in", 2, 14),
        exchange("GET", "/users", [], at=15, took=2.0),
        speed=20,
    )
    clock = asyncio.get_running_loop().time
    begun = clock()
    link = await dial(replay.endpoints.stream)
    assert await read(link) == 1
    first = clock() - begun
    assert await read(link) == 2
    second = clock() - begun
    await fetch(replay, "GET", "/users")
    third = clock() - begun
    assert 0.1 <= first < second
    assert second >= 0.2
    assert third >= 0.3


# Start and stop -------------------------------------------------------------------------------------------------------


async def test_replay_closes_at_once_while_waits_are_long(play: Play, dial: Dial) -> None:
    before = asyncio.all_tasks()
    replay = await play(opened(), frame("in", 1, 9999), exchange("GET", "/users", [], took=9999), speed=1)
    link = await dial(replay.endpoints.stream)
    waiting = asyncio.create_task(fetch(replay, "GET", "/users"))
    while replay.unused:  # noqa: ASYNC110  the replay has no event for it
        await asyncio.sleep(0.001)
    async with asyncio.timeout(5):
        await replay.aclose()
        await replay.aclose()
        await asyncio.wait([waiting])
    assert (await end_of(link))[0] == 1001
    await asyncio.sleep(0.01)
    assert {task for task in asyncio.all_tasks() - before if "replay" in repr(task)} == set()


async def test_replay_that_is_started_again_plays_from_the_beginning(play: Play) -> None:
    replay = await play(exchange("GET", "/users", []))
    for _ in range(2):
        assert await fetch(replay, "GET", "/users") == (200, [])
        assert (await fetch(replay, "GET", "/users"))[0] == 404
        with pytest.raises(RuntimeError, match="already started"):
            await replay.start()
        await replay.aclose()
        assert "closed" in repr(replay)
        await replay.start()
        assert replay.unmatched == ()


async def test_malformed_file_raises_at_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_text(json.dumps(HEADER) + "\n{")
    replay = Sandbox.replay(path)
    with pytest.raises(RecordingError, match=r"session\.jsonl, line 2: "):
        await replay.start()
    assert "closed" in repr(replay)
    with pytest.raises(FileNotFoundError):
        await Sandbox.replay(tmp_path / "none.jsonl").start()


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_speed_must_be_above_zero(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        Sandbox.replay("session.jsonl", speed=speed)


def test_replay_runs_in_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_text("\n".join(map(json.dumps, (HEADER, exchange("GET", "/users", [])))))
    with Sandbox.replay(path).in_thread() as replay:
        with urlopen(replay.endpoints.api + "/users", timeout=5) as answer:  # noqa: S310  our own URL
            assert json.load(answer) == []
        assert replay.call(lambda inner: inner.unused) == ()

"""Both streams in every dialect, through bare WebSockets that speak the form that the server hears."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from websockets.exceptions import ConnectionClosed

from connecttrade_async.sandbox import RefusalError, Sandbox, SandboxDialect, StreamFault
from connecttrade_async.sandbox.dialect import PRESETS, BrokerageForms, MarketForms
from connecttrade_async.sandbox.dialect.members import id_number
from connecttrade_async.sandbox.dialect.streams import (
    BrokerageEvents,
    BrokerageMessages,
    BrokerageRequests,
    EventForms,
    Heartbeat,
    MarketEvents,
    MarketRequests,
    SessionEnding,
    SessionEndings,
    SubscriptionOptionPaths,
)
from dialect_peer import DialectPeer, Event, dialed
from dialects import sandbox_dialects

EXAMPLES = 40
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TOPICS = ["orders", "positions", "balances"]
PAYLOADS: dict[str, dict[str, Any]] = {
    "orders": {
        "order_id": "o1",
        "account_id": "a1",
        "side": "SELL_SHORT",
        "order_type": "LMT",
        "order_qty": "1.50",
        "status": "partially_filled",
        "fills": [{"fill_id": "7", "quantity": "0.10", "price": "410.250000001"}],
        "avg_fill_price": None,
    },
    "positions": {"account_id": "a1", "account_number": "0042", "symbol": "F", "quantity": "-3", "total_pl": "0.00"},
    "balances": {"account_id": "a1", "account_number": "0042", "cash": "12345678901234567.123456789"},
}
QUOTE = {"bid_price": "410.10", "bid_size": "300", "last_price": "0.000000001", "timestamp": "2026-07-01T12:00:00Z"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def served() -> Any:
    async with Sandbox(seed=7) as sandbox:
        sandbox.clock.hold(NOON)
        yield sandbox


async def logged_in(sandbox: Sandbox, peer: DialectPeer, topics: list[str] = TOPICS) -> None:
    """Log in and subscribe to one topic after another; everything is done when this returns."""
    await peer.send("authenticate", client_id=sandbox.client_id, client_secret=sandbox.client_secret)
    for topic in topics:
        await peer.send("subscribe", topics=[topic], id="1")
    await settled(peer)


async def settled(peer: DialectPeer) -> None:
    """Wait until the server has read everything that was sent before."""
    async with asyncio.timeout(20):
        await (await peer.socket.ping())


async def token_of(sandbox: Sandbox, user_id: str = "jane") -> str:
    world = sandbox.world
    user = world.users.get(user_id) or world.create_user(user_id)
    if not user.connections:
        link = world.invite(user, "market_data", "https://app.example/", sandbox.clock.now())
        await sandbox.approve(f"{sandbox.url}/connect/{link.token}", "ALPACA")
    return sandbox.market.replace_token(next(iter(user.connections)))


def owner_of(event: Event, forms: BrokerageForms) -> tuple[Any, Any]:
    """Return the user and the account where the dialect has them."""
    beside = event.beside if forms.events.payload else event.payload
    account = event.payload.get("account", {})
    places = {"frame": beside, "both": beside, "payload": event.payload, "account": account, "absent": {}}
    return (
        places[forms.events.user_id].get("user_id"),
        places[forms.events.account_id].get("account_id"),
    )


def plain(forms: BrokerageForms, value: Any, name: str = "") -> Any:
    """Return a payload in the spelling to which the peer reduces every dialect's."""
    if isinstance(value, dict):
        return {key: plain(forms, one, key) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(forms, one) for one in cast("Any", value)]
    if name in {"account_id", "order_id", "fill_id"} and forms.events.ids == "number":
        return str(id_number(value))
    return value.lower() if name in {"side", "order_type", "status"} else value


async def check_brokerage(sandbox: Sandbox, forms: BrokerageForms) -> None:
    """Log in, subscribe, and compare what is published with what arrives."""
    async with dialed(sandbox.endpoints.stream, forms) as peer:
        await logged_in(sandbox, peer)
        assert sandbox.stream.sessions[-1].topics == tuple(sorted(TOPICS))
        for topic in TOPICS:
            sandbox.stream.publish(topic, "jane", "a1", PAYLOADS[topic], timestamp="2026-07-01T12:00:00Z")
            sandbox.stream.publish(topic, "joe", "a2", PAYLOADS[topic] | {"account_id": "a2"})
        events = await peer.read_events(6)
        assert [event.kind for event in events] == ["order", "order", "position", "position", "balance", "balance"]
        for event, topic in zip(events, [topic for topic in TOPICS for _ in range(2)], strict=True):
            for name, value in PAYLOADS[topic].items():
                if name not in {"account_id", "account_number"}:
                    assert event.payload[name] == plain(forms, value, name), name
        user = None if forms.events.user_id == "absent" else "jane"
        assert [owner_of(event, forms) for event in events[::2]] == [(user, plain(forms, "a1", "account_id"))] * 3
        assert {owner_of(event, forms)[1] for event in events[1::2]} == {plain(forms, "a2", "account_id")}


async def check_market(sandbox: Sandbox, forms: MarketForms, token: str) -> None:
    """Log in, subscribe, ask for bars, and compare what is published with what arrives."""
    async with dialed(sandbox.endpoints.market_data, forms) as peer:
        await peer.send("authenticate", access_token=token)
        for symbol in ("AAPL", "MSFT"):
            await peer.send("subscribe", channel="quotes", symbols=[symbol], id="1")
        await peer.send("subscribe", channel="bars", symbols=["AAPL"], interval="5m", id="2")
        await peer.send("subscribe", channel="trades", symbols=["AAPL"], session="regular", id="3")
        await settled(peer)
        assert [(one["channel"], one["symbols"]) for one in sandbox.market.subscriptions().popitem()[1]] == [
            ("quotes", ["AAPL", "MSFT"]),
            ("bars", ["AAPL"]),
            ("trades", ["AAPL"]),
        ]
        sandbox.market.publish("quotes", "MSFT", QUOTE)
        sandbox.market.publish("bars", "AAPL", {"interval": "5m", "open": "1.0"}, interval="5m")
        sandbox.market.publish("trades", "AAPL", {"session": "regular", "price": "7.7"})
        found: list[Event] = []
        while not found or found[-1].kind != "trade":
            found += await peer.read_events(1)
        *_, quote, bar, trade = found
        symbols = [event.payload | event.beside for event in (quote, bar, trade)]
        assert [one["symbol"] for one in symbols] == ["MSFT", "AAPL", "AAPL"]
        assert quote.payload | QUOTE == quote.payload
        assert (bar.payload["interval"], bar.payload["open"]) == ("5m", "1.0")
        assert (trade.payload["session"], trade.payload["price"]) == ("regular", "7.7")
        assert forms.messages.snapshot is not None
        await peer.send("snapshot", channel="bars", symbols=["AAPL"], interval="5m", limit="2", id="4")
        while len(bars := [one for one in members_of(await peer.read()) if "open" in one and "close" in one]) != 2:
            pass
        assert all("volume" in one for one in bars)


def members_of(text: str) -> list[dict[str, Any]]:
    """Return every object in a frame, however deep."""
    found: list[dict[str, Any]] = []

    def keep(members: dict[str, Any]) -> dict[str, Any]:
        found.append(members)
        return members

    json.loads(text, object_hook=keep)
    return found


# --- every preset


@pytest.mark.parametrize("name", PRESETS)
async def test_preset_of_the_brokerage_stream_delivers_what_is_published(served: Sandbox, name: str) -> None:
    served.dialect = name
    await check_brokerage(served, PRESETS[name].brokerage)


@pytest.mark.parametrize("name", PRESETS)
async def test_preset_of_the_market_data_stream_delivers_what_is_published(served: Sandbox, name: str) -> None:
    served.dialect = name
    await check_market(served, PRESETS[name].market_data, await token_of(served))


OWNER = {"user_id": "jane", "account_id": "a1"}
POSITION = {"account_id": "a1", "account_number": "0042", "symbol": "F", "quantity": "-3", "total_pl": "0.00"}
ASSUMED = {"type": "position", **OWNER, "timestamp": "T", "data": POSITION}
FRAMES: dict[str, Any] = {
    "assumed": ASSUMED,
    "rest_object": {"type": "position", "timestamp": "T", "data": POSITION | {"user_id": "jane"}},
    "topic_data": {"topic": "positions", **OWNER, "timestamp": "T", "data": POSITION},
    "topic_list": {"topic": "positions", **OWNER, "timestamp": "T", "data": [POSITION]},
    "channel_payload": {"channel": "positions", **OWNER, "timestamp": "T", "payload": POSITION},
    "type_update": {"type": "position_update", **OWNER, "timestamp": "T", "data": POSITION},
    "camel": {
        "type": "position",
        "userId": "jane",
        "accountId": "a1",
        "timestamp": "T",
        "data": {"accountId": "a1", "accountNumber": "0042", "symbol": "F", "quantity": "-3", "totalPl": "0.00"},
    },
    "numbers": {
        **ASSUMED,
        "account_id": id_number("a1"),
        "data": POSITION | {"account_id": id_number("a1"), "quantity": -3, "total_pl": 0.0},
    },
    "messages": [{"T": "position", **POSITION, **OWNER, "timestamp": "T"}],
    "no_acks": ASSUMED,
    "silent_heartbeat": ASSUMED,
    "event_heartbeat": ASSUMED,
    "strict": ASSUMED,
    "type_not_action": ASSUMED,
}


@pytest.mark.parametrize("name", FRAMES)
async def test_preset_writes_an_event_in_its_form(served: Sandbox, name: str) -> None:
    served.dialect = name
    async with dialed(served.endpoints.stream, PRESETS[name].brokerage) as peer:
        await logged_in(served, peer)
        served.stream.publish("positions", "jane", "a1", PAYLOADS["positions"], timestamp="T")
        await peer.read_events(1)
        assert json.loads(peer.frames[-1]) == FRAMES[name]
    assert FRAMES.keys() == PRESETS.keys()


async def test_assumed_dialect_sends_the_frames_of_the_wire_contract_byte_for_byte(served: Sandbox) -> None:
    async with dialed(served.endpoints.stream, BrokerageForms()) as peer:
        await logged_in(served, peer, ["positions"])
        served.stream.publish("positions", "jané", "a1", {"symbol": "F", "quantity": "1.50"}, timestamp="T")
        await peer.send("subscribe", topics=["pets"], id="9")
        assert [await peer.read() for _ in range(5)] == [
            '{"type":"welcome","message":"Welcome to the sandbox\'s brokerage data stream. Please authenticate."}',
            '{"type":"authenticated"}',
            '{"type":"subscribed","topics":["positions"]}',
            '{"type":"position","user_id":"jan\\u00e9","account_id":"a1","timestamp":"T","data":{"symbol":"F","quantity":"1.50"}}',
            '{"type":"error","id":"9","code":"400","message":"topics must be some of orders, positions, balances."}',
        ]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("stream", ['[{"T":"success","msg":"connected"}]', '[{"T":"success","msg":"authenticated"}]']),
        ("market_data", ['[{"T":"success","msg":"connected"}]', '[{"T":"success","msg":"authenticated"}]']),
    ],
)
async def test_preset_messages_sends_arrays_with_t_and_msg(served: Sandbox, stream: str, expected: list[str]) -> None:
    served.dialect = "messages"
    forms: Any = {"stream": PRESETS["messages"].brokerage, "market_data": PRESETS["messages"].market_data}[stream]
    login = {"client_id": served.client_id, "client_secret": served.client_secret}
    async with dialed(getattr(served.endpoints, stream), forms) as peer:
        await peer.send("authenticate", **(login if stream == "stream" else {"access_token": await token_of(served)}))
        assert [await peer.read() for _ in range(2)] == expected


# --- any dialect


def test_any_drawn_dialect_delivers_what_is_published_to_a_peer_that_speaks_it() -> None:
    with asyncio.Runner() as runner:
        sandbox = Sandbox(seed=7)
        runner.run(sandbox.start())
        sandbox.clock.hold(NOON)
        token = runner.run(token_of(sandbox))

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(sandbox_dialects())
        def check(dialect: SandboxDialect) -> None:
            sandbox.dialect = dialect
            assert SandboxDialect.from_dict(json.loads(json.dumps(dialect.to_dict()))) == dialect
            runner.run(check_brokerage(sandbox, dialect.brokerage))
            runner.run(check_market(sandbox, dialect.market_data, token))
            runner.run(refuse(sandbox, dialect.brokerage))

        check()
        runner.run(sandbox.aclose())


async def refuse(sandbox: Sandbox, forms: BrokerageForms) -> None:
    """A wrong secret is refused as the dialect says: by a frame, by a close, or by both."""
    ending = forms.endings.refused
    async with dialed(sandbox.endpoints.stream, forms) as peer:
        await peer.send("authenticate", client_id=sandbox.client_id, client_secret="wrong")
        await settled(peer) if ending.by == "frame" else None
        if ending.by == "frame":
            assert sandbox.stream.sessions[-1].phase == "welcomed"
            return
        code, reason = await peer.read_end()
        assert (code, bool(reason)) == (ending.code, ending.reason != "none")


# --- single choices


async def test_request_in_another_form_is_refused(served: Sandbox) -> None:
    served.dialect = SandboxDialect(brokerage=BrokerageForms(requests=BrokerageRequests(action="op")))
    async with dialed(served.endpoints.stream, BrokerageForms()) as peer:
        await peer.send("authenticate", client_id=served.client_id, client_secret=served.client_secret)
        assert await peer.read_end() == (4401, "Not authenticated.")


@pytest.mark.parametrize("name", ["strict", "assumed"])
async def test_strict_preset_alone_refuses_an_unknown_member(served: Sandbox, name: str) -> None:
    served.dialect = name
    async with dialed(served.endpoints.stream, PRESETS[name].brokerage) as peer:
        await logged_in(served, peer, ["orders"])
        await peer.socket.send('{"action": "subscribe", "topics": ["balances"], "colour": "red"}')
        await settled(peer)
        assert ("balances" in served.stream.sessions[-1].topics) == (name == "assumed")


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("all", [["orders", "balances"]]),
        ("each", [["orders"], ["balances"]]),
        ("held", [["balances", "orders", "positions"]]),
        ("first", [["orders"]]),
    ],
)
async def test_acknowledgement_names_topics_as_the_dialect_says(
    served: Sandbox, style: Any, expected: list[list[str]]
) -> None:
    forms = BrokerageForms(messages=BrokerageMessages(acknowledges=style))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        await logged_in(served, peer, ["positions"])
        await peer.send("subscribe", topics=["orders", "balances"])
        await settled(peer)
        frames = [json.loads(await peer.read()) for _ in range(3 + len(expected))]
        assert [frame["topics"] for frame in frames[3:]] == expected
        assert ("balances" in served.stream.sessions[-1].topics) == (style != "first")


@pytest.mark.parametrize(
    ("batch", "listed", "frames"), [("list", "no", 3), ("lines", "no", 3), ("none", "many", 3), ("none", "one", 250)]
)
async def test_events_that_are_published_together_share_frames(
    served: Sandbox, batch: Any, listed: Any, frames: int
) -> None:
    forms = BrokerageForms(events=BrokerageEvents(batch=batch, listed=listed))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        await logged_in(served, peer, ["orders"])
        await served.stream.burst(250)
        events = await peer.read_events(250)
        assert [event.payload["order_id"] for event in events] == [f"burst-{n}" for n in range(1, 251)]
        assert len([text for text in peer.frames if "burst" in text]) == frames
    logged = [sent.serial for sent in served.stream.log if sent.kind == "order"]
    assert logged == list(range(1, 251))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("lose", ["1", "3"]),
        ("duplicate", ["1", "2", "2", "3"]),
        ("reorder", ["1", "3", "2"]),
        ("unknown", ["1", "2", "3"]),
        ("drop", ["1", "2"]),
        ("tear", ["1"]),
    ],
)
async def test_fault_strikes_one_event_of_several_in_a_frame(served: Sandbox, fault: Any, expected: list[str]) -> None:
    forms = BrokerageForms(events=BrokerageEvents(batch="list", listed="many"))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        await logged_in(served, peer, ["orders"])
        served.stream.faults.add(StreamFault(fault, after=1))
        await served.stream.burst(3)
        events = await peer.read_events(len(expected))
        assert [event.payload["order_id"] for event in events] == [f"burst-{number}" for number in expected]


@pytest.mark.parametrize("by", ["both", "frame", "close"])
@pytest.mark.parametrize("reason", ["sentence", "message", "none"])
async def test_displaced_session_ends_as_the_dialect_says(served: Sandbox, by: Any, reason: Any) -> None:
    forms = BrokerageForms(endings=SessionEndings(displaced=SessionEnding(by=by, code=4009, reason=reason)))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        await logged_in(served, peer, ["orders"])
        served.stream.displace()
        code, sentence = await peer.read_end()
        words = {"sentence": "Another session.", "message": "There is another session with these credentials."}
        assert (code, sentence) == ((1006, "") if by == "frame" else (4009, words.get(reason, "")))
        assert any("error" in text for text in peer.frames) == (by != "close")


async def test_login_that_is_late_ends_with_the_close_code_of_the_dialect(served: Sandbox) -> None:
    forms = BrokerageForms(endings=SessionEndings(late_code=3333))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        await settled(peer)
        served.clock.advance(31)
        assert (await peer.read_end())[0] == 3333


async def test_message_that_is_no_json_is_sent_as_it_is(served: Sandbox) -> None:
    forms = BrokerageForms(messages=BrokerageMessages(welcome="Welcome: {message}", authenticated=None))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        assert (await peer.read()).startswith("Welcome: Welcome to the sandbox")
        await logged_in(served, peer, ["orders"])
        assert json.loads(await peer.read())["type"] == "subscribed"


async def test_addressed_error_names_only_what_it_concerns(served: Sandbox) -> None:
    async with dialed(served.endpoints.stream, BrokerageForms()) as peer:
        await logged_in(served, peer, ["orders"])
        served.stream.publish_error("The broker is down.", 503, user_id="jane", account_id="a1")
        for _ in range(3):
            await peer.read()
        told = {"type": "error", "user_id": "jane", "account_id": "a1", "code": "503", "message": "The broker is down."}
        assert json.loads(await peer.read()) == told


async def test_addressed_error_of_market_data_names_channel_and_symbol(served: Sandbox) -> None:
    forms = MarketForms(channels=PRESETS["assumed"].market_data.channels)
    async with dialed(served.endpoints.market_data, forms) as peer:
        await peer.send("authenticate", access_token=await token_of(served))
        await settled(peer)
        served.market.publish_error("No data.", channel="quotes", symbol="AAPL")
        frames = [json.loads(await peer.read()) for _ in range(3)]
        told = {"type": "error", "channel": "quotes", "symbol": "AAPL", "code": "500", "message": "No data."}
        assert frames[-1] == told


# --- heartbeats


@pytest.mark.parametrize("since", ["welcome", "login"])
async def test_heartbeat_comes_by_itself_and_needs_no_answer(served: Sandbox, since: Any) -> None:
    beat = Heartbeat(frame={"event": "heartbeat", "time": "{time}"}, every=0.01, since=since)
    served.dialect = SandboxDialect(brokerage=BrokerageForms(heartbeat=beat))
    async with dialed(served.endpoints.stream, BrokerageForms()) as peer:
        assert json.loads(await peer.read())["type"] == "welcome"
        if since == "login":
            await peer.send("authenticate", client_id=served.client_id, client_secret=served.client_secret)
            assert json.loads(await peer.read())["type"] == "authenticated"
        for _ in range(3):
            assert json.loads(await peer.read()) == {"event": "heartbeat", "time": "2026-07-01T12:00:00+00:00"}


PING = Heartbeat(frame={"op": "ping", "id": "{id}"}, pong={"op": "pong", "id": "{id}"}, every=0.01, pong_within=0.3)


async def test_ping_that_is_answered_keeps_the_session(served: Sandbox) -> None:
    forms = BrokerageForms(heartbeat=PING)
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, forms) as peer:
        await logged_in(served, peer, ["orders"])
        for _ in range(2):  # the welcome and the answer to the login
            await peer.read()
        await peer.read()
        async with asyncio.timeout(5):
            await served.stream.log.until(lambda: served.stream.log.received["pong"] > 50)
        served.stream.publish("orders", "jane", "a1", {"order_id": "1"})
        assert json.loads(await peer.read())["data"] == {"order_id": "1"}


async def test_ping_that_is_not_answered_ends_the_session(served: Sandbox) -> None:
    forms = BrokerageForms(heartbeat=replace(PING, close_code=4410, pong_within=0.05))
    served.dialect = SandboxDialect(brokerage=forms)
    async with dialed(served.endpoints.stream, BrokerageForms()) as peer:
        await logged_in(served, peer, ["orders"])
        await peer.socket.send('{"op": "pong", "id": "0"}')  # the answer to none of them
        assert await peer.read_end() == (4410, "No pong in time.")


# --- what no coherent server has


@pytest.mark.parametrize(
    "wrong",
    [
        {"brokerage": {"events": {"ids": "number"}}},
        {"brokerage": {"requests": {"topics": "action"}}},
        {"brokerage": {"requests": {"client_id": "auth", "client_secret": "auth.secret"}}},
        {"brokerage": {"requests": {"subscribe": "authenticate"}}},
        {"brokerage": {"requests": {"action": "a..b"}}},
        {"brokerage": {"messages": {"welcome": {"type": "{sender}"}}}},
        {"brokerage": {"messages": {"acknowledges": "some"}}},
        {"brokerage": {"events": {"order": "balance"}}},
        {"brokerage": {"events": {"payload": "", "listed": "one"}}},
        {"brokerage": {"events": {"payload": "{symbol}"}}},
        {"brokerage": {"events": {"tag": "event", "payload": "event"}}},
        {"brokerage": {"events": {"names": {"symbol": "type"}}}},
        {"brokerage": {"events": {"names": {"symbol": "x", "side": "x"}}}},
        {"brokerage": {"heartbeat": {"pong": {"type": "pong"}}}},
        {"brokerage": {"heartbeat": {"frame": {"type": "{message}"}}}},
        {"brokerage": {"heartbeat": {"every": 0}}},
        {"brokerage": {"endings": {"late_code": 1005}}},
        {"brokerage": {"endings": {"refused": {"by": "post"}}}},
        {"market_data": {"channels": {"quotes": "trades"}}},
        {"market_data": {"requests": {"options": {"interval": "symbols"}}}},
        {"market_data": {"intervals": "weeks"}},
    ],
    ids=str,
)
def test_dialect_of_no_coherent_server_is_refused_with_one_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^dialect must be an object with the fields of a dialect, got one where "):
        SandboxDialect.from_dict(wrong)


def test_dialect_made_in_python_with_a_wrong_value_is_refused_by_the_sandbox() -> None:
    forms: Any = BrokerageForms(events=BrokerageEvents(case="kebab"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dialect must be an object"):
        Sandbox(dialect=SandboxDialect(brokerage=forms))
    with pytest.raises(ValueError, match="dialect must be one of assumed, rest_object"):
        Sandbox(dialect="esperanto")


async def test_market_data_words_of_another_dialect_are_refused(served: Sandbox) -> None:
    options = SubscriptionOptionPaths(interval="options.timeframe")
    forms = MarketForms(intervals="min", requests=MarketRequests(options=options), events=MarketEvents(tag="event"))
    served.dialect = SandboxDialect(market_data=forms)
    async with dialed(served.endpoints.market_data, forms) as peer:
        await peer.send("authenticate", access_token=await token_of(served))
        asked: dict[str, Any] = {"action": "subscribe", "id": "1", "channel": "bars", "symbols": ["AAPL"]}
        for wrong in (
            {"interval": "1min"},
            {"options": {"timeframe": "1m"}},
            {"options": {"timeframe": "1min", "x": 1}},
        ):
            await peer.socket.send(json.dumps(asked | wrong))
        frames = [json.loads(await peer.read()) for _ in range(5)]
        assert [frame["message"] for frame in frames[2:]] == [
            "There is no interval here.",
            "options.timeframe must be one of 1min, 5min, 15min, 30min, 1hour, 1day.",
            "There is no options.x here.",
        ]
        with pytest.raises(RefusalError):
            served.market.publish("weather", "AAPL", {})
    assert isinstance(forms.events, EventForms)
    with pytest.raises(ConnectionClosed):
        await peer.socket.recv()

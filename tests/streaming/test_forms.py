"""Frames in forms of which no list exists: every event is right, or the client says that it does not understand."""

from __future__ import annotations

import json
import logging
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connecttrade_async import Dialect
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import MAX_LEARNED, BrokerageCodec
from connecttrade_async.streaming.codec import AwaitedReply, Heartbeat, Ping, Refusal, Subscribed, Unsubscribed
from connecttrade_async.streaming.protocol import ConnectionState, StreamProtocol, TopicSync

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = (OrderUpdate, PositionUpdate, BalanceUpdate)
FILL = {"fill_id": "f-1", "time": "2026-03-02T14:30:00Z", "quantity": "5", "price": "410.4500"}
LEG = {"symbol": "AAPL241018P00190000", "action": "BUY_TO_OPEN", "ratio": "2"}
PAYLOADS: dict[str, dict[str, Any]] = {
    "order": {
        "order_id": "o-1",
        "cl_order_id": "c-1",
        "symbol": "MSFT",
        "side": "BUY",
        "status": "partially_filled",
        "order_qty": "10",
        "filled_qty": "5.000000001",
        "avg_fill_price": "410.4500",
        "fills": [FILL],
        "legs": [LEG],
        "broker_status": None,
    },
    "position": {"symbol": "IBM/B", "quantity": "-3", "last_price": "100.10", "unrealized_pl": "0.1"},
    "balance": {"cash": "1000000.01", "buying_power": "5e3", "currency": "USD"},
}
NUMBERS = {
    *("order_qty", "filled_qty", "avg_fill_price", "quantity", "price", "ratio"),
    *("last_price", "unrealized_pl", "cash", "buying_power"),
}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


CASES: dict[str, Callable[[str], str]] = {
    "snake": str,
    "camel": camel,
    "pascal": lambda name: camel(name)[:1].upper() + camel(name)[1:],
    "upper": str.upper,
    "dashes": lambda name: name.replace("_", "-"),
    "acronym": lambda name: camel(name).replace("Id", "ID"),
}
TAGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "plural": lambda kind: f"{kind}s",
    "update": lambda kind: f"{kind}_update",
    "updated": lambda kind: f"{kind}.updated",
    "event": lambda kind: camel(f"{kind}_event"),
    "change": lambda kind: f"{kind}Change",
    "upper": lambda kind: f"{kind}s".upper(),
    "data": lambda kind: f"{kind}-data",
}


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One form of frames."""

    tag: str = "type"
    tagged: str = "plain"
    place: str = "data"
    case: str = "snake"
    owner: str = "frame"
    numbers: bool = False
    batch: str = "single"


FORMS = st.builds(
    Form,
    tag=st.sampled_from(["type", "event", "topic", "channel", "T", "ev"]),
    tagged=st.sampled_from(sorted(TAGS)),
    place=st.sampled_from(["data", "payload", "body", "kind", "plural", "flat", "nested"]),
    case=st.sampled_from(sorted(CASES)),
    owner=st.sampled_from(["frame", "payload", "both", "account"]),
    numbers=st.booleans(),
    batch=st.sampled_from(["single", "payloads", "frames", "lines"]),
)


class Bare(float):
    """A number that JSON carries with the digits of its text."""

    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text


def spelled(value: Any, form: Form, name: str = "") -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {CASES[form.case](key): spelled(each, form, key) for key, each in members.items()}
    if isinstance(value, list):
        rows = cast("Any", value)
        return [spelled(each, form) for each in rows]
    return Bare(value) if form.numbers and name in NUMBERS and value is not None else value


def text_of(frame: Any) -> str:
    """Encode JSON with the digits of bare numbers as they are."""
    if isinstance(frame, dict):
        members = cast("dict[str, Any]", frame).items()
        return "{" + ", ".join(f"{json.dumps(name)}: {text_of(value)}" for name, value in members) + "}"
    if isinstance(frame, list):
        rows = cast("Any", frame)
        return "[" + ", ".join(map(text_of, rows)) + "]"
    return repr(frame) if isinstance(frame, Bare) else json.dumps(frame)


def frame_of(form: Form, kind: str, payloads: list[dict[str, Any]]) -> dict[str, Any]:
    owner = {"user_id": "u-1", "account_id": "a-1"}
    inner = owner if form.owner in {"payload", "both"} else {"account": owner} if form.owner == "account" else {}
    outer = owner if form.owner in {"frame", "both"} else {}
    rows = [spelled({**payload, **inner}, form) for payload in payloads]
    content: Any = rows if form.batch == "payloads" else rows[0]
    head = {form.tag: TAGS[form.tagged](kind), **spelled({**outer, "timestamp": "2026-03-02T14:30:00Z"}, form)}
    if form.place == "flat":
        return {**head, **rows[0]}
    if form.place == "nested":
        return {**head, "data": {kind: content}}
    return {**head, {"kind": kind, "plural": f"{kind}s"}.get(form.place, form.place): content}


def raw_of(form: Form, kind: str, count: int) -> bytes:
    payloads = [PAYLOADS[kind] for _ in range(count)]
    if form.batch == "payloads" and form.place != "flat":
        return text_of(frame_of(form, kind, payloads)).encode()
    frames = [frame_of(msgspec.structs.replace(form, batch="single"), kind, [each]) for each in payloads]
    if form.batch == "frames":
        return text_of(frames).encode()
    return "\n".join(map(text_of, frames)).encode()


def new_codec(**settings: Any) -> BrokerageCodec:
    return BrokerageCodec("client", Secret("hush"), **settings)


def events_in(found: Any) -> list[Any]:
    return cast("Any", found) if isinstance(found, list) else [found]


class Connection:
    """A live connection without a server."""

    def __init__(self, **settings: Any) -> None:
        self.codec = new_codec(**settings)
        topics = ("orders", "positions", "balances")
        self.protocol = StreamProtocol(self.codec, TopicSync(self.codec, topics), now=0.0, login=10.0)
        for frame in (b"hello", b'{"type": "authenticated"}', b'{"type": "subscribed"}'):
            self.protocol.receive(frame, 0.0)
        assert self.protocol.state is ConnectionState.LIVE

    def events(self, raw: bytes) -> list[Any]:
        found = self.protocol.receive(raw, 1.0)
        return [] if found is None else events_in(found)


def check(event: Any, kind: str) -> None:
    assert type(event).__name__ == f"{kind.title()}Update", event
    assert (event.user_id, event.account_id) == ("u-1", "a-1")
    assert event.time_text == "2026-03-02T14:30:00Z"
    payload = getattr(event, kind)
    assert type(payload).__module__.startswith("connecttrade_async.models")
    model = cast("Any", type(payload))
    expected: Any = msgspec.convert({"account_id": "a-1", **PAYLOADS[kind]}, model)
    missing: Any = msgspec.structs.replace(payload, account_id="a-1")
    assert missing == expected
    assert set(PAYLOADS[kind]) <= event.given
    assert not event.given & {camel(name) for name in PAYLOADS[kind] if "_" in name}
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - our own
    assert repr(event).startswith(f"{kind.title()}Update(user_id='u-1'")
    assert msgspec.json.decode(msgspec.json.encode(payload), type=model) == payload
    assert msgspec.structs.asdict(event)["account_id"] == "a-1"


@given(form=FORMS, count=st.integers(1, 3))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read_frame_of_any_form_returns_each_event_right_slowly_and_fast(form: Form, count: int) -> None:
    connection = Connection()
    for _ in range(3):
        for kind in PAYLOADS:
            events = connection.events(raw_of(form, kind, count))
            assert len(events) == count
            for event in events:
                check(event, kind)


def test_read_frame_of_another_form_is_compiled_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "connecttrade_async.streaming")
    codec = new_codec()
    form = Form(tag="event", tagged="event", case="camel")
    for _ in range(3):
        check(codec.read(raw_of(form, "order", 1)), "order")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "frames of the kind order have another form than expected; it is compiled: [brokerage] tag" in caplog.text
    assert codec.learned.names.case == "camel"
    dialect = Dialect.from_dict({"brokerage": {"tag": "event", "updates": {"order": ["orderEvent"]}}})
    assert codec.learned.brokerage.tag == dialect.brokerage.tag


@given(form=FORMS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_dialect_learned_from_frames_reads_them_from_a_file(form: Form) -> None:
    connection = Connection()
    for kind in PAYLOADS:
        connection.events(raw_of(form, kind, 1))
    again = Connection(dialect=Dialect.from_dict(connection.codec.learned.to_dict()))
    for kind in PAYLOADS:
        for event in again.events(raw_of(form, kind, 2)):
            check(event, kind)


def test_update_that_only_its_payload_names_is_read_slowly() -> None:
    connection = Connection()
    for kind, payload in PAYLOADS.items():
        for wrapper in ("", "data"):
            head = {"type": "update", "user_id": "u-1", "account_id": "a-1", "timestamp": "2026-03-02T14:30:00Z"}
            content = {f"{kind}s": [payload], "seq": "1"}
            frame = {**head, **({wrapper: content} if wrapper else content)}
            [event] = connection.events(json.dumps(frame).encode())
            check(event, kind)
    assert connection.codec.learned == Dialect.default


def test_codec_learns_a_bounded_number_of_forms() -> None:
    codec = new_codec()
    for number in range(MAX_LEARNED + 5):
        frame = {"type": "order", "user_id": "u", "data": {"order_id": str(number), "symbol": "A"}}
        frame["T" if number % 2 else "ev"] = frame.pop("type")
        assert isinstance(codec.read(json.dumps(frame).encode()), OrderUpdate)


ORDER = {"order_id": "o", "symbol": "MSFT", "user_id": "u", "account_id": "a"}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "order", "topic": "positions", "payload": ORDER},
        {"event": "order", "data": {**ORDER, "orderId": "p"}},
        {"event": "order", "payload": ORDER, "body": ORDER},
        {"type": "update", "order": ORDER, "position": {"symbol": "MSFT"}},
        {"type": "order", "userId": "v", "data": ORDER},
        {"type": "position", "user_id": "u", "account_id": "a", "data": {"symbol": "A", "userId": "v"}},
        {"type": "position", "user_id": "u", "account_id": "a", "data": {"symbol": "A", "accountId": "b"}},
        {"event": "order", "account": {"accountId": "b"}, "data": ORDER},
        {"event": "orders", "user_id": "u", "data": [{**ORDER, "user_id": "v"}]},
    ],
    ids=range(9),
)
def test_read_frame_with_two_meanings_takes_neither(frame: dict[str, Any]) -> None:
    codec = new_codec()
    for _ in range(2):
        event = codec.read(json.dumps(frame).encode())
        assert isinstance(event, UnknownMessage)
        assert event.problem


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ({"event": "orders", "data": [1]}, "the frame has a list of something else than updates"),
        ({"event": "weather", "data": {}}, "Object"),
        ({"type": "position", "account_id": "a", "data": {"cash": "1"}}, "Object"),
        ({"event": "balance", "account_id": "a", "data": {"account_id": "a"}}, "Object"),
        ({"event": "order", "data": {"order": {"order": 1}}}, "Object"),
        ({"event": "order", "data": 7}, "Object"),
        ({"event": "order", "data": {"order_id": "o", "fills": [1]}}, "Object"),
    ],
)
def test_read_frame_without_an_update_returns_unknown_message(frame: dict[str, Any], problem: str) -> None:
    event = new_codec().read(json.dumps(frame).encode())
    assert isinstance(event, UnknownMessage)
    assert event.problem.startswith(problem) or event.problem


def test_read_flat_form_does_not_take_a_payload_for_a_flat_frame() -> None:
    codec = new_codec()
    flat = {"type": "balance", "user_id": "u", "account_id": "a", "cash": "1"}
    assert codec.read(json.dumps(flat).encode()).balance.cash == Decimal(1)  # type: ignore[union-attr]
    nested = {"type": "balance", "user_id": "u", "account_id": "a", "data": {"account_id": "a", "cash": "2"}}
    assert codec.read(json.dumps(nested).encode()).balance.cash == Decimal(2)  # type: ignore[union-attr]


def test_read_empty_list_of_updates_returns_no_event() -> None:
    assert new_codec().read(b'{"event": "orders", "data": []}') == []


@pytest.mark.parametrize("raw", [b"[1]", b'{"a": 1}\n7', b'["x", {"type": "order"}]', b"[" * 5000])
def test_read_list_of_something_else_returns_unknown_message(raw: bytes) -> None:
    assert isinstance(new_codec().read(raw), UnknownMessage)


OWNER_PATHS = {"user_id": "meta.user", "account_id": "meta.acct"}


@pytest.mark.parametrize(
    "dialect",
    [
        {
            "brokerage": {
                "tag": "meta.kind",
                "payload": ["body.item"],
                "user_id": "meta.user",
                "account_id": "meta.acct",
            }
        },
        {"brokerage": {"tag": "kind", "payload": ["item"], "user_id": "meta.user", "account_id": "meta.acct"}},
    ],
    ids=["paths", "owner-paths"],
)
def test_read_frame_of_a_dialect_with_paths_finds_payload_and_owner(dialect: dict[str, Any]) -> None:
    codec = new_codec(dialect=Dialect.from_dict(dialect))
    is_deep = "." in dialect["brokerage"]["tag"]
    meta = {"user": "u-1", "acct": "a-1"}
    frame: dict[str, Any] = {"meta": meta, "timestamp": "2026-03-02T14:30:00Z"}
    frame |= {"body": {"item": PAYLOADS["order"]}} if is_deep else {"item": PAYLOADS["order"], "kind": "order"}
    if is_deep:
        meta["kind"] = "order"
    for _ in range(2):
        check(codec.read(json.dumps(frame).encode()), "order")


def test_read_frame_of_a_dialect_with_aliases_uses_them_and_given_has_our_names() -> None:
    dialect = Dialect.from_dict({"names": {"case": "camel", "aliases": {"order": {"filled_qty": "cumQty"}}}})
    codec = new_codec(dialect=dialect)
    data = {"orderId": "o", "cumQty": "2", "orderQty": None}
    frame = {"type": "order", "userId": "u", "accountId": "a", "data": data}
    event = codec.read(json.dumps(frame).encode())
    assert isinstance(event, OrderUpdate)
    assert (event.user_id, event.account_id, event.order.filled_qty) == ("u", "a", Decimal(2))
    assert event.given == {"order_id", "filled_qty", "order_qty"}


@pytest.mark.parametrize("awaits", AwaitedReply)
@pytest.mark.parametrize(
    "raw",
    [b'{"type": "heartbeat", "status": "ok"}', b'{"event": "keepAlive"}', b'{"T": "hb"}', b'{"type": "pong"}'],
)
def test_read_heartbeat_is_never_an_answer(awaits: AwaitedReply, raw: bytes) -> None:
    codec = new_codec()
    codec.awaits = awaits
    assert codec.read(raw) == Heartbeat()


@pytest.mark.parametrize(
    ("frame", "scope"),
    [
        ({"type": "error", "code": "401", "userId": "u"}, {"user_id": "u"}),
        ({"type": "error", "code": "401", "error": {"account_id": "a", "message": "no"}}, {"account_id": "a"}),
        ({"event": "error", "data": {"accountId": "a"}}, {"account_id": "a"}),
        ({"event": "subscription_error", "Topic": "orders"}, {"topic": "orders"}),
        ({"error": "not entitled", "symbols": ["A"]}, {"symbols": ["A"]}),
    ],
)
def test_read_addressed_error_keeps_what_it_concerns(frame: dict[str, Any], scope: dict[str, Any]) -> None:
    refusal = new_codec().read(json.dumps(frame).encode())
    assert isinstance(refusal, Refusal)
    assert refusal.scope == scope


def test_read_error_with_two_users_takes_neither() -> None:
    assert isinstance(new_codec().read(b'{"type": "error", "user_id": "u", "userId": "v"}'), UnknownMessage)


@pytest.mark.parametrize(
    ("frame", "topics"),
    [
        ({"type": "subscribed", "channels": ["order_updates", "Positions"]}, ("orders", "positions")),
        ({"type": "subscribed", "subscriptions": {"orders": True, "balances": False}}, ("orders",)),
        ({"T": "subscription", "orders": ["*"], "positions": []}, ("orders",)),
        ({"type": "subscribed", "topics": 7}, None),
        ({"event": "unsubscribe", "topic": "orders"}, ("orders",)),
    ],
)
def test_read_confirmation_names_the_topics_that_it_has(frame: dict[str, Any], topics: tuple[str, ...] | None) -> None:
    dialect = Dialect.from_dict({"brokerage": {"topics": {"orders": "order_updates"}}})
    codec = new_codec(dialect=dialect if "channels" in frame else Dialect.default)
    message = codec.read(json.dumps(frame).encode())
    assert isinstance(message, Subscribed | Unsubscribed)
    assert codec.topics_of(message) == (None if topics is None else frozenset(topics))


def test_rules_of_the_dialect_decide_before_the_connection_is_live() -> None:
    rules = [
        {"when": {"type": "auth", "status": ["success", "ok"], "done": True, "n": "7"}, "is": "authenticated"},
        {"when": {"$": "hello"}, "is": "heartbeat"},
        {"when": {"seq": "*"}, "is": "snapshot"},
    ]
    codec = new_codec(dialect=Dialect.from_dict({"brokerage": {"rules": rules}}))
    codec.awaits = AwaitedReply.LOGIN
    found = codec.read(b'{"type": "auth", "status": "OK", "done": true, "n": 7}')
    assert type(found).__name__ == "Authenticated"
    assert codec.read(b"hello") == Heartbeat()
    assert isinstance(codec.read(b'{"seq": 1}'), UnknownMessage)
    assert isinstance(codec.read(b'{"type": "auth", "status": false, "done": true}'), Refusal)
    assert isinstance(codec.read(b'{"type": "x", "status": true, "done": true}'), UnknownMessage)
    codec.awaits = AwaitedReply.NOTHING
    check(codec.read(raw_of(Form(), "order", 1)), "order")


def test_pong_is_encoded_only_where_the_dialect_has_one() -> None:
    assert new_codec().pong(Ping(id="7")) is None
    codec = new_codec(dialect=Dialect.from_dict({"brokerage": {"pong": {"op": "pong", "id": "{id}"}}}))
    ping = codec.read(b'{"op": "x", "type": "ping", "id": 7}')
    assert json.loads(codec.pong(ping) or b"") == {"op": "pong", "id": 7}  # type: ignore[arg-type]


def test_subscribe_sends_a_frame_for_each_topic_where_the_dialect_wants_it() -> None:
    form = {"each_topic": True, "subscribe": {"sub": "{topic}", "n": "{id}"}, "topics": {"orders": "o"}}
    codec = new_codec(dialect=Dialect.from_dict({"brokerage": form}))
    frames = [json.loads(frame) for frame in codec.subscribe(("orders", "balances"))]
    assert frames == [{"sub": "o", "n": "1"}, {"sub": "balances", "n": "2"}]


def test_census_names_what_is_not_read_and_what_is_absent() -> None:
    codec = new_codec()
    data = {"account_id": "a", "cashAmount": "1", "x": 1}
    raw = json.dumps({"type": "balance", "user_id": "u", "account_id": "a", "data": data}).encode()
    census = codec.census(codec.read(raw))
    assert (census.kind, census.unread, census.lacks_numbers) == ("balance", ("cashAmount", "x"), True)
    assert "cash" in census.absent
    event = codec.read(raw_of(Form(), "order", 1))
    assert codec.census(event)[1:] == ((), codec.census(event).absent, False)
    keep = msgspec.structs.replace(event, raw=b"")  # type: ignore[type-var]
    assert codec.census(keep).unread == ()


@given(
    raw=st.binary(max_size=60)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["order", "ok", "error", "auth", "subscribed", "u"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "event", "data", "order", "user_id", "userId", "account", "error", "status", "fills"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    awaits=st.sampled_from(AwaitedReply),
)
@settings(deadline=None)
def test_read_arbitrary_json_never_raises_in_any_state(raw: bytes, awaits: AwaitedReply) -> None:
    codec = new_codec()
    codec.awaits = awaits
    for _ in range(2):
        for event in events_in(codec.read(raw)):
            if isinstance(event, EVENTS):
                assert event.given is not None


def test_first_update_that_cannot_be_read_again_is_said() -> None:
    codec = new_codec()
    event: Any = codec.read(raw_of(Form(), "position", 1))
    assert codec.read_again(event) is event
    for raw in (b"[", b"[]", b"{}"):
        odd = msgspec.structs.replace(event, raw=raw)
        assert isinstance(codec.read_again(odd), UnknownMessage) is (raw != b"{}")


def test_codec_of_a_connection_begins_with_the_given_dialect() -> None:
    codec = new_codec()
    codec.read(raw_of(Form(tag="event"), "order", 1))
    assert codec.learned != Dialect.default
    assert codec.for_connection().learned == Dialect.default


@pytest.mark.parametrize(
    "dialect",
    [
        {"brokerage": {"tag": "user_id"}},
        {"brokerage": {"payload": ["timestamp"]}},
    ],
)
def test_dialect_with_two_meanings_of_one_member_is_read_slowly(dialect: dict[str, Any]) -> None:
    codec = new_codec(dialect=Dialect.from_dict(dialect))
    event = codec.read(b'{"user_id": "order", "type": "order", "account_id": "a", "timestamp": {"order_id": "o"}}')
    assert isinstance(event, OrderUpdate | UnknownMessage)


def test_update_with_a_tag_that_no_dialect_may_have_is_read_slowly() -> None:
    codec = new_codec()
    frame = {"type": " order ", "user_id": "u", "account_id": "a", "da ta": 1, "payload": {"order_id": "o"}}
    for _ in range(2):
        assert isinstance(codec.read(json.dumps(frame).encode()), OrderUpdate)
    conflict = {"type": "error", "event": "order", "user_id": "u", "payload": {"order_id": "o"}}
    assert isinstance(codec.read(json.dumps(conflict).encode()), Refusal)


def listed(*orders: dict[str, Any]) -> bytes:
    head = {"event": "order", "userId": "u", "accountId": "a"}
    return json.dumps(
        [{**head, "data": {"orderId": str(number), **each}} for number, each in enumerate(orders)]
    ).encode()


def test_list_of_orders_is_read_in_one_pass_and_each_keeps_its_own_frame() -> None:
    codec = new_codec()
    codec.read(listed({}, {}))
    events = events_in(codec.read(listed({"filledQty": "1"}, {"accountId": "a"}, {})))
    assert [(event.order.order_id, event.account_id, type(event)) for event in events] == [
        ("0", "a", OrderUpdate),
        ("1", "a", OrderUpdate),
        ("2", "a", OrderUpdate),
    ]
    assert [json.loads(event.raw)["data"]["orderId"] for event in events] == ["0", "1", "2"]
    assert events[0].given == {"order_id", "filled_qty"}
    assert type(events[0].order).__module__ == "connecttrade_async.models.orders"


@pytest.mark.parametrize(
    "odd",
    [{"accountId": "b"}, {"userId": "v"}, {"fills": [{"fillId": "f"}]}, {"orderQty": 1}, {"symbol": []}],
    ids=str,
)
def test_list_with_an_order_of_another_form_is_read_one_by_one(odd: dict[str, Any]) -> None:
    codec = new_codec()
    codec.read(listed({}, {}))
    events = events_in(codec.read(listed({}, odd, {})))
    is_wrong = "orderQty" not in odd and "fills" not in odd
    assert [type(event) for event in events] == [OrderUpdate, UnknownMessage if is_wrong else OrderUpdate, OrderUpdate]


def test_list_of_other_updates_or_of_nothing_is_read_one_by_one() -> None:
    codec = new_codec()
    codec.read(listed({}, {}))
    position = {"event": "position", "userId": "u", "accountId": "a", "data": {"symbol": "A", "quantity": "1"}}
    codec.read(json.dumps(position).encode())
    events = events_in(codec.read(json.dumps([position, position]).encode()))
    assert [type(event) for event in events] == [PositionUpdate, PositionUpdate]
    assert isinstance(codec.read(b"[7]"), UnknownMessage)
    codec.awaits = AwaitedReply.LOGIN
    assert len(events_in(codec.read(listed({}, {})))) == 2


def test_id_that_cannot_be_read_is_no_owner() -> None:
    event = new_codec().read(b'{"type": "order", "account_id": "a", "data": {"order_id": "o", "user_id": {"x": 1}}}')
    assert isinstance(event, OrderUpdate)
    assert (event.user_id, event.account_id) == (None, "a")

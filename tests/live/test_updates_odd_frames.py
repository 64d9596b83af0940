"""Frames of any form affect the accounts that they concern, and no others."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from change_feeds import RecordingChangeFeed
from connecttrade_async.books.book import AccountSnapshot
from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.clock import SystemClock
from connecttrade_async.config import Reconnect
from connecttrade_async.live.resync import Resync
from connecttrade_async.live.status import SnapshotLimits
from connecttrade_async.live.updates import UpdateApplier
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.models.mentions import mentions_in
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.subscriptions import QueueCapacity
from followed import make_current
from frame_factory import DIALECT, balance
from scripted_calls import ScriptedApi

if TYPE_CHECKING:
    from connecttrade_async.books.changes import Change

OWNERS = {"A1": "ann", "A2": "ann", "B1": "bob", "B2": "bob", "C1": "cid"}
EVENTS = OrderUpdate | PositionUpdate | BalanceUpdate | UnknownMessage


class Silent:
    """A user with requests that are never answered."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.asked = 0

    @property
    def orders(self) -> Any:
        return self

    positions = balances = connections = orders

    def list(self, **_: Any) -> Any:
        self.asked += 1

        async def answer(_: str) -> Any:
            await asyncio.Event().wait()

        return ScriptedApi(answer).call()


class Setup:
    """Three users with five current accounts, and a stream of frames."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.users = FollowedUsers(OrderRetention())
        self.change_feed = RecordingChangeFeed(self.clock)
        self.ended: list[BaseException] = []
        self.resync = Resync(
            self.users,
            self.change_feed,
            SnapshotLimits(concurrency=50, requests_per_second=None),
            Reconnect(base=60.0),
            self.clock,
            crashed=self.ended.append,
        )
        self.fanout = Fanout(self.clock.wall)
        interest = EventFilter(("orders", "positions", "balances", "lifecycle", "unknown"))
        self.updates = UpdateApplier(
            self.fanout.subscribe(interest, "drop_oldest", QueueCapacity(1000, 1 << 24)),
            self.users,
            self.change_feed,
            self.resync,
            self.clock,
            is_live=lambda: True,
        )
        self.users.is_live = True
        now = self.clock.wall()
        for account_id, user_id in OWNERS.items():
            followed = self.users.by_id.get(user_id) or self.users.add(Silent(user_id))
            keeper = self.users.account_for(followed, account_id, None).keeper
            keeper.load(AccountSnapshot((), (), (balance(account_id=account_id),)), "recovered", now)
            followed.since = now
        make_current(self.users)
        self.running = asyncio.create_task(self.updates.run())

    @property
    def changes(self) -> list[Change]:
        return [*self.change_feed.unpublished, *self.change_feed.changes]

    async def feed(self, *frames: bytes) -> None:
        for raw in frames:
            found: Any = BrokerageCodec("client", Secret("hush")).read(raw)
            for event in cast("Any", found) if isinstance(found, list) else [found]:
                if isinstance(event, EVENTS):  # the connection handles the others
                    self.fanout.publish(event)
        for _ in range(5):
            await asyncio.sleep(0)

    async def feed_unknown(self, *frames: bytes) -> None:
        """Feed frames that the codec did not understand, whatever it makes of their form today."""
        for raw in frames:
            self.fanout.publish(DIALECT.unknown(raw, "it is not understood"))
        for _ in range(5):
            await asyncio.sleep(0)

    def not_current(self) -> set[str]:
        return {name for name, account in self.users.accounts.items() if not self.users.is_current(account)}

    def asked(self) -> dict[str, int]:
        return {name: followed.user.asked for name, followed in self.users.by_id.items()}  # type: ignore[attr-defined]

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])
        await self.resync.aclose()


NAMES = st.none() | st.sampled_from(["ann", "bob", "cid", "eve"])
ACCOUNTS = st.none() | st.sampled_from([*OWNERS, "X"])
PAYLOADS: dict[str, dict[str, Any]] = {
    "order": {"order_id": "unheard", "status": "working"},
    "position": {"symbol": "AAPL", "quantity": "5"},
    "balance": {"cash": "7"},
}


@st.composite
def updates(draw: st.DrawFn) -> tuple[dict[str, Any], bool]:
    """Draw an update, and whether it can be read."""
    kind = draw(st.sampled_from(sorted(PAYLOADS)))
    is_readable = draw(st.booleans())
    payload: dict[str, Any] = dict(PAYLOADS[kind]) if is_readable else {**PAYLOADS[kind], "symbol": [[]], "cash": [[]]}
    frame: dict[str, Any] = {"type": kind, "user_id": draw(NAMES), "account_id": draw(ACCOUNTS), "data": payload}
    if draw(st.booleans()):
        payload["account_id"] = draw(ACCOUNTS.filter(bool))
    if draw(st.booleans()):
        payload["user_id"] = draw(NAMES)
    return {name: value for name, value in frame.items() if value is not None}, is_readable


def concerned(frame: dict[str, Any], *, is_readable: bool) -> set[str]:
    """Return the known accounts that are not current after a frame, by the rules of ownership."""
    payload = frame["data"]
    users = {str(each["user_id"]) for each in (frame, payload) if each.get("user_id")}
    accounts = {str(each["account_id"]) for each in (frame, payload) if each.get("account_id")}
    known = accounts & OWNERS.keys()
    if is_readable and len(users) < 2 and len(accounts) < 2:
        if len(owners := users | {OWNERS[name] for name in known}) > 1:
            return {name for name, owner in OWNERS.items() if owner in owners} if known else set()
        if accounts or users - set(OWNERS.values()):
            return set()
        return {name for name, owner in OWNERS.items() if not users or owner in users}
    if not users and not accounts:
        return set(OWNERS)
    found = set(known)
    for user in users:
        hers = {name for name, owner in OWNERS.items() if owner == user}
        if not hers & known and not (accounts - known and len(users) == 1):
            found |= hers
    return found


@settings(max_examples=300, deadline=None)
@given(drawn=st.lists(updates(), max_size=4))
def test_contradictory_frames_make_only_their_accounts_not_current(
    drawn: list[tuple[dict[str, Any], bool]],
) -> None:
    async def scenario() -> None:
        setup, expected = Setup(), set[str]()
        for number, (frame, is_readable) in enumerate(drawn):
            if frame["type"] == "order":
                frame["data"]["order_id"] = f"o{number}"  # an unknown order
            if setup.users.accounts.keys() != OWNERS.keys():
                break  # X is the account of a followed user now
            await setup.feed(json.dumps(frame).encode())
            expected |= concerned(frame, is_readable=is_readable)
            assert setup.not_current() & OWNERS.keys() == expected
            suspect = {OWNERS[name] for name in expected}
            assert suspect <= {followed.user.user_id for followed in setup.users.not_current}
            assert all(setup.asked()[name] for name in suspect)
        for change in setup.changes:
            assert OWNERS.get(change.account_id, change.user_id) == change.user_id
        await setup.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"user_id": "bob", "account_id": "A1"}, {"A1", "A2", "B1", "B2"}),
        ({"user_id": "eve", "account_id": "A1"}, {"A1", "A2"}),
        ({"user_id": "ann", "account_id": "A1", "data": {"account_id": "B1"}}, {"A1", "B1"}),
        ({"user_id": "ann", "account_id": "A1", "data": {"account_id": "A2"}}, {"A1", "A2"}),
        ({"user_id": "ann", "account_id": "A1", "data": {"user_id": "bob"}}, {"A1", "B1", "B2"}),
        ({"user_id": "ann", "account_id": "A1", "data": {"user_id": "eve"}}, {"A1"}),
        ({"account_id": "A1", "data": {"user_id": "bob"}}, {"A1", "A2", "B1", "B2"}),
        ({"data": {"account_id": "A1", "user_id": "bob"}}, {"A1", "A2", "B1", "B2"}),
        ({"user_id": "ann", "data": {"user_id": "bob"}}, {"A1", "A2", "B1", "B2"}),
    ],
)
@pytest.mark.parametrize("kind", sorted(PAYLOADS))
async def test_frame_with_another_owner_is_not_applied_and_both_owners_are_read_again(
    kind: str, frame: dict[str, Any], expected: set[str]
) -> None:
    setup = Setup()
    payload: dict[str, Any] = {**PAYLOADS[kind], **frame.get("data", {})}
    report = {"type": kind, **frame, "data": payload}
    await setup.feed(json.dumps(report).encode())
    assert setup.changes == []
    # A frame that contradicts itself is rejected by the codec.
    is_consistent = frame["data"].keys().isdisjoint(frame) if "data" in frame else True
    assert (setup.updates.conflicting, setup.updates.frames) == (is_consistent, 0)
    assert setup.not_current() == expected
    named = {frame.get("user_id"), payload.get("user_id"), *(OWNERS[name] for name in expected)} & {"ann", "bob"}
    assert {name for name, count in setup.asked().items() if count} == named
    await setup.close()


@pytest.mark.parametrize(
    "frame",
    [
        {"user_id": "ann", "account_id": "A1"},
        {"account_id": "A1"},
        {"data": {"account_id": "A1"}},
        {"data": {"account_id": "A1", "user_id": "ann"}},
        {"user_id": "ann", "account_id": "A1", "data": {"user_id": "ann", "account_id": "A1"}},
        {"user_id": None, "account_id": "A1", "data": {"user_id": None, "account_id": None}},
        {"user_id": "ann", "account_id": "", "data": {"account_id": "A1"}},
    ],
)
async def test_frame_without_contradiction_is_applied(frame: dict[str, Any]) -> None:
    setup = Setup()
    report = {"type": "position", **frame, "data": {**PAYLOADS["position"], **frame.get("data", {})}}
    await setup.feed(json.dumps(report).encode())
    assert [(change.user_id, change.account_id) for change in setup.changes] == [("ann", "A1")]
    assert (setup.updates.conflicting, setup.updates.frames, setup.not_current()) == (0, 1, set())
    await setup.close()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'[{"type": "order", "account_id": "A1", "data": 5}, {"type": "order", "account_id": "B2", "data": 5}]', 2),
        (b'{"type": "balance", "data": [{"accountId": "A1"}, {"accountId": "B1"}, {"accountId": "C1"}]}', 3),
        (b'{"type": "order", "data": [{"user_id": "ann"}, {"user_id": "bob"}]}', 4),
        (b'{"type": "order", "data": [{"user_id": "ann", "account_id": "A1"}, {"user_id": "bob"}]}', 3),
        (b'{"type": "order", "account_id": "A\\u0031", "data": 5}', 1),
        (b'{"type": "order", "account_id": "A1", "data": "' + b"x" * 5000 + b'", "more": {"account_id": "B1"}, 5}', 2),
        (b'{"type": "order", "account_id": "A1", "data": ' + b"[" * 100_000, 1),
        (b'{"type": "order", "account_id": "A1", "note": "\xff", "data": 5}', 1),
        (b'{"type": "order", "account_id": "\xff", "data": 5}', 5),
        (b'{"type": "order", "account_id": {"of": "A1"}, "data": 5}', 5),
        (b'{"type": "order", "user_id": "eve", "account_id": "X", "data": 5}', 0),
    ],
)
async def test_undecodable_frame_makes_all_named_accounts_not_current(raw: bytes, expected: int) -> None:
    setup = Setup()
    await setup.feed(raw)
    named = {name for name in OWNERS if name.encode() in raw}
    assert len(setup.not_current()) == expected
    assert named <= setup.not_current() or b"\\u" in raw or b'"of"' in raw
    assert all(setup.asked()[OWNERS[name]] for name in setup.not_current())
    await setup.close()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"type": "order", "account": "A1", "data": 5}', {"A1"}),
        (b'{"kind": "execution", "body": {"acctRef": "B2", "orderQty": "5"}}', {"B2"}),
        (b'{"event": "unheard", "owner": "ann"}', {"A1", "A2"}),
        (b'{"event": "unheard", "user": {"name": "ann"}, "accounts": [{"account": "C1"}]}', {"C1"}),
        (b'{"type": "order", "account_id": "A1", "counter_account": "B1", "data": 5}', {"A1", "B1"}),
        # An error that names an account or a user concerns only these, and one that names neither is no update.
        (b'{"type": "error", "account_id": "A2", "message": "the order was lost"}', {"A2"}),
        (b'{"type": "error", "user_id": "bob", "error": {"code": 17}}', {"B1", "B2"}),
        (b'{"type": "error", "channel": "orders", "message": "odd"}', set[str]()),
        # Values under such names that are not known say nothing of the owner.
        (b'{"type": "order", "account_number": "12345678", "data": 5}', set(OWNERS)),
        (b'{"type": "fills", "user_name": "ann smith", "data": [{"id": 1}]}', set(OWNERS)),
        # A kind that is not known, with a payload of ours.
        (b'{"type": "exec_report", "data": {"side": "buy", "filled_qty": "5"}}', set(OWNERS)),
        (b"8=FIX.4.4|35=8|order o1 filled", set(OWNERS)),
        # More references than are kept.
        (b"{%b}" % b",".join(b'"account%d": "n%d"' % (n, n) for n in range(1001)), set(OWNERS)),
        # A text that happens to be the name of an account.
        (b'{"type": "notice", "data": {"text": "A1"}}', set[str]()),
    ],
)
async def test_frame_that_is_not_understood_makes_exactly_what_it_mentions_suspect(
    raw: bytes, expected: set[str]
) -> None:
    setup = Setup()
    await setup.feed_unknown(raw)
    assert setup.not_current() == expected
    assert {name for name, count in setup.asked().items() if count} == {OWNERS[name] for name in expected}
    await setup.close()


# Names and values that a heartbeat may have, and neither an update nor an owner.
BEAT_NAMES = st.text(alphabet="bcghjkmpwxz", min_size=1, max_size=8)
BEAT_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(BEAT_NAMES, inner, max_size=3),
    max_leaves=6,
)
BEAT_TAGS = st.sampled_from(["type", "event", "T", "op", "channel", "kind"])
BEAT_KINDS = BEAT_NAMES | st.sampled_from(["heartbeat", "ping", "tick", "keep_alive", "status", "server_time"])


@st.composite
def heartbeats(draw: st.DrawFn) -> bytes:
    """Draw a frame without an owner and without a payload of ours, with a kind or without."""
    frame: dict[str, Any] = draw(
        st.dictionaries(BEAT_NAMES | st.sampled_from(["data", "payload"]), BEAT_VALUES, max_size=4)
    )
    kind = {draw(BEAT_TAGS): draw(BEAT_KINDS)} if draw(st.booleans()) else {}
    return json.dumps({**kind, **frame}).encode()


@settings(max_examples=20, deadline=None)
@given(beats=st.lists(heartbeats(), min_size=1, max_size=50))
def test_heartbeats_of_unknown_kinds_cause_no_request_and_no_doubt(beats: list[bytes]) -> None:
    async def scenario() -> None:
        setup = Setup()
        for number in range(0, 1000, len(beats)):
            await setup.feed_unknown(*beats[: 1000 - number])
        assert setup.not_current() == set()
        assert set(setup.asked().values()) == {0}
        await setup.close()

    asyncio.run(scenario())


async def test_undecodable_frame_with_an_order_id_makes_its_account_be_read_again() -> None:
    setup = Setup()
    await setup.feed(b'{"type": "order", "user_id": "bob", "account_id": "B2", "data": {"order_id": "o9"}}')
    make_current(setup.users)
    await setup.feed(b'{"type": "order", "data": {"order_id": "o9", "account_id": "B2", "status": "working"}}')
    assert setup.not_current() == set()
    await setup.feed(b'{"type": "order", "data": {"order_id": "o9", "status": [1]}}')
    assert setup.not_current() == {"B2"}
    await setup.close()


async def test_frame_without_an_account_and_with_an_order_of_another_user_is_not_applied() -> None:
    setup = Setup()
    await setup.feed(b'{"type": "order", "account_id": "B2", "data": {"order_id": "o9", "status": "working"}}')
    setup.change_feed.batches.clear()
    await setup.feed(b'{"type": "order", "user_id": "ann", "data": {"order_id": "o9", "status": "filled"}}')
    assert setup.changes == []
    assert (setup.updates.conflicting, setup.not_current()) == (1, {"A1", "A2", "B1", "B2"})
    assert {followed.user.user_id for followed in setup.users.not_current} == {"ann", "bob"}
    await setup.feed(b'{"type": "order", "user_id": "bob", "data": {"order_id": "o9", "status": "filled"}}')
    assert [(change.user_id, change.account_id) for change in setup.changes] == [("bob", "B2")]
    await setup.close()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b'{"account_id": "A1", "user_id": "ann"', {"A1"}), (b"", set(OWNERS))],
)
async def test_event_that_raises_is_logged_once_and_its_accounts_are_read_again(
    raw: bytes, expected: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup()
    report = b'{"type": "position", "user_id": "ann", "account_id": "A1", "data": {"symbol": "AAPL", "quantity": "%d"}}'
    await setup.feed((report % 1).replace(b'"1"', b'"1", "last_price": "7"'))
    # A partial position is read from its frame, and this frame has no payload.
    decoded: Any = DIALECT.read(report % 2)
    odd: Any = replace(decoded, raw=raw)
    for _ in range(2):
        setup.fanout.publish(odd)
    await setup.feed(report % 3)
    assert (setup.updates.crashes, setup.not_current()) == (2, expected)
    assert [record.levelname for record in caplog.records if "could not be applied" in record.message] == ["ERROR"]
    assert [change.after.quantity for change in setup.changes] == [1, 3]  # type: ignore[union-attr]
    assert not setup.running.done()
    await setup.close()


BEATS = [
    b'{"type": "heartbeat"}',
    b'{"event": "heartbeat"}',
    b'{"op": "ping", "ts": 1772461800}',
    b'{"heartbeat": 1772461800}',
    b'{"channel": "orders", "event": "hb"}',
    b'{"type": "orders", "action": "keepalive"}',
    b'{"T": "ping"}',
    b'{"user_id": null, "account_id": null}',
    b'{"type": "balance", "data": {}}',
    b'{"type": "order", "data": null, "timestamp": "2026-03-02T14:30:00Z"}',
    b'{"type": "balance"}',
    b"ping",
    b"",
    b"{}",
    b"[]",
    b"null",
    b"1772461800",
    b'"hb"',
    b"\x00",
]


@pytest.mark.parametrize("raw", BEATS)
async def test_heartbeat_of_any_form_causes_no_request(raw: bytes) -> None:
    setup = Setup()
    await setup.feed(*[raw] * 40)
    assert (setup.not_current(), sum(setup.asked().values())) == (set(), 0)
    await setup.close()


@settings(max_examples=300, deadline=None)
@given(
    drawn=st.lists(
        st.binary(max_size=60)
        | st.text(max_size=60).map(str.encode)
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([*OWNERS]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            *[
                                "type",
                                "event",
                                "topic",
                                "data",
                                "user_id",
                                "account_id",
                                "order_id",
                                "symbol",
                                "status",
                            ],
                            *["timestamp", "quantity", "fills", "filled_qty", "legs", "cash", "currency", "updated_at"],
                        ]
                    )
                    | st.text(max_size=5),
                    inner | st.sampled_from(["order", "position", "balance", "1E400", "9" * 5000, "2026-03-02"]),
                    max_size=6,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
        max_size=8,
    )
)
def test_random_frames_never_end_the_live_accounts(drawn: list[bytes]) -> None:
    async def scenario() -> None:
        setup = Setup()
        mark = b'{"type": "position", "user_id": "cid", "account_id": "C1", "data": {"symbol": "ZZ", "quantity": "%d"}}'
        for number, raw in enumerate(drawn, 1):
            await setup.feed(raw, mark % number)
            assert setup.changes[-1].account_id == "C1"
        assert not setup.running.done()
        assert setup.ended == []
        assert setup.updates.crashes == 0
        await setup.close()

    asyncio.run(scenario())


@given(
    names=st.lists(st.tuples(st.sampled_from(["user_id", "account_id", "order_id"]), st.text(max_size=20)), max_size=8)
)
def test_all_ids_of_a_frame_are_found_in_any_notation(names: list[tuple[str, str]]) -> None:
    for is_ascii in (True, False):
        raw = json.dumps([{key: name} for key, name in names], ensure_ascii=is_ascii).encode(errors="replace")
        found = mentions_in(raw)
        for key, kind in (("user_id", found.users), ("account_id", found.accounts), ("order_id", found.orders)):
            written = [name for each, name in names if each == key and name]
            readable = [name for name in written if name.isprintable() and "?" not in name]
            assert set(readable) <= set(kind) or found.is_unclear

"""Live accounts over real sockets with contradictory, undecodable and irrelevant frames."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.sandbox import Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from live_fixtures import (
    bare_newcomer,
    current,
    in_the_book,
    in_the_world,
    newcomer,
    nothing_of_ours_left,
    placed,
    taken,
)
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE, client, order as an_order

if TYPE_CHECKING:
    from connecttrade_async.live.accounts import LiveAccounts


def move_account(sandbox: Sandbox, account_id: str, giver: str, taker: str) -> None:
    """Unlink an account from one user, and link it for another."""
    users, names = sandbox.world.users, sandbox.world.books._names
    users[taker].connections[giver] = users[giver].connections.pop(giver)
    names[account_id] = taker


async def test_moved_account_is_published_under_its_new_owner_only() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        (ann, account), (bob, other) = (bare_newcomer(sandbox, ct, name) for name in ("ann", "bob"))
        async with ct.live([ann, bob], sweep_every=None) as live, live.changes() as changes:
            assert live.book(account).user_id == "ann"
            move_account(sandbox, account, "ann", "bob")
            sandbox.world.add_order(account, sandbox.clock.now(), status="working")
            report = sandbox.broker.orders(account)[0].order_id
            sandbox.stream.publish("orders", "bob", account, {"order_id": report, "status": "working"})
            await live.wait(lambda live: live.book(account).user_id == "bob", timeout=PATIENCE)
            assert live.statistics().conflicting >= 1
            # From then on frames of the account name bob.
            mark = sandbox.world.add_order(account, sandbox.clock.now(), status="working").order_id
            sandbox.stream.publish("orders", "bob", account, {"order_id": mark, "status": "working"})
            await live.wait(lambda live: mark in live.book(account).orders, timeout=PATIENCE)
            assert {change.user_id for change in taken(changes) if isinstance(change, OrderChanged)} == {"bob"}
            await current(live)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert {book.account_id: book.user_id for book in live.books()} == {account: "bob", other: "bob"}


async def test_frame_of_an_unfollowed_user_is_not_applied_to_a_followed_account() -> None:
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        (ann, account), (bob, other) = (bare_newcomer(sandbox, ct, name) for name in ("ann", "bob"))
        async with ct.live([ann, bob], sweep_every=None) as live, live.changes() as changes:
            held = live.book(account).positions
            position = {"symbol": "AAPL", "account_id": account, "quantity": "5"}
            frame = {"type": "position", "user_id": "eve", "account_id": account, "data": position}
            sandbox.stream.send(frame)
            await live.wait(lambda live: live.statistics().snapshots == 3, timeout=PATIENCE)
            assert taken(changes) == []
            assert live.book(account).positions == held
            assert live.book(other).is_current
            assert live.is_current


async def test_undecodable_frame_of_several_accounts_makes_each_be_read_again() -> None:
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [bare_newcomer(sandbox, ct, name) for name in ("ann", "bob", "cid")]
        async with ct.live([user for user, _ in users], sweep_every=None) as live:
            sandbox.stream.faults.add(StreamFault("lose", times=None))
            accounts = [account for _, account in users]
            missed = [sandbox.world.add_order(name, sandbox.clock.now(), status="working") for name in accounts]
            sandbox.stream.publish_due()
            sandbox.stream.faults.clear()
            frames = [{"type": "order", "account_id": name, "data": [1]} for name in accounts[:2]]
            sandbox.stream.send(json.dumps(frames))
            await live.wait(lambda live: live.statistics().snapshots == 5, timeout=PATIENCE)
            known = [order.order_id in live.book(str(order.account_id)).orders for order in missed]
            assert known == [True, True, False]
            assert live.is_current


HEARTBEATS = [
    '{"type": "heartbeat"}',
    '{"event": "heartbeat", "channel": "orders"}',
    '{"op": "ping", "seq": 1}',
    '{"heartbeat": {"at": 1772461800}}',
    '{"type": "balance", "data": {}}',
    '"hb"',
    "ping",
    "[]",
    "",
]


@pytest.mark.parametrize("beat", HEARTBEATS)
async def test_heartbeats_cause_no_request(beat: str) -> None:
    async with Sandbox(seed=4, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [bare_newcomer(sandbox, ct, f"u{number}") for number in range(20)]
        async with ct.live([user for user, _ in users], sweep_every=None) as live:
            served = sandbox.requests.total
            for _ in range(40):
                sandbox.stream.send(beat)
            sandbox.stream.publish("orders", "u0", users[0][1], an_order(1))
            await live.wait(lambda live: "o1" in live.book(users[0][1]).orders, timeout=PATIENCE)
            assert live.is_current
            assert sandbox.requests.total == served


async def test_a_thousand_heartbeats_of_unknown_kinds_cause_no_request() -> None:
    async with Sandbox(seed=7, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = bare_newcomer(sandbox, ct, "ann")
        async with ct.live([user], sweep_every=None) as live:
            served = sandbox.requests.total
            for number in range(250):
                sandbox.stream.send({"type": f"beat_{number}", "data": {"seq": number, "at": "2026-03-02T15:00:00Z"}})
                sandbox.stream.send({"T": f"b{number}", "payload": [{"load": number / 7}]})
                sandbox.stream.send({f"alive{number}": number, "nodes": {"up": [number], "down": None}})
                sandbox.stream.send(f"tick {number}")
            sandbox.stream.publish("orders", "ann", account, an_order(1))
            await live.wait(lambda live: "o1" in live.book(account).orders, timeout=PATIENCE)
            assert live.is_current
            assert sandbox.requests.total == served


async def test_frame_with_a_wrong_owner_makes_both_users_not_current_and_no_other() -> None:
    async with Sandbox(seed=8, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [bare_newcomer(sandbox, ct, name) for name in ("ann", "bob", "cid")]
        names = [account for _, account in users]
        async with ct.live([user for user, _ in users], sweep_every=None) as live, live.changes() as changes:
            served = live.statistics().snapshots
            seen: list[list[bool]] = []
            position = {"symbol": "AAPL", "quantity": "5"}
            sandbox.stream.send({"type": "position", "user_id": "bob", "account_id": names[0], "data": position})

            def is_read_again(live: LiveAccounts) -> bool:
                seen.append([live.book(name).is_current for name in names])
                return live.statistics().snapshots == served + 2

            await live.wait(is_read_again, timeout=PATIENCE)
            await current(live)
            assert [False, False, True] in seen
            assert all(third for _, _, third in seen)
            assert live.statistics().snapshots == served + 2
            assert taken(changes) == []


@pytest.mark.parametrize(
    "odd", ['{"type": "order", "data": 5}', '{"type": "position", "data": {"symbol": "AAPL", "quantity": "1"}}']
)
async def test_odd_frames_for_an_hour_cause_a_bounded_number_of_requests(odd: str) -> None:
    clock = SteppedClock()
    async with Sandbox(seed=5, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        users = [bare_newcomer(sandbox, ct, f"u{number}") for number in range(20)]
        async with ct.live([user for user, _ in users], sweep_every=None) as live:
            served, account = sandbox.requests.total, users[0][1]
            for beat in range(720):
                sandbox.stream.send(odd)
                await live.wait(lambda live: not live.is_current, timeout=PATIENCE)
                sandbox.stream.publish("orders", "u0", account, an_order(beat))
                await live.wait(partial(has_order, account, f"o{beat}"), timeout=PATIENCE)
                clock.advance(5.0)
            # A snapshot takes four requests at most: all users at once, some more, then 12 users a minute.
            reads = 20 + 10 + 60 * 12
            assert 0 < sandbox.requests.total - served <= 4 * reads
            clock.advance(700.0)
            await current(live)


async def test_random_frames_over_a_socket_never_end_the_live_accounts() -> None:
    dice = random.Random(13)  # noqa: S311 - draws frames
    async with Sandbox(seed=6, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        (ann, account), (bob, other) = (newcomer(sandbox, ct, name) for name in ("ann", "bob"))
        async with ct.live([ann, bob], sweep_every=None) as live:
            for _ in range(400):
                sandbox.stream.send(drawn(dice, ["ann", "bob", "eve", account, other, "nowhere"]))
            order = await placed(bob, other)
            await live.wait(lambda live: order.order_id in live.book(other).orders, timeout=PATIENCE)
            assert live.health().state != "ENDED"
            sandbox.stream.reset()
            await live.wait(is_right(sandbox, account, other), timeout=PATIENCE)


def has_order(account_id: str, order_id: str, live: LiveAccounts) -> bool:
    return order_id in live.book(account_id).orders


def is_right(sandbox: Sandbox, *accounts: str) -> Any:
    def check(live: LiveAccounts) -> bool:
        return live.is_current and all(in_the_book(live, each) == in_the_world(sandbox, each) for each in accounts)

    return check


def drawn(dice: random.Random, names: list[str]) -> str:
    """Draw a frame: decodable, undecodable or not JSON; none changes the state of the connection."""

    def value(depth: int) -> Any:
        simple = [None, True, 5, -1.5, "", "1E400", "working", "2026-03-02T14:30:00Z", "9" * 4400, *names]
        if depth > 3 or dice.random() < 0.6:
            return dice.choice(simple)
        if dice.random() < 0.5:
            return [value(depth + 1) for _ in range(dice.randrange(3))]
        return {name: value(depth + 1) for name in dice.sample(fields, dice.randrange(6))}

    fields = ["user_id", "account_id", "order_id", "symbol", "status", "quantity", "fills", "cash", "timestamp", "data"]
    frame = {name: value(0) for name in dice.sample(fields, dice.randrange(len(fields)))}
    frame["type"] = dice.choice(["order", "position", "balance", "orders", "weather"])
    text = json.dumps(frame)
    return text[: dice.randrange(len(text))] if dice.random() < 0.2 else text

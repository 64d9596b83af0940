"""Every fault of the stream that can be set, as a bare client meets it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, get_args

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from connecttrade_async.sandbox import Sandbox, StreamFault
from connecttrade_async.sandbox.faults.stream import MOMENTS, StreamFaults, StreamKind

Dial = Callable[..., Awaitable[ClientConnection]]


async def read(link: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await link.recv())


async def silence(link: ClientConnection) -> None:
    """Nothing comes before the answer to a ping."""
    async with asyncio.timeout(5):
        await (await link.ping())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await link.recv()


async def end_of(link: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            await link.recv()
    return link.protocol.close_code


async def authenticate(sandbox: Sandbox, link: ClientConnection) -> None:
    login = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    await link.send(json.dumps({"action": "authenticate", **login}))


def publish(sandbox: Sandbox, *accounts: str) -> None:
    for number, account_id in enumerate(accounts):
        sandbox.stream.publish("orders", "jane", account_id, {"number": str(number)})


async def numbers(link: ClientConnection, count: int) -> list[str]:
    return [(await read(link))["data"]["number"] for _ in range(count)]


async def test_refuse_upgrade_faults_answer_with_their_status_in_turn(sandbox: Sandbox, dial: Dial) -> None:
    sandbox.stream.faults.add(StreamFault("refuse_upgrade"))
    armed = sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=2, status=429, retry_after="7"))
    answers: list[tuple[int, str | None]] = []
    for _ in range(3):
        with pytest.raises(InvalidStatus) as refused:
            await dial()
        answers.append((refused.value.response.status_code, refused.value.response.headers.get("Retry-After")))
    assert answers == [(503, None), (429, "7"), (429, "7")]
    assert (armed.fired, armed.is_spent) == (2, True)
    assert (await read(await dial()))["type"] == "welcome"
    assert sandbox.stream.log.received["upgrade"] == 4


async def test_an_upgrade_cut_or_never_answered(sandbox: Sandbox, dial: Dial) -> None:
    sandbox.stream.faults.add(StreamFault("cut_upgrade"))
    with pytest.raises((ConnectionError, EOFError, InvalidHandshake)):
        await dial()
    sandbox.stream.faults.add(StreamFault("hang_upgrade"))
    waiting = asyncio.ensure_future(dial())
    await sandbox.stream.until_received("upgrade", times=2)
    assert [talk.phase for talk in sandbox.stream.sessions] == ["connecting"]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_welcome_that_is_kept_or_cut(sandbox: Sandbox, dial: Dial) -> None:
    sandbox.stream.faults.add(StreamFault("no_welcome"))
    link = await dial()
    await silence(link)
    await authenticate(sandbox, link)
    assert await read(link) == {"type": "authenticated"}
    sandbox.stream.faults.add(StreamFault("cut_welcome"))
    with suppress(ConnectionError, EOFError, InvalidHandshake):  # the reset may overtake the upgrade's answer
        assert await end_of(await dial()) == 1006
    async with asyncio.timeout(5):
        await sandbox.stream.until_received("disconnect")


async def test_a_login_refused_ignored_or_cut(sandbox: Sandbox, dial: Dial) -> None:
    for kind in ("refuse_login", "no_login", "cut_login"):
        sandbox.stream.faults.add(StreamFault(kind))
    refused, ignored, cut = [await dial() for _ in range(3)]
    for link in (refused, ignored, cut):
        await read(link)
        await authenticate(sandbox, link)
        await sandbox.stream.until_received("authenticate", sandbox.stream.log.received["connect"] - 2)
    assert (await read(refused))["code"] == "401"
    assert await end_of(refused) == 4401
    await silence(ignored)
    assert await end_of(cut) == 1006
    await authenticate(sandbox, ignored)
    assert await read(ignored) == {"type": "authenticated"}


async def test_an_ack_kept_or_cut(sandbox: Sandbox, dial: Dial) -> None:
    sandbox.stream.faults.add(StreamFault("no_ack"))
    sandbox.stream.faults.add(StreamFault("cut_ack"))
    link = await dial()
    await authenticate(sandbox, link)
    await read(link)
    await read(link)
    await link.send('{"action": "subscribe", "topics": ["orders"]}')
    await silence(link)
    publish(sandbox, "a")
    assert await numbers(link, 1) == ["0"]
    await link.send('{"action": "subscribe", "topics": ["balances"]}')
    assert await end_of(link) == 1006


@pytest.mark.parametrize(
    ("kind", "told"),
    [("lose", ["0", "2", "3"]), ("duplicate", ["0", "1", "1", "2", "3"]), ("reorder", ["0", "2", "1", "3"])],
)
async def test_events_lost_doubled_and_out_of_order(
    sandbox: Sandbox, listen: Dial, kind: StreamKind, told: list[str]
) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault(kind, after=1))
    publish(sandbox, "a", "a", "a", "a")
    assert await numbers(link, len(told)) == told
    await silence(link)
    events = [message for message in sandbox.stream.log if message.kind == "order"]
    assert [json.loads(message.text)["data"]["number"] for message in events if message.fate == "sent"] == told
    assert [message.serial for message in events if message.fate == "lost"] == ([2] if kind == "lose" else [])


async def test_of_one_account_only(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault("reorder", times=2, account_id="b"))
    publish(sandbox, "a", "b", "b", "a", "b", "a")
    assert await numbers(link, 6) == ["0", "3", "4", "1", "2", "5"]


async def test_a_frame_torn_in_two(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault("tear", after=1))
    publish(sandbox, "a", "a", "a")
    assert await numbers(link, 1) == ["0"]
    assert await end_of(link) == 1006
    fates = [message.fate for message in sandbox.stream.log if message.kind == "order"]
    assert fates == ["sent", "torn"]


async def test_text_that_is_no_json(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault("garble"))
    publish(sandbox, "a", "a")
    garbled = await link.recv()
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(garbled)
    assert await numbers(link, 1) == ["1"]


async def test_an_oversized_frame(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault("oversize", size=100_000))
    sandbox.stream.faults.add(StreamFault("oversize"))
    publish(sandbox, "a", "a")
    text = await link.recv()
    assert (len(text), json.loads(text)["data"]) == (100_000, {"number": "0"})
    await end_of(link)
    assert link.protocol.close_sent is not None
    assert link.protocol.close_sent.code == 1009


async def test_unknown_message_type_is_sent_by_its_fault(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault("unknown"))
    publish(sandbox, "a")
    assert (await read(link))["type"] == "weather"
    assert await numbers(link, 1) == ["0"]


@pytest.mark.parametrize(("fault", "code"), [(StreamFault("drop"), 1001), (StreamFault("drop", code=4000), 4000)])
async def test_dropped_after_an_event(sandbox: Sandbox, listen: Dial, fault: StreamFault, code: int) -> None:
    link = await listen()
    sandbox.stream.faults.add(fault)
    publish(sandbox, "a", "a")
    assert await numbers(link, 1) == ["0"]
    assert await end_of(link) == code
    await listen()


async def test_reset_after_an_event(sandbox: Sandbox, listen: Dial) -> None:
    link = await listen()
    sandbox.stream.faults.add(StreamFault("reset", after=1))
    publish(sandbox, "a")
    assert await numbers(link, 1) == ["0"]
    publish(sandbox, "a")
    async with asyncio.timeout(5):
        await link.wait_closed()
    assert link.protocol.close_code == 1006


def test_every_kind_has_its_moment() -> None:
    assert MOMENTS.keys() == set(get_args(StreamKind))
    assert set(MOMENTS.values()) == {"upgrade", "welcome", "login", "ack", "event"}


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({}, "kind must be one of"),
        ({"kind": "flood"}, "kind must be one of"),
        ({"kind": "lose", "color": "red"}, "a fault has no color"),
        ({"kind": "lose", "times": 0}, "times must be a whole number from 1"),
        ({"kind": "lose", "after": -1}, "after must be"),
        ({"kind": "lose", "after": True}, "after must be"),
        ({"kind": "lose", "after": None}, "after must be a whole number of chances to let pass"),
        ({"kind": "lose", "status": 503}, "a fault of kind lose takes no status"),
        ({"kind": "no_ack", "account_id": "a"}, "a fault of kind no_ack takes no account_id"),
        ({"kind": "refuse_upgrade", "status": 200}, "status must be"),
        ({"kind": "refuse_upgrade", "retry_after": "a\r\nb"}, "retry_after must be"),
        ({"kind": "oversize", "size": 0}, "size must be"),
        ({"kind": "drop", "code": 1005}, "code must be"),
        ({"kind": "drop", "code": 5000}, "code must be"),
    ],
)
def test_faults_that_make_no_sense(members: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        StreamFault.read(members)


def test_a_random_run_of_faults_is_the_same_for_the_same_seed() -> None:
    runs = [StreamFaults() for _ in range(3)]
    for seed, faults in zip((7, 7, 8), runs, strict=True):
        faults.schedule(seed, chances=50)
    one, same, other = ([armed.fault for armed in faults.armed] for faults in runs)
    assert one == same != other
    assert len(one) > 5
    assert all(fault.after < 50 and fault.times == 1 for fault in one)
    only = runs[0].schedule(1, among=[StreamFault("lose", account_id="a")], share=1, chances=3)
    assert [armed.fault.kind for armed in only] == ["lose"] * 3
    assert repr(runs[0]).endswith("set, 0 fired>")
    runs[0].clear()
    assert runs[0].draw("event") is None


async def receive(link: ClientConnection) -> list[str]:
    """All that comes until the end, which is not long in coming."""
    heard: list[str] = []
    with suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                heard.append(str(await link.recv()))
    return heard


@pytest.mark.parametrize("seed", range(20))
async def test_what_the_ledger_says_was_sent_is_what_comes(sandbox: Sandbox, listen: Dial, seed: int) -> None:
    events = (StreamFault(kind) for kind in get_args(StreamKind) if MOMENTS[kind] == "event")
    kinds = [fault for fault in events if fault.kind != "oversize"]
    armed = sandbox.stream.faults.schedule(seed, chances=30, among=kinds)
    for number in range(1, 6):
        link = await listen()
        publish(sandbox, *"abababab")
        sandbox.stream.drop()
        heard = await receive(link)
        sent = [message for message in sandbox.stream.log if message.link == number and message.serial]
        told = [message.text for message in sent if message.fate == "sent"]
        known = [text for text in heard if text in told]
        assert known == told[: len(known)]
        if not any(fault.fault.kind == "reset" and fault.fired for fault in armed):
            assert known == told

"""Dialects of the sandbox, drawn at random: every choice of a coherent server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import reject, strategies as st

from connecttrade_async.sandbox.dialect import BrokerageForms, MarketForms, RestForms, SandboxDialect
from connecttrade_async.sandbox.dialect.streams import (
    BrokerageEvents,
    BrokerageMessages,
    BrokerageRequests,
    ChannelWords,
    Heartbeat,
    MarketEvents,
    MarketMessages,
    MarketRequests,
    SessionEnding,
    SessionEndings,
    SubscriptionOptionPaths,
)

__all__ = ["brokerage_forms", "market_forms", "sandbox_dialects"]

T = TypeVar("T", bound=msgspec.Struct)
Draw = Callable[..., Any]

KINDS = {"order": "orders", "position": "positions", "balance": "balances"}
CHANNELS = {"quote": "quotes", "trade": "trades", "bar": "bars", "depth": "depth", "options_chain": "options_chain"}
TAG_STYLES: Mapping[str, Callable[[str, str], str]] = {
    "kind": lambda kind, _: kind,
    "topic": lambda _, topic: topic,
    "update": lambda kind, _: f"{kind}_update",
    "updated": lambda kind, _: f"{kind}_updated",
    "topic_update": lambda _, topic: f"{topic}_update",
    "event": lambda kind, _: f"{kind}_event",
    "change": lambda kind, _: f"{kind}_change",
    "data": lambda kind, _: f"{kind}_data",
    "camel": lambda kind, _: "".join(map(str.title, f"{kind}_update".split("_"))),
    "upper": lambda kind, _: kind.upper(),
    "dotted": lambda kind, _: f"update.{kind}",
    "letters": lambda kind, _: "".join(part[0] for part in kind.split("_")),
}
CODES = (4401, 4001, 4403, 3000, 1008, 1000)


def forms(kind: type[T], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Draw every field that has a closed set of values, or is a struct of such fields; the others as given."""
    return st.fixed_dictionaries({**_closed(kind, frozenset(given)), **given}).map(lambda made: coherent(kind, made))


@lru_cache
def _closed(kind: type[msgspec.Struct], given: frozenset[str]) -> Mapping[str, st.SearchStrategy[Any]]:
    found: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in get_type_hints(kind).items():
        if name in given:
            continue
        if get_origin(hint) is Literal:
            found[name] = st.sampled_from(get_args(hint))
        elif hint is bool:
            found[name] = st.booleans()
        elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            found[name] = forms(hint)
    return found


def coherent(kind: type[T], values: Mapping[str, Any]) -> T:
    try:
        return kind(**values)
    except ValueError:
        reject()


# --- what the server hears


def paths(*names: str) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just(names[0]), st.sampled_from(names), st.sampled_from(names).map(lambda name: f"params.{name}")
    )


ACTIONS = paths("action", "type", "op", "event", "method", "request", "cmd")
IDS = st.one_of(paths("id", "request_id", "rid"), st.just(""))
LOGINS = st.sampled_from(["authenticate", "auth", "login", "AUTH"])
LISTED = ("list", "text", "one")


@st.composite
def brokerage_requests(draw: Draw) -> BrokerageRequests:
    subscribe, unsubscribe = draw(
        st.sampled_from([("subscribe", "unsubscribe"), ("sub", "unsub"), ("listen", "leave")])
    )
    client_id, client_secret = draw(
        st.sampled_from([("client_id", "client_secret"), ("clientId", "clientSecret"), ("key", "secret")])
    )
    place = draw(st.sampled_from(["{}", "data.{}", "auth.{}"]))
    return coherent(
        BrokerageRequests,
        {
            "action": draw(ACTIONS),
            "id": draw(IDS),
            "authenticate": draw(LOGINS),
            "subscribe": subscribe,
            "unsubscribe": unsubscribe,
            "client_id": place.format(client_id),
            "client_secret": place.format(client_secret),
            "topics": draw(paths("topics", "channels", "streams", "topic")),
            "topics_as": draw(st.sampled_from(LISTED)),
            "unknown": draw(st.sampled_from(["ignored", "refused"])),
        },
    )


@st.composite
def option_paths(draw: Draw) -> SubscriptionOptionPaths:
    below = draw(st.sampled_from(["", "options.", "params."]))
    interval = draw(st.sampled_from(["interval", "timeframe", "resolution"]))
    names = {name: f"{below}{name}" for name in get_type_hints(SubscriptionOptionPaths)}
    return SubscriptionOptionPaths(**{**names, "interval": f"{below}{interval}"})


@st.composite
def market_requests(draw: Draw) -> MarketRequests:
    subscribe, unsubscribe = draw(st.sampled_from([("subscribe", "unsubscribe"), ("sub", "unsub")]))
    return coherent(
        MarketRequests,
        {
            "action": draw(ACTIONS),
            "id": draw(IDS),
            "authenticate": draw(LOGINS),
            "subscribe": subscribe,
            "unsubscribe": unsubscribe,
            "list_subscriptions": draw(st.sampled_from(["list_subscriptions", "list"])),
            "snapshot": draw(st.sampled_from(["snapshot", "history"])),
            "access_token": draw(paths("access_token", "token", "accessToken")),
            "channel": draw(paths("channel", "topic", "stream")),
            "symbols": draw(paths("symbols", "tickers", "symbol")),
            "symbols_as": draw(st.sampled_from(LISTED)),
            "options": draw(option_paths()),
            "unknown": draw(st.sampled_from(["ignored", "refused"])),
        },
    )


# --- what it answers


@st.composite
def messages(draw: Draw, named: Mapping[str, str], address: tuple[str, ...]) -> dict[str, Any]:
    """Draw the templates that both streams have; `named` are the placeholders of an acknowledgement."""
    tag = draw(st.sampled_from(["type", "event", "op", "T", "status"]))
    words = draw(st.sampled_from(["message", "msg", "reason", "detail"]))
    is_array = draw(st.booleans())
    sent = {"message": "{message}", "msg": "{message}", "reason": "{message}", "detail": "{message}"}[words]
    code = draw(st.sampled_from(["{code}", "{status}"]))
    acknowledged: list[Callable[[str], Any]] = [
        lambda word: {tag: f"{word}d", **named},
        lambda word: {tag: word, "status": "ok", **named},
        lambda word: {tag: f"{word}_success", "data": dict(named)},
        lambda word: {f"{word}d": named.get("topics", named.get("symbols", "{id}"))},
        lambda word: {tag: f"{word}d", "id": "{id}"},
        lambda _: None,
    ]
    welcomes: list[Any] = [{tag: "welcome", words: sent}, {tag: "connected"}, {tag: "hello", "session": "1"}, {}]
    logins: list[Any] = [{tag: "authenticated"}, {tag: "auth", "result": "success"}, {"success": True}, {"ok": True}]
    logins += [{tag: "login_ok"}, {tag: "ready"}, {"status": "authenticated"}, "Authenticated.", None]
    failures: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [
            {tag: "error", "id": "{id}", "code": code, words: sent},
            {tag: "error", "error": {"code": code, words: sent}},
            {"error": "{message}", "id": "{id}"},
            {tag: "reject", "errors": [{words: sent}]},
            {"success": False, words: sent, "id": "{id}"},
        ]
    )
    found: dict[str, Any] = {
        "welcome": draw(st.sampled_from([*welcomes, "Welcome. Please log in.", None])),
        "authenticated": draw(st.sampled_from(logins)),
        "subscribed": draw(st.sampled_from(acknowledged))("subscribe"),
        "unsubscribed": draw(st.sampled_from(acknowledged))("unsubscribe"),
        "error": draw(failures),
        "refused": draw(st.one_of(failures, st.just({tag: "auth", "result": "failed", words: sent}))),
        "displaced": draw(failures),
        "addressed_error": {tag: "error", **{name: f"{{{name}}}" for name in address}, "code": code, words: sent},
        "acknowledges": draw(st.sampled_from(["all", "each", "held", "first"])),
    }
    if is_array:
        return {name: [one] if isinstance(one, dict) else one for name, one in found.items()}
    return found


@st.composite
def heartbeats(draw: Draw) -> Heartbeat:
    beats: list[tuple[Any, Any]] = [
        (None, None),
        ({}, None),
        ("", None),
        ({"event": "heartbeat", "time": "{time}"}, None),
        ({"type": "heartbeat"}, None),
        ({"type": "ping"}, {"type": "pong"}),
        ({"op": "ping", "id": "{id}"}, {"op": "pong", "id": "{id}"}),
    ]
    frame, pong = draw(st.sampled_from(beats))
    every, code = draw(st.sampled_from([0.02, 0.25])), draw(st.sampled_from(CODES))
    since = draw(st.sampled_from(["welcome", "login"]))
    return Heartbeat(frame=frame, pong=pong, every=every, since=since, pong_within=1.0, close_code=code)


ENDINGS = forms(
    SessionEndings,
    refused=forms(SessionEnding, code=st.sampled_from(CODES)),
    displaced=forms(SessionEnding, code=st.sampled_from((4409, 4001, 1008))),
    late_code=st.sampled_from((4408, 4001, 1008)),
)


# --- what it publishes

PAYLOADS = ("", "data", "payload", "body", "{kind}", "{topic}", "data.{kind}", "message", "result")
RENAMED = st.one_of(
    st.just(dict[str, str]()),
    st.sampled_from([{"symbol": "ticker"}, {"order_id": "orderID"}, {"timestamp": "ts"}, {"quantity": "qty"}]),
)


@st.composite
def brokerage_forms(draw: Draw, *, renamed: bool = True, ids: str = "text") -> BrokerageForms:
    """Draw the forms of the brokerage stream; `renamed` also draws names of members that no rule can know."""
    style = TAG_STYLES[draw(st.sampled_from(list(TAG_STYLES)))]
    events = forms(
        BrokerageEvents,
        ids=st.just(ids),
        payload=st.sampled_from(PAYLOADS),
        names=RENAMED if renamed else st.just({}),
        **{kind: st.just(style(kind, topic)) for kind, topic in KINDS.items()},
    )
    named = draw(st.sampled_from([{"topics": "{topics}"}, {"channels": "{topics}"}, {"topic": "{topic}"}]))
    said = draw(messages(named, ("user_id", "account_id", "topic")))
    return BrokerageForms(
        requests=draw(brokerage_requests()),
        messages=coherent(BrokerageMessages, said),
        events=draw(events),
        heartbeat=draw(heartbeats()),
        endings=draw(ENDINGS),
    )


@st.composite
def market_forms(draw: Draw, *, renamed: bool = True) -> MarketForms:
    """Draw the forms of the market data stream; `renamed` also draws names of members that no rule can know."""
    style = TAG_STYLES[draw(st.sampled_from(list(TAG_STYLES)))]
    events = forms(
        MarketEvents,
        payload=st.sampled_from(PAYLOADS),
        names=RENAMED if renamed else st.just({}),
        **{kind: st.just(style(kind, channel)) for kind, channel in CHANNELS.items()},
    )
    symbols = draw(st.sampled_from([{"symbols": "{symbols}"}, {"symbol": "{symbol}"}]))
    said = draw(messages({"id": "{id}", "channel": "{channel}", **symbols}, ("channel", "symbol")))
    below = draw(st.booleans())
    bars = {"symbol": "{symbol}", "interval": "{interval}", "bars": "{bars}"}
    said["snapshot"] = {"type": "snapshot", "id": "{id}", **({"data": bars} if below else bars)}
    said["subscriptions"] = {"type": "subscriptions", "id": "{id}", "subscriptions": "{subscriptions}"}
    spellings: list[Callable[[str], str]] = [str, str.upper, str.title, lambda name: name.removesuffix("s")]
    word = draw(st.sampled_from(spellings))
    return MarketForms(
        requests=draw(market_requests()),
        messages=coherent(MarketMessages, said),
        events=draw(events),
        heartbeat=draw(heartbeats()),
        endings=draw(ENDINGS),
        channels=ChannelWords(**{name: word(name) for name in get_type_hints(ChannelWords)}),
        intervals=draw(st.sampled_from(["assumed", "min", "Min", "M1", "iso", "seconds"])),
        sessions=draw(st.sampled_from(["lower", "upper", "title"])),
    )


@st.composite
def sandbox_dialects(draw: Draw, *, renamed: bool = True) -> SandboxDialect:
    """Draw a dialect: every choice of both streams and of REST.

    Args:
        renamed: whether names of members are drawn that no rule of spelling leads back to the wire contract.
    """
    rest = draw(forms(RestForms))
    return SandboxDialect(
        name="drawn",
        brokerage=draw(brokerage_forms(renamed=renamed, ids=rest.ids)),
        market_data=draw(market_forms(renamed=renamed)),
        rest=rest,
    )

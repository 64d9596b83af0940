"""The parts of a dialect. Their defaults are the one place where the names of the wire's frames and envelopes stand.

Each default is marked with its source: (documented) by the vendor, (seen) in a client that works, or (assumed).
"""

# ruff: noqa: TC001 - msgspec reads the annotations

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import field

from connecttrade_async.dialect.templates import Template

__all__ = [
    "BrokerageDialect",
    "ChannelNames",
    "ControlKind",
    "ControlRule",
    "ControlTags",
    "ErrorMeanings",
    "FieldNames",
    "Handshake",
    "MarketDataDialect",
    "MarketOptions",
    "MarketTags",
    "OptionName",
    "RestDialect",
    "TopicNames",
    "UpdateTags",
]

ControlKind = Literal[
    "welcome", "authenticated", "subscribed", "unsubscribed", "error", "ping", "heartbeat", "subscriptions", "snapshot"
]
Condition = bool | str | tuple[str, ...]


class DialectPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a dialect."""


class ControlRule(DialectPart, frozen=True, kw_only=True):
    """One rule that gives frames a meaning: what they must hold, and what they are then.

    Attributes:
        when: what a frame must hold, by the path of a member, with dots between its levels: a text, one of several
            texts, or a boolean. Texts are compared without regard to case. ``"*"`` matches any value. The path ``"$"``
            is the whole text of a frame that is no JSON object. All members of ``when`` must match.
        meaning: what the frame is, under the name ``is``.
    """

    when: dict[str, Condition]
    meaning: ControlKind = field(name="is")


class Handshake(DialectPart, frozen=True, kw_only=True):
    """The steps until a connection is live, and the wait for each.

    Attributes:
        welcome: ``wait`` for a welcome in a known form; ``first_frame`` takes the first frame of any form, since the
            server speaks first (documented); ``none`` sends the login after ``welcome_after`` seconds at the latest.
        welcome_after: seconds, for a server that sends no welcome.
        login: ``wait`` for the acceptance of the login; ``assume`` it where no refusal came in ``login_after`` seconds.
        login_after: seconds, for a server that does not acknowledge a login.
        subscription: ``wait`` for a confirmation; ``update``: an update of a topic confirms it too; ``assume`` it where
            no refusal came in ``subscription_after`` seconds.
        subscription_after: seconds, for a server that does not acknowledge a subscription.
    """

    welcome: Literal["wait", "first_frame", "none"] = "first_frame"
    welcome_after: float = 1.0
    login: Literal["wait", "assume"] = "wait"
    login_after: float = 2.0
    subscription: Literal["wait", "update", "assume"] = "update"
    subscription_after: float = 2.0


class ControlTags(DialectPart, frozen=True, kw_only=True):
    """The tags of control messages, each in the tag field of its stream (assumed).

    Attributes:
        welcome: the first frame of the server; that there is one is (documented).
        authenticated: the login is accepted.
        subscribed: a subscription is confirmed.
        unsubscribed: a subscription has ended.
        error: an error.
        ping: a request for the frame of the template ``pong``.
    """

    welcome: tuple[str, ...] = ("welcome",)
    authenticated: tuple[str, ...] = ("authenticated",)
    subscribed: tuple[str, ...] = ("subscribed",)
    unsubscribed: tuple[str, ...] = ("unsubscribed",)
    error: tuple[str, ...] = ("error",)
    ping: tuple[str, ...] = ("ping",)


class TopicNames(DialectPart, frozen=True, kw_only=True):
    """The topics of the brokerage stream, as requests and replies name them (documented)."""

    orders: str = "orders"
    positions: str = "positions"
    balances: str = "balances"


class UpdateTags(DialectPart, frozen=True, kw_only=True):
    """The tags of updates, in the tag field (assumed): three words, one for each topic."""

    order: tuple[str, ...] = ("order",)
    position: tuple[str, ...] = ("position",)
    balance: tuple[str, ...] = ("balance",)


class BrokerageDialect(DialectPart, frozen=True, kw_only=True):
    """The frames of the brokerage stream.

    Attributes:
        authenticate: the login. Its fields are (documented), ``action`` is (assumed).
        subscribe: the subscription of topics. The topics are (documented), its form is (assumed).
        unsubscribe: the end of a subscription (assumed).
        pong: the reply to a ping of the application; empty for none (assumed: WebSocket pings alone).
        each_topic: whether a frame subscribes one topic, ``{topic}``, instead of all, ``{topics}`` (assumed).
        handshake: the steps until the connection is live.
        rules: rules that give frames a meaning, tried in order before every other reading of a control message.
        tag: the field that names the kind of a frame (assumed).
        controls: the tags of control messages.
        topics: the names of topics.
        updates: the tags of updates.
        payload: the paths at which an update may hold its payload; ``""`` where its fields stand beside the tag.
            ``{kind}`` stands for ``order``, ``position`` or ``balance``, and ``{kinds}`` for the plural (assumed).
        user_id: the path of the user's id in an update (assumed).
        account_id: the path of the account's id in an update (assumed).
        time: the path of the time of an update (assumed).
    """

    authenticate: Template = field(
        default_factory=lambda: {
            "action": "authenticate",
            "client_id": "{client_id}",
            "client_secret": "{client_secret}",
        },
    )
    subscribe: Template = field(default_factory=lambda: {"action": "subscribe", "topics": "{topics}"})
    unsubscribe: Template = field(default_factory=lambda: {"action": "unsubscribe", "topics": "{topics}"})
    pong: Template = field(default_factory=dict[str, Any])
    each_topic: bool = False
    handshake: Handshake = Handshake()
    rules: tuple[ControlRule, ...] = ()
    tag: str = "type"
    controls: ControlTags = ControlTags()
    topics: TopicNames = TopicNames()
    updates: UpdateTags = UpdateTags()
    payload: tuple[str, ...] = ("data",)
    user_id: str = "user_id"
    account_id: str = "account_id"
    time: str = "timestamp"


class ChannelNames(DialectPart, frozen=True, kw_only=True):
    """The channels of the market data stream, as requests and replies name them (documented)."""

    quotes: str = "quotes"
    trades: str = "trades"
    bars: str = "bars"
    depth: str = "depth"
    options_chain: str = "options_chain"


class OptionName(DialectPart, frozen=True, kw_only=True):
    """One option of a channel.

    Attributes:
        name: the name of the option; ``""`` stands for the name of its field in ``MarketOptions``.
        values: the words of the wire by the words of this library; other values stay as they are.
    """

    name: str = ""
    values: dict[str, str] = field(default_factory=dict[str, str])


class MarketOptions(DialectPart, frozen=True, kw_only=True):
    """The options of subscriptions and requests; that they exist is (documented), their names are (assumed).

    Attributes:
        session: the hours of trades: ``regular``, ``extended`` or ``all``.
        interval: the length of bars: ``1m``, ``5m``, ``15m``, ``30m``, ``1h`` or ``1d``.
        backfill: the count of past bars.
        levels: the count of price levels.
        underlying: the underlying of an options chain.
        expiration: the expiration of an options chain.
        greeks: whether an options chain has greeks.
        start_time: the start of past bars.
        end_time: the end of past bars.
        limit: the largest count of past bars.
    """

    session: OptionName = OptionName()
    interval: OptionName = OptionName()
    backfill: OptionName = OptionName()
    levels: OptionName = OptionName()
    underlying: OptionName = OptionName()
    expiration: OptionName = OptionName()
    greeks: OptionName = OptionName()
    start_time: OptionName = OptionName()
    end_time: OptionName = OptionName()
    limit: OptionName = OptionName()


class MarketTags(DialectPart, frozen=True, kw_only=True):
    """The tags of market data and of replies, in the tag field (assumed)."""

    quote: tuple[str, ...] = ("quote",)
    trade: tuple[str, ...] = ("trade",)
    bar: tuple[str, ...] = ("bar",)
    depth: tuple[str, ...] = ("depth",)
    options_chain: tuple[str, ...] = ("options_chain",)
    subscriptions: tuple[str, ...] = ("subscriptions",)
    snapshot: tuple[str, ...] = ("snapshot",)


class MarketDataDialect(DialectPart, frozen=True, kw_only=True):
    """The frames of the market data stream.

    Attributes:
        authenticate: the login (assumed).
        subscribe: the subscription of symbols to a channel (assumed).
        unsubscribe: its end; the action is (documented), its form is (assumed).
        list: the request for the list of subscriptions; the action is (documented), its form is (assumed). Empty where
            the server has none.
        snapshot: the request for past bars; the action is (documented), its form is (assumed).
        pong: the reply to a ping of the application; empty for none (assumed: WebSocket pings alone).
        each_symbol: whether a frame has one symbol, ``{symbol}``, instead of all, ``{symbols}`` (assumed).
        ids: whether ids of requests are text or numbers (assumed).
        counts: whether counts in options are text, as every number of this API is, or numbers (assumed).
        handshake: the steps until the connection is live.
        rules: rules that give frames a meaning, tried in order before every other reading of a control message.
        tag: the field that names the kind of a frame (assumed).
        controls: the tags of control messages.
        channels: the names of channels.
        options: the names of options, and their values.
        updates: the tags of market data and of replies.
        payload: the paths at which market data may hold its payload; ``""`` where its fields stand beside the tag
            (assumed).
    """

    authenticate: Template = field(
        default_factory=lambda: {"action": "authenticate", "access_token": "{access_token}"},
    )
    subscribe: Template = field(
        default_factory=lambda: {
            "action": "subscribe",
            "id": "{id}",
            "channel": "{channel}",
            "symbols": "{symbols}",
            "{options}": "{options}",
        },
    )
    unsubscribe: Template = field(
        default_factory=lambda: {
            "action": "unsubscribe",
            "id": "{id}",
            "channel": "{channel}",
            "symbols": "{symbols}",
            "{options}": "{options}",
        },
    )
    list: Template = field(default_factory=lambda: {"action": "list_subscriptions", "id": "{id}"})
    snapshot: Template = field(
        default_factory=lambda: {
            "action": "snapshot",
            "id": "{id}",
            "channel": "{channel}",
            "symbols": "{symbols}",
            "{options}": "{options}",
        },
    )
    pong: Template = field(default_factory=dict[str, Any])
    each_symbol: bool = False
    ids: Literal["text", "number"] = "text"
    counts: Literal["text", "number"] = "text"
    handshake: Handshake = Handshake()
    rules: tuple[ControlRule, ...] = ()
    tag: str = "type"
    controls: ControlTags = ControlTags()
    channels: ChannelNames = ChannelNames()
    options: MarketOptions = MarketOptions()
    updates: MarketTags = MarketTags()
    payload: tuple[str, ...] = ("", "data")


class FieldNames(DialectPart, frozen=True, kw_only=True):
    """The names of fields in models and messages.

    Attributes:
        case: the case of all names of the wire: ``snake``, as the documented ones have it, or ``camel``.
        aliases: other names of fields, by model and by the field's own name; they take precedence over
            ``case``. Models are the classes of this library and the control messages, in snake case: ``order``,
            ``options_chain``, ``error``, ``subscribed``.
    """

    case: Literal["snake", "camel"] = "snake"
    aliases: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


class RestDialect(DialectPart, frozen=True, kw_only=True):
    """The envelopes, cursors and errors of the REST API.

    Attributes:
        lists: the keys of the lists in objects, by resource (assumed); a bare array is (seen).
        next_cursor: the paths of the cursor of the next page, in a body (assumed).
        prev_cursor: the paths of the cursor of the previous page, in a body (assumed).
        next_header: the response headers of the cursor of the next page (assumed).
        prev_header: the response headers of the cursor of the previous page (assumed).
        next_parameter: the query parameter of the next page's cursor (assumed).
        prev_parameter: the query parameter of the previous page's cursor (assumed).
        error_message: the paths of an error's text, in order; ``message`` is (documented), the rest is (assumed).
            ``[]`` after a name stands for each item of a list.
        names: other names of request members and query parameters, by the name that this library sends; of
            ``connection_type`` (seen) the documentation says ``type`` (documented).
        values: other values of request members and query parameters, by name and by the value that this library sends.
    """

    lists: dict[str, str] = field(
        default_factory=lambda: {
            name: name
            for name in ("users", "connections", "accounts", "balances", "positions", "orders", "transactions")
        },
    )
    next_cursor: tuple[str, ...] = ("next_cursor",)
    prev_cursor: tuple[str, ...] = ("prev_cursor",)
    next_header: tuple[str, ...] = ("next-cursor",)
    prev_header: tuple[str, ...] = ("prev-cursor",)
    next_parameter: str = "next_cursor"
    prev_parameter: str = "prev_cursor"
    error_message: tuple[str, ...] = ("message", "error.message", "error", "errors[].message", "detail")
    names: dict[str, str] = field(default_factory=dict[str, str])
    values: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])


class ErrorMeanings(DialectPart, frozen=True, kw_only=True):
    """The meanings of error codes, close codes and words of the streams.

    A phrase has words with spaces between them. ``|`` stands between alternatives of a word, and ``?`` behind a word
    makes it optional: ``"session|login was? taken"``.

    Attributes:
        refused: codes for a login that would be refused again (assumed: as over REST, and close codes).
        taken: codes for a session that another client has taken (assumed).
        rate_limited: codes for too many connections or requests (assumed: as over REST, and a close code).
        temporary: further codes after which the same login may succeed (assumed: as over REST, and time-outs).
        refused_words: words of a refusal, while the login is awaited (assumed).
        taken_words: phrases for a session that another client has taken (assumed).
        rate_limited_words: phrases for too many connections or requests (assumed).
    """

    refused: tuple[str, ...] = ("401", "403", "4401", "4403")
    taken: tuple[str, ...] = ("409", "4409")
    rate_limited: tuple[str, ...] = ("429", "4429")
    temporary: tuple[str, ...] = ("500", "502", "503", "504", "3008", "4408")
    refused_words: tuple[str, ...] = ("error", "fail", "denied", "reject", "invalid")
    taken_words: tuple[str, ...] = (
        "another session|connection|client|login|device",
        "session|connection|login was|is|has? been? taken|replaced|superseded|displaced|moved",
        "logged|signed in elsewhere|again",
        "duplicate|newer|new session|connection|login",
        "replaced|superseded|displaced by",
    )
    rate_limited_words: tuple[str, ...] = ("rate limit|limited", "too many")

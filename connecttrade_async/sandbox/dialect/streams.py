"""The forms of the frames of both streams, as data.

Each field is one choice. Its default is the form that the wire contract assumes. No frame has ever been published, so
every form is (assumed), but for the names of topics, channels and credentials (documented).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from connecttrade_async.sandbox.dialect.templates import Template, placeholders

__all__ = [
    "TAGS",
    "BrokerageEvents",
    "BrokerageForms",
    "BrokerageMessages",
    "BrokerageRequests",
    "ChannelWords",
    "EventForms",
    "Heartbeat",
    "MarketEvents",
    "MarketForms",
    "MarketMessages",
    "MarketRequests",
    "Messages",
    "RequestForms",
    "SessionEnding",
    "SessionEndings",
    "StreamForms",
    "SubscriptionOptionPaths",
    "Tag",
    "is_close_code",
]

_CLOSE_CODES = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
Path = Annotated[str, msgspec.Meta(pattern=rf"^{_NAME}(\.{_NAME})*\Z", max_length=64)]
"""Where a member stands in a frame: names with dots between them, outermost first."""
OptionalPath = Annotated[str, msgspec.Meta(pattern=rf"^({_NAME}(\.{_NAME})*)?\Z", max_length=64)]
"""The same, or empty for nowhere."""
PayloadPath = Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9_{}]+(\.[A-Za-z0-9_{}]+)*)?\Z", max_length=64)]
"""Where the payload stands: names, ``{kind}`` or ``{topic}`` with dots between them; empty for flat beside the tag."""
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
"""A word that stands for a kind, an action or a channel."""
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Tag = Literal["type", "event", "topic", "channel", "T", "ev", "e", "msg_type"]
TAGS: tuple[Tag, ...] = ("type", "event", "topic", "channel", "T", "ev", "e", "msg_type")
"""The members that may hold the kind of an event."""


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choices that belong together."""


def _assumed(kind: str, *names: str) -> Any:  # noqa: ANN401  the default of a field of any type
    """A field: a template of the assumed form, with the placeholders of these names under their own names."""
    return msgspec.field(default_factory=lambda: {"type": kind, **{name: f"{{{name}}}" for name in names}})


# --- the client's frames


class RequestForms(Form, frozen=True, kw_only=True):
    """What the server hears on either stream.

    Attributes:
        action: the path of the action.
        id: the path of the request's id, which the answer repeats; empty for none.
        authenticate: the word for this action; so are `subscribe` and `unsubscribe`.
        unknown: whether members that the server does not know are ``ignored`` or ``refused``. The options of a channel
            are refused in both cases.
    """

    action: Path = "action"
    id: OptionalPath = "id"
    authenticate: Word = "authenticate"
    subscribe: Word = "subscribe"
    unsubscribe: Word = "unsubscribe"
    unknown: Literal["ignored", "refused"] = "ignored"

    def _check(self, words: Iterable[str], paths: Iterable[str]) -> None:
        _check_distinct("words of requests", words)
        known = [path for path in paths if path]
        _check_distinct("paths of requests", known)
        for path in known:
            if any(other.startswith(f"{path}.") for other in known):
                raise ValueError(f"paths of requests must not begin with another path of them, got {path!r} twice")


class BrokerageRequests(RequestForms, frozen=True, kw_only=True):
    """What the server hears on the brokerage stream.

    Attributes:
        client_id: the path of the credential; so is `client_secret`.
        topics: the path of the topics.
        topics_as: a ``list``, one ``text`` with commas, or ``one`` topic a frame.
    """

    client_id: Path = "client_id"
    client_secret: Path = "client_secret"  # noqa: S105  a path, no secret
    topics: Path = "topics"
    topics_as: Literal["list", "text", "one"] = "list"

    def __post_init__(self) -> None:
        self._check(
            (self.authenticate, self.subscribe, self.unsubscribe),
            (self.action, self.id, self.client_id, self.client_secret, self.topics),
        )


class SubscriptionOptionPaths(Form, frozen=True, kw_only=True):
    """The path of each option of a channel and of a snapshot."""

    session: Path = "session"
    interval: Path = "interval"
    backfill: Path = "backfill"
    levels: Path = "levels"
    underlying: Path = "underlying"
    expiration: Path = "expiration"
    greeks: Path = "greeks"
    start_time: Path = "start_time"
    end_time: Path = "end_time"
    limit: Path = "limit"


class MarketRequests(RequestForms, frozen=True, kw_only=True):
    """What the server hears on the market data stream.

    Attributes:
        list_subscriptions: the word for this action; so is `snapshot`.
        access_token: the path of the token.
        channel: the path of the channel.
        symbols: the path of the symbols.
        symbols_as: a ``list``, one ``text`` with commas, or ``one`` symbol a frame.
        options: the paths of the options.
    """

    list_subscriptions: Word = "list_subscriptions"
    snapshot: Word = "snapshot"
    access_token: Path = "access_token"  # noqa: S105  a path, no secret
    channel: Path = "channel"
    symbols: Path = "symbols"
    symbols_as: Literal["list", "text", "one"] = "list"
    options: SubscriptionOptionPaths = msgspec.field(default_factory=SubscriptionOptionPaths)

    def __post_init__(self) -> None:
        self._check(
            (self.authenticate, self.subscribe, self.unsubscribe, self.list_subscriptions, self.snapshot),
            (
                *(self.action, self.id, self.access_token, self.channel, self.symbols),
                *msgspec.structs.asdict(self.options).values(),
            ),
        )


# --- the server's answers


class Messages(Form, frozen=True, kw_only=True):
    """A template for each message that is no event; None for no message at all.

    Attributes:
        welcome: comes first, before any frame of the client. Placeholders: ``message``.
        authenticated: answers a login. Placeholders: ``id``.
        subscribed: acknowledges a subscription; so does `unsubscribed`. Placeholders: ``id``, and ``topics`` and
            ``topic``, or ``channel``, ``symbols`` and ``symbol``.
        error: answers a request that cannot be done. Placeholders: ``message``, ``code`` (text), ``status`` (a number),
            ``id``.
        addressed_error: an error that concerns one user, account, topic, channel or symbol, each a placeholder.
        refused: answers a login that is refused; so does `displaced` the session that another one displaces.
        acknowledges: ``all`` names of a request in one message, ``each`` in a message of its own, ``held`` with all
            names that are subscribed to by now, or only the ``first``, which is then the only one subscribed to.

    Every template may have ``time``, the time of the server.
    """

    welcome: Template = _assumed("welcome", "message")
    authenticated: Template = _assumed("authenticated")
    subscribed: Template = None
    unsubscribed: Template = None
    error: Template = _assumed("error", "id", "code", "message")
    addressed_error: Template = None
    refused: Template = _assumed("error", "code", "message")
    displaced: Template = _assumed("error", "code", "message")
    acknowledges: Literal["all", "each", "held", "first"] = "all"

    def _check(self, known: set[str]) -> None:
        for name, template in msgspec.structs.asdict(self).items():
            unknown = set[str]() if name == "acknowledges" else placeholders(template) - known
            if unknown:
                raise ValueError(f"{name} must have placeholders of {', '.join(sorted(known))}, got {unknown.pop()}")


_COMMON = {"message", "time", "id", "code", "status"}


class BrokerageMessages(Messages, frozen=True, kw_only=True):
    """The messages of the brokerage stream."""

    subscribed: Template = _assumed("subscribed", "topics")
    unsubscribed: Template = _assumed("unsubscribed", "topics")
    addressed_error: Template = _assumed("error", "user_id", "account_id", "topic", "code", "message")

    def __post_init__(self) -> None:
        self._check(_COMMON | {"topics", "topic", "user_id", "account_id"})


class MarketMessages(Messages, frozen=True, kw_only=True):
    """The messages of the market data stream.

    Attributes:
        subscriptions: answers a request for the list, with the placeholder ``subscriptions``.
        snapshot: answers a request for past bars, with the placeholders ``symbol``, ``interval`` and ``bars``.
    """

    subscribed: Template = _assumed("subscribed", "id", "channel", "symbols")
    unsubscribed: Template = _assumed("unsubscribed", "id", "channel", "symbols")
    addressed_error: Template = _assumed("error", "channel", "symbol", "code", "message")
    subscriptions: Template = _assumed("subscriptions", "id", "subscriptions")
    snapshot: Template = _assumed("snapshot", "id", "symbol", "bars")

    def __post_init__(self) -> None:
        self._check(_COMMON | {"channel", "symbols", "symbol", "subscriptions", "interval", "bars"})


# --- the server's events


class EventForms(Form, frozen=True, kw_only=True):
    """The form of the events of either stream.

    Attributes:
        tag: the member that holds the kind of an event.
        payload: the path of the payload; empty is flat beside the tag. ``{kind}`` is ``order``, ``{topic}`` ``orders``.
        listed: whether the payload is an object (``no``), a list of ``one``, or a list of as ``many`` as there are
            at once with equal other members.
        case: of the names of members; ``names`` are as they are.
        numbers: ``text`` (documented), or ``bare`` JSON numbers, also for times that are digits.
        batch: ``none`` is a frame an event, ``list`` a frame with a list of events, ``lines`` one with an event a line.
        names: other names of members, by the assumed ones.
    """

    tag: Tag = "type"
    payload: PayloadPath = "data"
    listed: Literal["no", "one", "many"] = "no"
    case: Literal["snake", "camel"] = "snake"
    numbers: Literal["text", "bare"] = "text"
    batch: Literal["none", "list", "lines"] = "none"
    names: dict[str, Annotated[str, msgspec.Meta(pattern=rf"^{_NAME}\Z", max_length=64)]] = {}

    @property
    def words(self) -> Mapping[str, str]:
        """The tag of each kind."""
        raise NotImplementedError

    def _check(self, owners: Iterable[str]) -> None:
        if self.listed != "no" and not self.payload:
            raise ValueError("listed must be no where the payload is flat")
        if set(re.findall(r"\{.*?\}|[{}]", self.payload)) - {"{kind}", "{topic}"}:
            raise ValueError(f"payload must have no placeholder but {{kind}} and {{topic}}, got {self.payload!r}")
        _check_distinct("tags of events", self.words.values())
        outermost = [self.payload.partition(".")[0]] if self.payload else []
        _check_distinct("members of an event", (self.tag, *outermost, *(self.names.get(name, name) for name in owners)))
        _check_distinct("names of members", self.names.values())
        if taken := set(self.names.values()) & {*TAGS, *outermost}:
            raise ValueError(f"names must not be those of other members, got {taken.pop()!r}")


class BrokerageEvents(EventForms, frozen=True, kw_only=True):
    """The form of the events of the brokerage stream.

    Attributes:
        order: the tag of an event of this kind; so are `position` and `balance`.
        user_id: where it stands: in the ``frame``, in the ``payload``, in ``both``, in an object ``account`` in the
            payload, or not at all.
        account_id: the same; where it stands in ``account``, it stands there with the account number. A payload has
            its own ``account_id`` also where the frame has it.
        timestamp: in the ``frame``, in the ``payload``, or not at all.
        ids: whether ids that the server makes are ``text`` or a whole ``number``, as they are over REST.
        enum_case: of statuses, sides, order types and so on; ``assumed`` is lower for a status and upper for others.
        enum_space: what stands between the words of one.
        canceled: whether ``cancelled`` is spelled ``canceled``.
    """

    order: Word = "order"
    position: Word = "position"
    balance: Word = "balance"
    user_id: Literal["frame", "payload", "both", "account", "absent"] = "frame"
    account_id: Literal["frame", "payload", "both", "account"] = "frame"
    timestamp: Literal["frame", "payload", "absent"] = "frame"
    ids: Literal["text", "number"] = "text"
    enum_case: Literal["assumed", "lower", "upper", "title"] = "assumed"
    enum_space: Literal["_", " ", "-"] = "_"
    canceled: bool = False

    def __post_init__(self) -> None:
        self._check(("user_id", "account_id", "timestamp"))

    @property
    def words(self) -> Mapping[str, str]:
        """The tag of each kind."""
        return {"order": self.order, "position": self.position, "balance": self.balance}


class MarketEvents(EventForms, frozen=True, kw_only=True):
    """The form of the events of the market data stream.

    Attributes:
        quote: the tag of an event of this kind; so are the others.
        symbol: where the symbol or the underlying stands: in the ``payload``, in the ``frame``, or in ``both``.
    """

    payload: PayloadPath = ""
    quote: Word = "quote"
    trade: Word = "trade"
    bar: Word = "bar"
    depth: Word = "depth"
    options_chain: Word = "options_chain"
    symbol: Literal["payload", "frame", "both"] = "payload"

    def __post_init__(self) -> None:
        self._check(("symbol", "underlying"))

    @property
    def words(self) -> Mapping[str, str]:
        """The tag of each kind."""
        return {name: getattr(self, name) for name in ("quote", "trade", "bar", "depth", "options_chain")}


# --- heartbeats and endings


class Heartbeat(Form, frozen=True, kw_only=True):
    """A frame that the server sends by itself, apart from the WebSocket's own pings.

    Attributes:
        frame: the template, None for no heartbeat. Placeholders: ``id``, a number that counts them, and ``time``.
        every: seconds between two of them.
        since: from the ``welcome`` on, or from the ``login`` on.
        pong: the members that a frame of the client must have to answer it; None demands no answer.
        pong_within: seconds in which the answer has to come.
        close_code: with which the connection is closed if it does not.
    """

    frame: Template = None
    every: Seconds = 0.25
    since: Literal["welcome", "login"] = "login"
    pong: dict[str, Any] | None = None
    pong_within: Seconds = 2.0
    close_code: int = 4408

    def __post_init__(self) -> None:
        _check_code(self.close_code)
        if placeholders(self.frame) - {"id", "time"} or placeholders(self.pong) - {"id"}:
            raise ValueError("heartbeat must have no placeholder but id, and time in its frame")
        if self.pong is not None and (self.frame is None or not self.pong):
            raise ValueError("pong must have members, and a frame that it answers")


class SessionEnding(Form, frozen=True, kw_only=True):
    """How the server ends a session.

    Attributes:
        by: a ``frame``, a ``close`` with a reason, or ``both``. After the frame alone a session that is refused stays
            open until its time to log in is over; any other is cut off.
        code: the close code.
        reason: of the close: a fixed ``sentence``, the ``message`` that the frame has, or ``none``.
    """

    by: Literal["both", "frame", "close"] = "both"
    code: int = 4401
    reason: Literal["sentence", "message", "none"] = "sentence"

    def __post_init__(self) -> None:
        _check_code(self.code)


class SessionEndings(Form, frozen=True, kw_only=True):
    """How the server ends a session, by the cause.

    Attributes:
        refused: the login is wrong, or its token is over.
        displaced: another session has, or had, what only one may have.
        late_code: the close code where no login came in time.
    """

    refused: SessionEnding = msgspec.field(default_factory=SessionEnding)
    displaced: SessionEnding = msgspec.field(default_factory=lambda: SessionEnding(code=4409))
    late_code: int = 4408

    def __post_init__(self) -> None:
        _check_code(self.late_code)


class StreamForms(Form, frozen=True, kw_only=True):
    """The forms that both streams have in the same way.

    Attributes:
        heartbeat: what the server sends by itself.
        endings: how it ends a session.
    """

    heartbeat: Heartbeat = msgspec.field(default_factory=Heartbeat)
    endings: SessionEndings = msgspec.field(default_factory=SessionEndings)


class BrokerageForms(StreamForms, frozen=True, kw_only=True):
    """The forms of the brokerage stream.

    Attributes:
        requests: what the server hears.
        messages: what it answers.
        events: what it publishes.
    """

    requests: BrokerageRequests = msgspec.field(default_factory=BrokerageRequests)
    messages: BrokerageMessages = msgspec.field(default_factory=BrokerageMessages)
    events: BrokerageEvents = msgspec.field(default_factory=BrokerageEvents)


class ChannelWords(Form, frozen=True, kw_only=True):
    """The word for each channel, both heard and said."""

    quotes: Word = "quotes"
    trades: Word = "trades"
    bars: Word = "bars"
    depth: Word = "depth"
    options_chain: Word = "options_chain"

    def __post_init__(self) -> None:
        _check_distinct("words of channels", msgspec.structs.asdict(self).values())


class MarketForms(StreamForms, frozen=True, kw_only=True):
    """The forms of the market data stream.

    Attributes:
        requests: what the server hears.
        messages: what it answers.
        events: what it publishes.
        channels: the word for each channel.
        intervals: how an interval is spelled, both heard and said: ``assumed`` is ``1m`` and ``1h``, ``min`` ``1min``
            and ``1hour``, ``Min`` ``1Min`` and ``1Hour``, ``M1`` ``M1`` and ``H1``, ``iso`` ``PT1M`` and ``PT1H``,
            ``seconds`` ``60`` and ``3600``.
        sessions: the case of ``regular``, ``extended`` and ``all``, both heard and said.
    """

    requests: MarketRequests = msgspec.field(default_factory=MarketRequests)
    messages: MarketMessages = msgspec.field(default_factory=MarketMessages)
    events: MarketEvents = msgspec.field(default_factory=MarketEvents)
    channels: ChannelWords = msgspec.field(default_factory=ChannelWords)
    intervals: Literal["assumed", "min", "Min", "M1", "iso", "seconds"] = "assumed"
    sessions: Literal["lower", "upper", "title"] = "lower"


def is_close_code(code: int) -> bool:
    """Return whether RFC 6455 lets a peer send a close code."""
    return any(code in known for known in _CLOSE_CODES)


def _check_code(code: int) -> None:
    if not is_close_code(code):
        raise ValueError(f"close code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, got {code}")


def _check_distinct(what: str, names: Iterable[str]) -> None:
    found = list(names)
    for name in found:
        if found.count(name) > 1:
            raise ValueError(f"{what} must differ, got {name!r} twice")

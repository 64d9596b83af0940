"""The codec of the brokerage stream: decodes frames into messages and encodes commands into frames.

Frames in the form of the dialect are decoded in one pass. A frame of another form is read slowly once; where a dialect
has its form, that is compiled, and further frames of it are read fast.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self, cast

import msgspec

from connecttrade_async.dialect.names import AmbiguousFrameError
from connecttrade_async.dialect.templates import encode_template
from connecttrade_async.dialect.tolerance import fold_name, fold_tag
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import MalformedResponseError
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate
from connecttrade_async.models.orders import Order
from connecttrade_async.secret import Secret  # noqa: TC001 - as in every codec
from connecttrade_async.streaming.batches import split_list, split_payload
from connecttrade_async.streaming.census import Census, census_of
from connecttrade_async.streaming.codec import (
    DECODE_ERRORS,
    AwaitedReply,
    Control,
    Heartbeat,
    JsonCodec,
    Subscribed,
    Unsubscribed,
    keep,
)
from connecttrade_async.streaming.digits import decode_exactly, quote_numbers
from connecttrade_async.streaming.frame_types import become_public, compiled, reads_alike
from connecttrade_async.streaming.signs import names_of, value_at
from connecttrade_async.streaming.update_forms import KINDS, UpdateForms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from connecttrade_async.models.events import UnknownMessage
    from connecttrade_async.streaming.frame_types import FrameDecoders
    from connecttrade_async.streaming.update_forms import UpdateReading

__all__ = ["BrokerageCodec"]

Update = OrderUpdate | PositionUpdate | BalanceUpdate
Message = Control | Update
UPDATES: dict[str, type[Update]] = {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate}
MAX_LEARNED = 16  # attempts of one connection to compile another form: each costs milliseconds
_MESSAGE: msgspec.json.Decoder[Message] = msgspec.json.Decoder(cast("type[Message]", Message))
_decode = _MESSAGE.decode
_USER = Dialect.default.brokerage.user_id.encode()
_CAMEL_ID = b'Id"'
_CAPITAL_I = 0x49
_FIRST_SECOND_USER = 23  # the least offset of a second user id: ``{"data":{"user_id":1},"user_id"``
log = logging.getLogger("connecttrade_async.streaming")


class OwnedIds(msgspec.Struct, gc=False):
    """The ids in one object of a frame, undecoded, and the objects inside it that may hold more ids."""

    user_id: msgspec.Raw = msgspec.Raw()
    account_id: msgspec.Raw = msgspec.Raw()
    account: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()


_OWNED = msgspec.json.Decoder(OwnedIds)
_ID: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)


class BrokerageCodec(JsonCodec[Message]):
    """Encodes and decodes the frames of one connection of the brokerage stream.

    Args:
        client_id: the client's id.
        client_secret: the client's secret; only the login frame holds it in clear text.
        dialect: how the server speaks.

    Attributes:
        learned: the dialect as given, with the forms that were learned from frames.
    """

    __slots__ = (
        "_attempts",
        "_client_id",
        "_compiled",
        "_forms",
        "_has_numbers",
        "_has_rules",
        "_is_other",
        "_orders",
        "_requests",
        "_topics",
        "learned",
    )

    decoder = _MESSAGE
    updates = frozenset(UPDATES.values())

    def __init__(self, client_id: str, client_secret: Secret, dialect: Dialect = Dialect.default) -> None:
        super().__init__(client_secret, dialect, dialect.brokerage)
        self._client_id = client_id
        self.learned: Dialect = dialect
        self._forms = UpdateForms(dialect)
        self._is_other = (dialect.brokerage, dialect.names) != (Dialect.default.brokerage, Dialect.default.names)
        self._compiled: FrameDecoders | None = compiled(dialect) if self._is_other else None
        self._has_numbers = False
        self._has_rules = bool(dialect.brokerage.rules)
        self._orders = _order_classes(self._compiled)
        self._attempts = self._requests = 0
        topics = {name: getattr(dialect.brokerage.topics, name) for name in dialect.brokerage.topics.__struct_fields__}
        self._topics: dict[str, str] = {fold_tag(name): name for name in topics}
        self._topics |= {fold_tag(wire): name for name, wire in topics.items()}

    def for_connection(self) -> Self:
        """Return a codec for a new connection, which has learned nothing yet."""
        return type(self)(self._client_id, self._secret, self.dialect)

    def authenticate(self) -> bytes:
        """Encode the login frame; its fields are (documented)."""
        values = {"client_id": self._client_id, "client_secret": str.__str__(self._secret.reveal())}
        return encode_template(self.dialect.brokerage.authenticate, {**values, "id": self._next_id()})

    def subscribe(self, topics: tuple[str, ...]) -> list[bytes]:
        """Encode the subscription of topics; the topics are (documented)."""
        part = self.dialect.brokerage
        names = [getattr(part.topics, topic) for topic in topics]
        frames = [{"topic": name, "topics": [name]} for name in names] if part.each_topic else [{"topics": names}]
        return [encode_template(part.subscribe, {**values, "id": self._next_id()}) for values in frames]

    def _next_id(self) -> str:
        self._requests += 1
        return str(self._requests)

    def topics_of(self, message: Subscribed | Unsubscribed) -> frozenset[str] | None:
        """Return the topics that a confirmation names, or None for one that names no topic at all."""
        named = message.topics or tuple(filter(None, (message.topic or message.channel,)))
        if not named:
            return None
        return frozenset(topic for name in named if (topic := self._topics.get(fold_tag(name))) is not None)

    def read(self, raw: bytes) -> Message | Heartbeat | UnknownMessage | list[Message | Heartbeat | UnknownMessage]:
        """Decode one frame, and set the owner of an update. This never raises.

        Args:
            raw: the frame.

        Returns:
            The message; an ``UnknownMessage`` for a frame that cannot be decoded or names two owners; or a list of
            these, for a frame that holds several.
        """
        if self._is_other:
            return self._read_compiled(raw)
        # ``JsonCodec.read`` with the usual owner inline: its calls would add 0.15 us to the 0.3 us of decoding.
        try:
            _ = raw.isascii() or raw.decode()
            message = _decode(raw)
        except DECODE_ERRORS as exc:
            return self.read_otherwise(raw, str(exc))
        if type(message) is OrderUpdate:
            inner = message.order.account_id
        elif type(message) is PositionUpdate:
            # A position needs no name that camelCase changes, so its ids may be spelled otherwise and be passed over.
            # The search for one byte first is ten times as fast.
            inner = message.position.account_id if _CAPITAL_I not in raw or _CAMEL_ID not in raw else ""
        elif type(message) is BalanceUpdate:
            inner = message.balance.account_id
        else:
            return cast("Message", self.complete(raw, message))
        keep(message, "raw", raw)
        account_id = message.account_id
        # No model holds the user id of a payload, and decoding the ids again costs as much as decoding the update. So
        # the text is searched: usually the last user id is so near the beginning that it is the only one.
        if account_id and message.user_id and (inner == account_id or inner is None):
            last = raw.rfind(_USER)
            if last < _FIRST_SECOND_USER or raw.find(_USER) == last:
                return message
        problem = self.set_owner(message)
        return self.unknown(raw, problem) if problem else message

    def _read_compiled(
        self, raw: bytes
    ) -> Message | Heartbeat | UnknownMessage | list[Message | Heartbeat | UnknownMessage]:
        """Decode one frame of another form than the assumed one."""
        if self.has_lists and raw.startswith(b"["):
            return self._read_orders(raw) or self.read_otherwise(raw, "")
        return cast("Message", self._read_single(raw))

    def _read_orders(self, raw: bytes) -> list[Any] | None:
        """Decode a list of order updates of one form; return None for any other list.

        A list of orders is what a busy server sends, so that this does per order what ``_read_single`` does, and no
        more.
        """
        found = self._compiled
        if found is None or self._has_numbers or self.awaits is not AwaitedReply.NOTHING:
            return None
        key, second, classes = found.user_key, found.first_second_user, self._orders
        try:
            _ = raw.isascii() or raw.decode()
            updates: list[Any] = found.decode_list(raw)
            frames = split_list(raw)
        except DECODE_ERRORS:
            return None
        if not classes.issuperset(map(type, updates)):
            return None
        pairs: Any = zip(updates, frames, strict=True)
        for update, each in pairs:
            order = update.order
            account_id, inner = update.account_id, order.account_id
            is_plain = account_id and update.user_id and (inner == account_id or inner is None)
            if not is_plain or order.fills_listed or order.legs_listed:
                return None
            last = each.rfind(key)
            if last >= second and each.find(key) != last:
                return None
            keep(update, "__class__", OrderUpdate)
            keep(order, "__class__", Order)
            keep(update, "raw", each)
        return updates

    def _read_single(self, raw: bytes) -> Any:  # noqa: ANN401 - one or several messages
        found = self._compiled
        if found is None or (self._has_rules and self.awaits is not AwaitedReply.NOTHING):
            return self.read_otherwise(raw, "")
        try:
            _ = raw.isascii() or raw.decode()
            text = quote_numbers(raw) if self._has_numbers else raw
            message = found.decode(text)
            decoded: Any = message.__class__
            if decoded in self._orders and not (message.order.fills_listed or message.order.legs_listed):
                # The most frequent frame without the calls below, which would add 0.4 us.
                keep(message, "__class__", OrderUpdate)
                keep(message.order, "__class__", Order)
                keep(message, "raw", raw)
            else:
                message = become_public(found, message, raw, text)
        except DECODE_ERRORS as exc:
            return self.read_otherwise(raw, str(exc))
        kind = message.__class__
        if kind is OrderUpdate:
            inner = message.order.account_id
        elif kind is PositionUpdate:
            inner = message.position.account_id
        elif kind is BalanceUpdate:
            inner = message.balance.account_id
        else:
            return self.complete(raw, message)
        account_id = message.account_id
        if account_id and message.user_id and (inner == account_id or inner is None):
            last = raw.rfind(found.user_key)
            if last < found.first_second_user or raw.find(found.user_key) == last:
                return message
        problem = self._set_tolerant_owner(message)
        return self.unknown(raw, problem) if problem else message

    def is_update(self, frame: dict[str, Any]) -> bool:
        """Return whether a frame is an update of this stream, so that no word in it is a sign of anything else."""
        return self._forms.form_of(frame) is not None

    def complete(self, raw: bytes, message: Any) -> Any:  # noqa: ANN401 - a control message
        """Return a control message with what its frame has under other names, such as the topics of a confirmation."""
        if type(message) is Subscribed or type(message) is Unsubscribed:
            return self._completed(raw, "subscribed" if type(message) is Subscribed else "unsubscribed")
        return super().complete(raw, message)

    def _control(self, meaning: Any, frame: Any) -> Any:  # noqa: ANN401 - JSON
        control = super()._control(meaning, frame)
        if type(control) is not Subscribed and type(control) is not Unsubscribed:
            return control
        # A confirmation may name topics anywhere: a confirmation that names fewer confirms only those.
        wire = {fold_name(name): name for name in (*KINDS, *(kind.plural for kind in KINDS.values()))}
        part = self.dialect.brokerage.topics
        wire |= {fold_name(getattr(part, name)): name for name in part.__struct_fields__}
        named = names_of(frame, wire)
        return type(control)(topics=tuple(sorted(named))) if named else control

    def read_update(self, raw: bytes, frame: dict[str, Any], problem: str) -> Any:  # noqa: ANN401 - one or several messages
        """Return the update in a frame that is no control message, and learn its form."""
        form = self._forms.form_of(frame)
        if form is None:
            msg = problem or "the frame names no kind of update"
            raise ValueError(msg)
        payload = value_at(frame, ".".join(form.path)) if form.path else frame
        if isinstance(payload, list):
            if not all(isinstance(item, dict) for item in cast("list[object]", payload)):
                msg = "the frame has a list of something else than updates"
                raise ValueError(msg)
            messages = [self.read(each) for each in split_payload(raw, form.path)]
            return messages[0] if len(messages) == 1 else messages
        reading = self._forms.read(frame, form)
        keep(reading.update, "raw", raw)
        self._learn(raw, reading)
        return reading.update

    def _learn(self, raw: bytes, reading: UpdateReading) -> None:
        """Compile the form of a frame that only the slow reading understood, and use it from here on."""
        if self._attempts >= MAX_LEARNED:
            return
        self._attempts += 1
        learned: Dialect | None = self._forms.learned(reading)
        if learned is None or (learned == self.learned and reading.has_numbers <= self._has_numbers and self._is_other):
            return
        found = compiled(learned)
        has_numbers = self._has_numbers or reading.has_numbers
        if found is None or not reads_alike(found, raw, reading.update, has_numbers=has_numbers):
            return
        self.learned = learned
        self._compiled, self._has_numbers, self._is_other = found, has_numbers, True
        self._orders = _order_classes(found)
        self._forms = UpdateForms(learned)
        kind, text = reading.form.kind.name, " ".join(learned.to_toml().split())
        log.info("frames of the kind %s have another form than expected; it is compiled: %s", kind, text)

    def read_again(self, message: Any) -> Any:  # noqa: ANN401 - one of ``updates``
        """Return the first update of its kind, read again if its frame has fields under other names.

        A field under another name is no error of the decoder: a position needs its symbol only, which no case changes.
        """
        try:
            frame = cast("dict[str, Any]", decode_exactly(message.raw))
            if not self._forms.has_other_names(frame):
                return message
            return self.read_update(message.raw, frame, "")
        except (*DECODE_ERRORS, AttributeError, LookupError, ValueError) as exc:
            return self.unknown(message.raw, str(exc))

    def census(self, message: Any) -> Census:  # noqa: ANN401 - one of ``updates``
        """Compare the names in an update's frame with those of its model."""
        kind = message.topic[:-1]
        try:
            given = message.given
        except MalformedResponseError:
            given = frozenset[str]()
        return census_of(kind, getattr(message, kind), given, ("user_id", "account"))

    def set_owner(self, update: Update) -> str:
        """Set the owner of an update from its frame, its payload, or the account object in either.

        Filters, queues and books select by owner, so the owner is resolved here once.

        Args:
            update: the decoded update; its ``raw`` is set.

        Returns:
            Why the update cannot be delivered, or ``""``. A frame that names two owners is delivered to neither.
        """
        if _CAMEL_ID in update.raw:
            return self._set_tolerant_owner(update)
        parts = tuple(_parts(update.raw))
        for name in ("account_id", "user_id"):
            named = {value for part in parts if (value := _id(getattr(part, name)))}
            if len(named) > 1:
                return f"the frame names more than one {name}: {', '.join(sorted(named))}"
            if named:
                keep(update, name, named.pop())
        return ""

    def _set_tolerant_owner(self, update: Update) -> str:
        """Set the owner of an update from ids in any case."""
        try:
            frame = cast("dict[str, Any]", decode_exactly(update.raw))
            form = self._forms.form_of(frame)
            owners = {} if form is None else self._forms.owners(frame, form)
        except (*DECODE_ERRORS, AmbiguousFrameError) as exc:
            return str(exc)
        for name, value in owners.items():
            keep(update, name, value)
        return ""


def _order_classes(found: FrameDecoders | None) -> frozenset[type]:
    """Return the compiled classes of order updates with their payload inside."""
    known: Mapping[type, type] = {} if found is None else found.public
    return frozenset(each for each, public in known.items() if public is OrderUpdate)


def _parts(raw: bytes | msgspec.Raw, depth: int = 2) -> Iterator[OwnedIds]:
    """Yield the objects that may name the owner: the frame, its payload, and the account in either.

    An object that cannot be decoded is skipped.
    """
    try:
        part = _OWNED.decode(raw)
    except DECODE_ERRORS:
        return
    yield part
    for inner in (part.account, part.data):
        if inner and depth:
            yield from _parts(inner, depth - 1)


def _id(raw: msgspec.Raw) -> str:
    try:
        found = _ID.decode(raw) if raw else None
    except DECODE_ERRORS:
        return ""
    return "" if found is None else str(found)

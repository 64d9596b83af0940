"""What a probe of a stream says about each assumption, and the dialect that matches it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.doctor.attempts import Attempt, decode_frame
from connecttrade_async.doctor.findings import Finding, FindingOutcome
from connecttrade_async.market_data.codec import MarketDataCodec
from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.models.market import Bar, Depth, Quote, Trade
from connecttrade_async.models.mentions import mentions_in
from connecttrade_async.recording.redaction import Redactor, ShapePolicy
from connecttrade_async.recording.taps import StreamName  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.dialect.parts import BrokerageDialect, MarketDataDialect
    from connecttrade_async.dialect.templates import Template
    from connecttrade_async.dialect.value import Dialect

__all__ = ["StreamProbe", "dialect_of_probe", "part_of", "stream_findings"]

# The updates of each stream, and their assumed forms.
UPDATES: dict[StreamName, dict[str, type]] = {
    "brokerage": {"order": OrderUpdate, "position": PositionUpdate, "balance": BalanceUpdate},
    "market_data": {"quote": Quote, "trade": Trade, "bar": Bar, "depth": Depth},
}
FAST = 0.5  # seconds: an assumed step need not wait longer
MAX_FORMS = 3


class StreamProbe(msgspec.Struct):
    """What happened on a probe.

    Attributes:
        stream: the name of the stream.
        attempt: the form of the login that was accepted, or not refused; None where all were refused.
        is_configured: whether that form is the configured one.
        welcome: the first frame of the server, or None.
        login: the frame that accepted the login, or None where none came.
        subscription: the frame that confirmed the subscription, or None where none came.
        refusal: why the probe ended early, or ``""``.
        frames: the frames after the subscription.
    """

    stream: StreamName
    attempt: Attempt | None = None
    is_configured: bool = True
    welcome: bytes | None = None
    login: bytes | None = None
    subscription: bytes | None = None
    refusal: str = ""
    frames: list[bytes] = msgspec.field(default_factory=list[bytes])


def stream_findings(probe: StreamProbe, dialect: Dialect) -> list[Finding]:
    """Return the findings of a probe.

    Args:
        probe: the probe.
        dialect: the configured dialect.
    """
    shapes = Redactor(ShapePolicy())
    part = part_of(dialect, probe.stream)
    findings = [_welcome(probe, part, shapes)]
    configured = _keys(part.authenticate)
    if probe.attempt is None:
        findings.append(Finding("login", configured, probe.refusal, FindingOutcome.NOT_UNDERSTOOD))
        return findings
    if probe.is_configured:
        findings.append(Finding("login", configured, "not refused", FindingOutcome.OK))
    else:
        findings.append(Finding("login", configured, _keys(probe.attempt.authenticate), FindingOutcome.NOT_UNDERSTOOD))
    handshake = part.handshake
    for subject, frame, is_assumed in (
        ("reply to the login", probe.login, handshake.login == "assume"),
        ("reply to the subscription", probe.subscription, handshake.subscription == "assume"),
    ):
        if frame is None:
            outcome = FindingOutcome.OK if is_assumed else FindingOutcome.NOT_UNDERSTOOD
            findings.append(Finding(subject, "none" if is_assumed else "comes", "none came", outcome))
        else:
            findings.append(Finding(subject, "comes", shapes.body(_text(frame)), FindingOutcome.OK))
    if probe.refusal:
        findings.append(Finding("subscription", "accepted", probe.refusal, FindingOutcome.NOT_UNDERSTOOD))
    return [*findings, *_updates(probe, dialect, shapes)]


def part_of(dialect: Dialect, stream: StreamName) -> BrokerageDialect | MarketDataDialect:
    """Return the part of a dialect for one stream."""
    return dialect.brokerage if stream == "brokerage" else dialect.market_data


def _welcome(probe: StreamProbe, part: BrokerageDialect | MarketDataDialect, shapes: Redactor) -> Finding:
    wait = part.handshake.welcome
    assumed = '{"type": "welcome"}'
    if probe.welcome is None:
        outcome = FindingOutcome.OK if wait == "none" else FindingOutcome.NOT_UNDERSTOOD
        return Finding("first frame", assumed, "none came", outcome)
    frame = decode_frame(probe.welcome)
    is_assumed = isinstance(frame, dict) and cast("dict[str, Any]", frame).get("type") == "welcome"
    saw = shapes.body(_text(probe.welcome))
    return Finding("first frame", assumed, saw, FindingOutcome.OK if is_assumed else FindingOutcome.UNDERSTOOD)


def _updates(probe: StreamProbe, dialect: Dialect, shapes: Redactor) -> list[Finding]:
    codec, kinds = _codec(probe, dialect), UPDATES[probe.stream]
    seen: Counter[str] = Counter()
    forms: dict[str, str] = {}
    unknown: list[str] = []
    for raw in probe.frames:
        for message in _read(codec, raw):
            word = next((name for name, kind in kinds.items() if isinstance(message, kind)), None)
            if word is not None:
                seen[word] += 1
                forms.setdefault(word, shapes.body(_text(raw)))
            elif isinstance(message, UnknownMessage) and _may_be_update(probe.stream, raw):
                unknown.append(f"{message.problem}: {shapes.body(_text(raw))}")
    findings: list[Finding] = []
    for word in kinds:
        assumed = f'{{"type": "{word}", ...}}'
        if not seen[word]:
            findings.append(Finding(f"updates: {word}", assumed, "none came", FindingOutcome.NOT_SEEN))
            continue
        is_assumed = f'"type":"{word}"' in forms[word].replace(" ", "")
        outcome = FindingOutcome.OK if is_assumed else FindingOutcome.UNDERSTOOD
        findings.append(Finding(f"updates: {word}", assumed, f"{seen[word]}, such as {forms[word]}", outcome))
    return findings + [
        Finding("other frames", "none", form, FindingOutcome.NOT_UNDERSTOOD) for form in unknown[:MAX_FORMS]
    ]


def dialect_of_probe(probe: StreamProbe, dialect: Dialect) -> Dialect:
    """Return the configured dialect, changed to what was seen.

    Args:
        probe: the probe.
        dialect: the configured dialect.
    """
    if probe.attempt is None:
        return dialect
    codec = _codec(probe, dialect)
    for raw in probe.frames:
        _read(codec, raw)
    learned = codec.learned
    part = part_of(learned, probe.stream)
    handshake = part.handshake
    if probe.welcome is None:
        handshake = msgspec.structs.replace(handshake, welcome="none", welcome_after=FAST)
    if probe.login is None:
        handshake = msgspec.structs.replace(handshake, login="assume", login_after=FAST)
    if probe.subscription is None:
        handshake = msgspec.structs.replace(handshake, subscription="assume", subscription_after=FAST)
    attempt = probe.attempt
    changed = msgspec.structs.replace(
        part, authenticate=attempt.authenticate, subscribe=attempt.subscribe, handshake=handshake, **attempt.others
    )
    return msgspec.structs.replace(learned, **{probe.stream: changed})


def _codec(probe: StreamProbe, dialect: Dialect) -> BrokerageCodec | MarketDataCodec:
    secret = Secret("sends-nothing")
    if probe.stream == "brokerage":
        return BrokerageCodec("doctor", secret, dialect)
    return MarketDataCodec(secret, dialect)


def _may_be_update(stream: StreamName, raw: bytes) -> bool:
    """Return whether a frame of unknown form may be an update; one that is empty is a heartbeat."""
    return mentions_in(raw).is_update if stream == "brokerage" else bool(decode_frame(raw))


def _read(codec: BrokerageCodec | MarketDataCodec, raw: bytes) -> Sequence[object]:
    message: object = codec.read(raw)
    return cast("list[object]", message) if isinstance(message, list) else [message]


def _keys(template: Template) -> str:
    """Return a template with its placeholders; it holds no secret."""
    return msgspec.json.encode(template).decode()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")

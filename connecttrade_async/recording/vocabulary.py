"""Which members of the API's JSON hold numbers, times, words, symbols, identities or credentials.

The names come from the models, so that a new field is known here without a second list. Names that the models do not
have are classified by their endings; a name that is still unknown is treated as if it held private text.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

import msgspec

from connecttrade_async.models import enums, events, market
from connecttrade_async.models.fields import Model, day, moment, number
from connecttrade_async.secret import is_credential_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "WORDS",
    "NameKind",
    "folded",
    "is_decimal",
    "is_plain_name",
    "is_symbol",
    "is_time",
    "is_word",
    "kind_of_name",
]


class NameKind(Enum):
    """What a member holds, by its name."""

    CREDENTIAL = "a secret or a token"
    IDENTITY = "the id of a user, an account or a connection, or an account number"
    NUMBER = "a number"
    TIME = "a time"
    WORD = "one of a few words"
    SYMBOL = "a symbol"
    CURSOR = "the cursor of a page"
    REQUEST = "the number of a request"
    OTHER = "unknown"


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_IDENTITY = re.compile(r"(?:^|_)(?:user|account|acct|client|connection)(?:_?(?:id|number|no|num|key|uuid))?s?$")
_NUMBER = re.compile(
    r"(?:^|_)(?:price|px|qty|quantity|size|amount|notional|value|cash|power|margin|equity|volume|interest|pl|pnl|fees?"
    r"|delta|gamma|theta|vega|rho|volatility|iv|ratio|count|limit|levels?|strike|bids?|asks?|open|high|low|close|cost"
    r"|total|balance|commission|multiplier)$"
)
_CURSOR = re.compile(r"(?:^|_)(?:cursor|page_token)$")
_TIME = re.compile(r"(?:^|_)(?:time|timestamp|ts|at|date|datetime|expiration|expiry|expires|since|until|t)$")
_WORD = re.compile(
    r"(?:^|_)(?:type|event|topics?|channels?|action|op|status|state|session|interval|code|kind|ev|t|side|sort|scopes?"
    r"|currency|broker|brokers|instrument|tif|hours|result|reason_code)$"
)
_SYMBOL = re.compile(r"(?:^|_)(?:symbols?|underlyings?|ticker|tickers)$")
_TIME_TEXT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?|1\d{9}(?:\d{3})?(?:\.\d{1,6})?"
)
_DECIMAL_TEXT = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?")
_WORD_TEXT = re.compile(r"[A-Za-z](?:[A-Za-z]|[_ .:+-](?=[A-Za-z+]|$)){0,39}|\d{1,4}|\d{1,3}[A-Za-z]{1,6}")
_SYMBOL_TEXT = re.compile(r"(?=.*[A-Z])[A-Za-z0-9./^:+_ -]{1,32}")
_SPLIT = re.compile(r"[^a-z]+")
# The words with which servers state what became of a login, a subscription or a request.
_PROTOCOL_WORDS = """
    a accepted access account address again already an and another any are as at auth authenticate authenticated
    authentication authorization authorized bad balance balances be bearer because before body but buying by bytes
    cannot channel channels check client close closed code complete connect connected connection connections could
    credentials data day days delete denied deny did does dropped elsewhere empty enough error errors event events
    exceeded exist exists expired expires extended fail failed failure false for forbidden format found frame from
    funds get gone has have heartbeat hello hours http id ids in incorrect insufficient internal invalid is it json
    known later lifted limit limited list listed listens logged login lost maintenance malformed many market message
    method minute missing must need new next no none not nothing now null of off ok on one only open or order orders
    other outside parameter patch path pending permission ping pong position positions post power prev price proxy
    put quantity quota rate ready received refused regular reject rejected rel replaced request requests required
    response retry seconds secure see server service session sessions shares should snapshot started stream streams
    subscribe subscribed subscription subscriptions success successful successfully symbol symbols system taken
    temporarily that the their there this timed timeout to token tokens too topic topics trade trades trading
    transactions true try type unauthorized unavailable unexpected unknown unsubscribe unsubscribed unsupported
    update updates use used user users valid value was welcome were with wrong your
    """


def _models(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _models(kind)


def _wire_names(*descriptors: type) -> frozenset[str]:
    """Return the names on the wire of the fields that such a descriptor reads."""
    return frozenset(
        field.encode_name
        for model in _models(Model)
        for field in msgspec.structs.fields(model)
        if isinstance(vars(model).get(field.name.removesuffix("_text")), descriptors)
    )


def _enum_names() -> frozenset[str]:
    return frozenset(
        field.encode_name
        for model in _models(Model)
        for field in msgspec.structs.fields(model)
        if any(
            isinstance(kind, type) and issubclass(kind, enums.OpenEnum) for kind in (field.type, *get_args(field.type))
        )
    )


def _enum_values() -> frozenset[str]:
    return frozenset(member.value for kind in enums.OpenEnum.__subclasses__() for member in kind)


def _tags() -> frozenset[str]:
    kinds = (kind for module in (events, market) for kind in vars(module).values() if _is_model(kind))
    tags = (kind.__struct_config__.tag for kind in kinds)
    return frozenset(str(tag) for tag in tags if tag is not None)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _all_names() -> frozenset[str]:
    return frozenset(field.encode_name for model in _models(Model) for field in msgspec.structs.fields(model))


NUMBERS = _wire_names(number)
TIMES = _wire_names(moment, day)
ENUMS = _enum_names()
VALUES = _enum_values()
WORDS = frozenset(
    word for text in (*VALUES, *_all_names(), *_tags(), _PROTOCOL_WORDS) for word in _SPLIT.split(text.lower()) if word
)
"""Words in lower case that identify no person: those of the API's names and values, and of its error messages."""


def folded(name: str) -> str:
    """Return the name of a member in snake case and lower case: ``accountId`` and ``account-id`` are alike."""
    return _CAMEL.sub("_", name).replace("-", "_").replace(" ", "_").lower()


# In order: the first that a name in snake case meets decides.
_KINDS: tuple[tuple[Callable[[str], object], NameKind], ...] = (
    (_CURSOR.search, NameKind.CURSOR),
    (is_credential_name, NameKind.CREDENTIAL),
    (NUMBERS.__contains__, NameKind.NUMBER),
    (TIMES.__contains__, NameKind.TIME),
    (ENUMS.__contains__, NameKind.WORD),
    ("id".__eq__, NameKind.REQUEST),
    (_IDENTITY.search, NameKind.IDENTITY),
    (_SYMBOL.search, NameKind.SYMBOL),
    (_WORD.search, NameKind.WORD),
    (_NUMBER.search, NameKind.NUMBER),
    (_TIME.search, NameKind.TIME),
)


@lru_cache(maxsize=4096)
def kind_of_name(name: str) -> NameKind:
    """Return what a member of this name holds."""
    name = folded(name)
    return next((kind for is_met_by, kind in _KINDS if is_met_by(name)), NameKind.OTHER)


@lru_cache(maxsize=4096)
def is_plain_name(name: str) -> bool:
    """Return whether the name of a member consists of words of the API, so that it is the id of nothing."""
    return all(word in WORDS for word in folded(name).split("_"))


def is_time(text: str) -> bool:
    """Return whether a text is a day or a time: RFC 3339, or seconds or milliseconds since 1970."""
    return _TIME_TEXT.fullmatch(text) is not None


def is_decimal(text: str) -> bool:
    """Return whether a text is a decimal number, with or without a point."""
    return _DECIMAL_TEXT.fullmatch(text) is not None


def is_symbol(text: str) -> bool:
    """Return whether a text can be a symbol; one of digits alone may be an account number."""
    return _SYMBOL_TEXT.fullmatch(text) is not None


def is_word(text: str) -> bool:
    """Return whether a text has the form of an enumerated word, a code of four digits or an interval such as 15m."""
    return _WORD_TEXT.fullmatch(text) is not None

"""The forms in which a login to a stream is tried, and what the server's reply to one says about the next."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import msgspec

from connecttrade_async.dialect.names import camel
from connecttrade_async.dialect.tolerance import words_in
from connecttrade_async.streaming.signs import code_of, message_of, signs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.dialect.parts import BrokerageDialect, ErrorMeanings, MarketDataDialect
    from connecttrade_async.dialect.templates import Template

__all__ = ["Attempt", "LoginReply", "attempts_for", "classify_login", "configured_attempt", "decode_frame"]

MAX_ATTEMPTS = 10
OTHERS = ("unsubscribe", "list", "snapshot")
TAGS = ("action", "type", "event", "op")
# Words of a refusal that is about the form of the frame, and of one that is about what it holds.
_FORM = frozenset(
    {
        *("action", "body", "command", "expected", "event", "field", "first", "format", "frame", "json", "malformed"),
        *("message", "missing", "must", "op", "parameter", "please", "request", "required", "schema", "syntax", "type"),
        *("unexpected", "unknown", "unrecognized", "unsupported"),
    }
)
_SECRET = frozenset(
    {
        *("client", "credential", "credentials", "denied", "id", "incorrect", "key", "password", "permission"),
        *("secret", "token", "wrong"),
    }
)
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=str)


class LoginReply(Enum):
    """What a frame that follows a login means."""

    ACCEPTED = "accepted"
    OTHER_FORM = "the form was refused"
    SECRET_REFUSED = "the credentials were refused"  # noqa: S105 - no secret
    UNCLEAR = "unclear"


class Attempt(msgspec.Struct, frozen=True):
    """One form of the frames that the client sends.

    Attributes:
        name: the form in words.
        authenticate: the template of the login.
        subscribe: the template of the subscription.
        others: the templates of the other frames in the same form, by their names in the dialect. A probe does not send
            them, so they are as likely as the form of the subscription.
    """

    name: str
    authenticate: Template
    subscribe: Template
    others: dict[str, Template] = {}


def configured_attempt(part: BrokerageDialect | MarketDataDialect) -> Attempt:
    """Return the form of a dialect.

    Args:
        part: the part of the dialect for one stream.
    """
    others = {name: template for name in OTHERS if (template := getattr(part, name, None))}
    return Attempt("as configured", part.authenticate, part.subscribe, others)


def attempts_for(first: Attempt) -> Sequence[Attempt]:
    """Return the forms to try: the configured one, then the usual others of its members.

    Args:
        first: the configured form.
    """
    found = [first]
    for tag, login, members in (
        ("type", "authenticate", _as_is),
        ("action", "auth", _as_is),
        ("type", "auth", _as_is),
        ("event", "authenticate", _as_is),
        ("op", "auth", _as_is),
        ("action", "login", _as_is),
        ("action", "authenticate", _in_camel_case),
        ("action", "authenticate", _in_data),
        ("type", "authenticate", _in_data),
    ):
        found.append(
            Attempt(
                f'{{"{tag}": "{login}", ...}}',
                {tag: login, **members(_fields(first.authenticate))},
                {tag: _word(first.subscribe, "subscribe"), **members(_fields(first.subscribe))},
                {
                    name: {tag: _word(template, name), **members(_fields(template))}
                    for name, template in first.others.items()
                },
            )
        )
    return found[:MAX_ATTEMPTS]


def _as_is(fields: dict[str, Any]) -> dict[str, Any]:
    return fields


def _in_camel_case(fields: dict[str, Any]) -> dict[str, Any]:
    return {camel(name): value for name, value in fields.items()}


def _in_data(fields: dict[str, Any]) -> dict[str, Any]:
    return {"data": fields}


def _word(template: Template, default: str) -> str:
    """Return the word of a template that says what it is."""
    members = template if isinstance(template, dict) else {}
    return next((value for name in TAGS if isinstance(value := members.get(name), str)), default)


def _fields(template: Template) -> dict[str, Any]:
    """Return the members of a template but for the one that says what it is; none of a template that is a list."""
    members = template if isinstance(template, dict) else {}
    return {name: value for name, value in members.items() if name not in TAGS}


def decode_frame(raw: bytes) -> object:
    """Return a frame as JSON, or as text where it is none."""
    try:
        return cast("object", _ANY.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return raw.decode("utf-8", "replace")


def classify_login(frame: object, errors: ErrorMeanings) -> LoginReply:
    """Return what a frame says about the login that was sent.

    A refusal of the credentials must not be repeated in another form: a server may lock them out. So where a refusal
    names neither the form nor the credentials, its code decides.

    Args:
        frame: the frame, decoded; the reason of a close counts as one.
        errors: the meanings of codes and words.
    """
    signs = signs_of(frame, errors)
    if signs.accepts_login:
        return LoginReply.ACCEPTED
    code = code_of(frame)
    if not signs.refuses and str(code) not in errors.refused:
        return LoginReply.UNCLEAR
    words = set(words_in(message_of(frame) or ""))
    if words & _FORM:
        return LoginReply.OTHER_FORM
    return LoginReply.SECRET_REFUSED if words & _SECRET or str(code) in errors.refused else LoginReply.OTHER_FORM

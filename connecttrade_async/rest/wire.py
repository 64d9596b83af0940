"""Encode requests and decode responses of the REST API, without any I/O.

Status codes and header names are defined in this module only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from connecttrade_async.amounts import MOST_DIGITS
from connecttrade_async.dialect.parts import RestDialect
from connecttrade_async.dialect.tolerance import ERROR_TEXT_FIELDS, fold_name
from connecttrade_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    MalformedResponseError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    one_line,
)
from connecttrade_async.pacing import parse_retry_after
from connecttrade_async.secret import MAX_EXCERPT, Secret, redact, redact_bytes, without_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "CONTENT_HEADERS",
    "DECODE_ERRORS",
    "Request",
    "Response",
    "RetryMode",
    "checked_method",
    "checked_params",
    "checked_path",
    "client_headers",
    "content_headers",
    "error_from_response",
    "json_body",
    "malformed",
    "path_segment",
    "query_string",
    "with_extra",
]

T = TypeVar("T")

OK_FROM = 200
OK_BELOW = 300
NO_CONTENT = 204
UNAUTHORIZED = 401
CONFLICT = 409
LINK = "link"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STATUS_ERRORS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    429: RateLimitedError,
}
SERVER_ERROR_FROM = 500
LARGEST_PAGE = 500  # orders that one page can have (documented)

DECODE_ERRORS = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)

_MAX_BITS = 128
CACHEABLE_TYPES = frozenset({str, int, datetime})  # equal values of these types are encoded alike
EMPTY_BODIES = frozenset({b"", b"{}", b"[]", b"null", b'""'})
MESSAGE_DEPTH = 5
JSON_KINDS: Mapping[object, str] = {bool: "boolean", int: "number", float: "number", type(None): "null"}
OUTLINE_DEPTH = 4
OUTLINE_MEMBERS = 12
OUTLINE_ITEMS = 3
# Paths of which the responses hold account data only. Any other response may hold a new secret, a token or a login
# URL, so no value of it is quoted in a message.
QUOTABLE = re.compile(r"/(?:orders|accounts|balances|positions|transactions)(?:/.*)?", re.DOTALL)
QUOTABLE_LISTS = frozenset({("GET", "/users"), ("GET", "/connections")})
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_PATH_IN_MESSAGE = re.compile(r" - at `(?P<where>[^`]*)`$")


def _content_headers(names: RestDialect) -> tuple[str, ...]:
    cursors = (*names.next_header, *names.prev_header)
    return (*(f"{x}{name}" for name in cursors for x in ("", "x-")), LINK)


DEFAULT_NAMES = RestDialect()
CONTENT_HEADERS = _content_headers(DEFAULT_NAMES)


def content_headers(names: RestDialect) -> tuple[str, ...]:
    """Return the headers that belong to the content of a response: those that may hold a cursor."""
    return CONTENT_HEADERS if names == DEFAULT_NAMES else _content_headers(names)


class RetryMode(Enum):
    """When a failed request may be sent again."""

    NEVER = "never"
    IF_UNSENT = "if it certainly never left this machine"
    SAFE = "always, since it is idempotent"


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP request, ready to be sent.

    Attributes:
        method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
        path: the quoted path, with a leading slash.
        query: the quoted query with its question mark, or an empty text.
        body: JSON, or None.
        user_id: the user's id, or None for a request of the client itself.
        user_secret: the user's secret, or None for a request of the client itself.
        repeat: when the request may be sent again.
    """

    method: str
    path: str
    query: str = ""
    body: bytes | None = None
    user_id: str | None = None
    user_secret: Secret | None = None
    repeat: RetryMode = RetryMode.NEVER

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # The generated one shows every field, and rich prefers it to ``__repr__``.
        return [("method", self.method), ("path", self.path)]

    def headers(self) -> dict[str, str]:
        """Return the headers of this request beside those of the client (documented)."""
        headers: dict[str, str] = {}
        if self.user_id is not None and self.user_secret is not None:
            headers = {"user-id": self.user_id, "user-secret": self.user_secret.reveal()}
        if self.body is not None:
            headers["content-type"] = "application/json"
        return headers


class Response(msgspec.Struct, eq=False, gc=False):
    """An HTTP response as received.

    Attributes:
        status: the HTTP status.
        headers: the headers, a mapping without regard to case.
        body: the bytes of the body. The ``repr`` omits them, since they may hold a secret.
        content_headers: the names of the headers that belong to the content: responses that differ in them differ.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    _secrets: tuple[Secret | None, ...] = ()
    content_headers: tuple[str, ...] = CONTENT_HEADERS

    def __repr__(self) -> str:
        return f"<Response {self.status} {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("status", self.status), ("bytes", len(self.body))]

    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """Decode the body as JSON; numbers without quotes become int or float.

        Raises:
            MalformedResponseError: the body is not JSON.
        """
        try:
            return _ANY_JSON.decode(self.body)
        except DECODE_ERRORS as exc:
            failure = malformed(self, None, exc)
        raise failure

    def redact(self, text: str) -> str:
        """Return a text of the server on one line, shortened, with every secret of the request masked."""
        return redact(text, self._secrets)

    @property
    def excerpt(self) -> str:
        """The beginning of the body, without secrets."""
        return redact_bytes(self.body, self._secrets)

    @property
    def outline(self) -> str:
        """The shape of the body, without any of its values: for a response that may hold a secret."""
        try:
            value = _ANY_JSON.decode(self.body)
            return one_line(_outline(value, OUTLINE_DEPTH), MAX_EXCERPT)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return f"text({len(self.body)})" if self.body else ""


def _outline(value: object, depth: int) -> str:
    if isinstance(value, str):
        return f"text({len(value)})"
    if not isinstance(value, dict | list):
        return JSON_KINDS[type(value)]
    if not depth:
        return "..."
    if isinstance(value, list):
        items = cast("list[object]", value)
        shown = [_outline(each, depth - 1) for each in items[:OUTLINE_ITEMS]]
        return "[" + ", ".join(shown) + (", ..." if len(items) > OUTLINE_ITEMS else "") + "]"
    members = cast("dict[str, object]", value).items()
    shown = [f"{_key(key)}: {_outline(each, depth - 1)}" for key, each in islice(members, OUTLINE_MEMBERS)]
    return "{" + ", ".join(shown) + (", ..." if len(members) > OUTLINE_MEMBERS else "") + "}"


def _key(name: str) -> str:
    # A key may be a secret too; the keys of the API are short and have no digits.
    return name if _PLAIN_NAME.fullmatch(name) else f"name({len(name)})"


def client_headers(client_id: str, client_secret: Secret, version: str) -> dict[str, str]:
    """Return the headers that every request of a client has (documented)."""
    return {
        "client-id": client_id,
        "client-secret": client_secret.reveal(),
        "accept": "application/json",
        "user-agent": f"connecttrade-async/{version}",
    }


def path_segment(text: str, name: str) -> str:
    """Quote a text for one segment of a path.

    Args:
        text: the text.
        name: the name of the argument, for the message of an error.

    Raises:
        ConfigurationError: it is no text, or it is empty or a dot segment, which would name another path.
    """
    _check_text(text, name)
    if not text or text in {".", ".."}:
        msg = f"{name} must be neither empty nor a dot segment, got {text!r}"
        raise ConfigurationError(msg)
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        msg = f"{name} must have no lone surrogate, which no URL can carry"
    raise ConfigurationError(msg)


def _check_text(text: object, name: str) -> None:
    if not isinstance(text, str):
        # The value may be or hold a secret, so only its type is shown.
        msg = f"{name} must be text, got {type(text).__name__}"
        raise ConfigurationError(msg)


def checked_method(method: str) -> str:
    """Validate a method of a free-form request, and return it in capitals.

    Raises:
        ConfigurationError: the API has no such method.
    """
    _check_text(method, "method")
    if method.upper() not in METHODS:
        msg = f"method must be one of {', '.join(METHODS)}, got {method[:20]!r}"
        raise ConfigurationError(msg)
    return method.upper()


def json_body(body: object) -> bytes:
    """Encode a body as JSON.

    Raises:
        ConfigurationError: a value in it has no form in JSON.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        msg = f"json must have a form in JSON: {exc}"
        raise ConfigurationError(msg) from without_frames(exc)


def checked_path(path: str) -> str:
    """Validate the path of a free-form request, and return it.

    Raises:
        ConfigurationError: it has no leading slash, or has characters that must be quoted or passed as params.
    """
    _check_text(path, "path")
    if (
        not path.startswith("/")
        or path.startswith("//")
        or quote(path, safe="/%:@!$&'()*+,;=~-._", errors="replace") != path
    ):
        msg = f"path must begin with / and be quoted, with the query in params, got {path[:80]!r}"
        raise ConfigurationError(msg)
    return path


def checked_params(params: object) -> Mapping[str, object]:
    """Validate the filters of a free-form request, and return them.

    Raises:
        ConfigurationError: they are no mapping, or a name is no text.
    """
    if not params:
        return {}
    if not isinstance(params, Mapping):
        msg = f"params must be a mapping, such as {{'symbols': 'AAPL'}}, got {type(params).__name__}"
        raise ConfigurationError(msg)
    given = cast("Mapping[str, object]", params)
    for name in given:
        _check_text(name, "each name in params")
    return given


def with_extra(
    params: Mapping[str, object],
    extra: Mapping[str, object] | None,
    also_known: Iterable[str] = (),
) -> Mapping[str, object]:
    """Return filters together with those that have no argument of their own.

    Args:
        params: the filters that have an argument of their own, given or not.
        extra: other filters, by their names in the query.
        also_known: further names that have an argument of their own.

    Raises:
        ConfigurationError: ``extra`` is no mapping of texts, or has a name that is an argument of its own.
    """
    if extra is None:
        return params
    if not isinstance(cast("object", extra), Mapping):
        msg = f"extra must be a mapping of names and values, got {type(extra).__name__}"
        raise ConfigurationError(msg)
    for name in extra:
        if not isinstance(cast("object", name), str) or not name:
            msg = f"each name in extra must be text that is not empty, got {type(name).__name__}"
            raise ConfigurationError(msg)
        if name in params or name in also_known:
            msg = f"extra must not have {name}: pass {name}= as an argument of its own"
            raise ConfigurationError(msg)
    return {**params, **extra}


def query_string(params: Mapping[str, object]) -> str:
    """Encode filters as a query: omit None, join sequences by commas, write times as RFC 3339 in UTC.

    Raises:
        ConfigurationError: a filter is empty, a float, a time without a time zone, or of another type that cannot be
            encoded. An empty filter is refused since a server may take it for no filter, and return everything.
    """
    for value in params.values():
        if value is not None:
            break
    else:
        return ""  # the common case: no filter at all
    given = tuple([pair for pair in params.items() if pair[1] is not None])
    if CACHEABLE_TYPES.issuperset([type(value) for _, value in given]):
        return _cached_query(given)
    return _query(given)


@lru_cache(maxsize=256)
def _cached_query(given: tuple[tuple[str, object], ...]) -> str:
    # A poller sends the same filters all day.
    return _query(given)


def _query(given: tuple[tuple[str, object], ...]) -> str:
    pairs = [(name, _query_value(name, value)) for name, value in given]
    try:
        return "?" + urlencode(pairs, quote_via=quote, safe=",")
    except UnicodeEncodeError:
        msg = "a filter must have no lone surrogate, which no URL can carry"
    raise ConfigurationError(msg)


def _query_value(name: str, value: object) -> str:
    match value:
        case str():
            text = str(value)
        case bool():
            text = "true" if value else "false"
        case int() | Decimal():
            text = _digits(name, value)
        case datetime() if value.utcoffset() is not None:
            text = _utc(name, value).isoformat().replace("+00:00", "Z")
        case datetime():
            msg = f"{name} must have a time zone, such as datetime.UTC, got {value.isoformat()}"
            raise ConfigurationError(msg)
        case date():
            text = value.isoformat()
        case list() | tuple():
            text = ",".join(_query_value(name, item) for item in cast("Iterable[object]", value))
        case _:
            msg = f"{name} must be text, a whole number, a date or a time, got {type(value).__name__}"
            raise ConfigurationError(msg)
    if not text:
        msg = f"{name} must not be empty: omit it to list all"
        raise ConfigurationError(msg)
    return text


def _digits(name: str, value: int | Decimal) -> str:
    if isinstance(value, int):
        is_bounded = value.bit_length() <= _MAX_BITS
    else:
        is_bounded = value.is_finite() and abs(value.adjusted()) <= MOST_DIGITS
    if not is_bounded:
        msg = f"{name} must be a finite number of at most {MOST_DIGITS} digits on either side of its point"
        raise ConfigurationError(msg)
    return format(value, "d" if isinstance(value, int) else "f")


def _utc(name: str, when: datetime) -> datetime:
    try:
        return when.astimezone(UTC)
    except OverflowError:
        msg = f"{name} must be within the years 1 to 9999 in UTC, got {when.isoformat()}"
    raise ConfigurationError(msg)


_ANY_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


def malformed(response: Response, request: Request | None, exc: Exception) -> MalformedResponseError:
    """Return the error for a response that cannot be decoded; raise it outside the handler of ``exc``.

    Args:
        response: the response.
        request: the request, for the message, or None.
        exc: the error of the decoder. It becomes the cause, except one that holds the bytes with the secrets in them.
    """
    problem, where = str(exc), "$"
    if found := _PATH_IN_MESSAGE.search(problem):
        problem, where = problem[: found.start()], found["where"]
    if not _is_utf_8(response.body):
        problem = "the text is not UTF-8"  # the exception and its message differ between releases of msgspec
    if not isinstance(exc, msgspec.ValidationError):
        kind = response.redact(response.headers.get("content-type", "no content type").partition(";")[0])
        problem = f"{problem} ({kind}, {len(response.body)} bytes)" if response.body else "the body is empty"
    sent = f"{request.method} {request.path}" if request is not None else ""
    excerpt = quoted(response, request)
    error = MalformedResponseError(where=where, problem=problem, excerpt=excerpt, request=sent, response=response)
    # The repr of a UnicodeDecodeError shows the bytes.
    error.__cause__ = None if isinstance(exc, UnicodeDecodeError) else without_frames(exc)
    return error


def quoted(response: Response, request: Request | None) -> str:
    """Return the part of a response that a message may quote: its beginning, or its shape if it may hold a secret."""
    if request is None:
        return response.outline
    is_quotable = QUOTABLE.fullmatch(request.path) or (request.method, request.path) in QUOTABLE_LISTS
    return response.excerpt if is_quotable else response.outline


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def error_from_response(
    request: Request, response: Response, now: datetime, paths: Iterable[str] = DEFAULT_NAMES.error_message
) -> APIError:
    """Return the error for a response with a status outside 2xx.

    Args:
        request: the request.
        response: the response.
        now: the present, aware, for a ``Retry-After`` that is a date.
        paths: the paths of the text, in order; ``[]`` after a name stands for each item of a list.
    """
    fields: dict[str, Any] = {
        "status": response.status,
        "message": _message(request, response, paths),
        "method": request.method,
        "path": request.path,
        "retry_after": parse_retry_after(response.headers.get("retry-after", ""), now),
        "response": response,
    }
    if response.status >= SERVER_ERROR_FROM:
        return ServerError(**fields)
    return STATUS_ERRORS.get(response.status, APIError)(**fields)


def _message(request: Request, response: Response, paths: Iterable[str]) -> str:
    """Return why a request was refused: the message of the server, or else the phrase of the status and an excerpt."""
    if message := response.redact(_message_in(response.body, paths)):
        return message
    if location := response.headers.get("location", ""):
        return f"redirected to {response.redact(location.partition('?')[0])}; check the URL of the API"
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "no explanation given"
    if response.body.strip() in EMPTY_BODIES:
        return phrase
    return one_line(f"{phrase}; the response begins {quoted(response, request)!r}", MAX_EXCERPT)


def _message_in(body: bytes, paths: Iterable[str]) -> str:
    """Return the message in the body of an error: at one of the paths, or in any form that APIs use; or ``""``."""
    try:
        content = _ANY_JSON.decode(body.decode("utf-8-sig", "replace"))
    except (msgspec.MsgspecError, RecursionError):
        return ""
    found = (_find_message(_values_at(content, path.split(".")), MESSAGE_DEPTH) for path in paths)
    return next(filter(None, found), "") or _find_message(content, MESSAGE_DEPTH)


def _values_at(value: object, names: Sequence[str]) -> object:
    """Return what stands at a path, or None; a list for a path through lists."""
    if not names:
        return value
    if not isinstance(value, dict):
        return None
    name, is_list = names[0].removesuffix("[]"), names[0].endswith("[]")
    found = next((each for key, each in cast("dict[str, object]", value).items() if _is_same(key, name)), None)
    if not is_list:
        return _values_at(found, names[1:])
    return [_values_at(each, names[1:]) for each in cast("list[object]", found)] if isinstance(found, list) else None


def _is_same(name: str, other: str) -> bool:
    return name == other or fold_name(name) == fold_name(other)


def _find_message(value: object, depth: int) -> str:
    match value:
        case str():
            return value.strip()
        case dict() if depth:
            members = {fold_name(name): each for name, each in cast("dict[str, object]", value).items()}
            # ``message`` is documented, the other keys are those of other APIs (assumed). The first with a text counts.
            for name in ERROR_TEXT_FIELDS:
                if message := _find_message(members.get(name), depth - 1):
                    return message
        case list() if depth:
            messages = [_find_message(each, depth - 1) for each in cast("list[object]", value)[:OUTLINE_MEMBERS]]
            return "; ".join(message for message in messages if message)
        case _:
            pass
    return ""

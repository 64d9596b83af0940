"""Below the waterline: how REST is spelled. Values in, bytes out; bytes in, a value or an error out.

Status numbers and header names live here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from html import escape
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from connecttrade_async.amounts import MOST_DIGITS
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
from connecttrade_async.secret import MASK, Secret, without_frames

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Request",
    "Response",
    "RetryMode",
    "checked_method",
    "checked_params",
    "checked_path",
    "client_headers",
    "decoder",
    "error_from_response",
    "json_body",
    "path_segment",
    "query_string",
    "read",
    "retry_after",
    "with_extra",
]

T = TypeVar("T")

OK_FROM = 200
OK_BELOW = 300
NO_CONTENT = 204
UNAUTHORIZED = 401
CONFLICT = 409
NEXT_CURSOR = "next-cursor"
PREV_CURSOR = "prev-cursor"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REFUSALS: Mapping[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    429: RateLimitedError,
}
SERVER_SIDE = 500
CENTURY = 36_525 * 86_400.0  # seconds

_MOST_BITS = 128
ONE_SPELLING = frozenset({str, int, datetime})  # of these, what is equal is spelled alike
EXCERPT = 200
WINDOW = 65_536
SAYS_NOTHING = frozenset({b"", b"{}", b"[]", b"null", b'""'})
ERROR_WORDS = ("message", "error", "errors", "detail", "details", "error_description", "description", "msg", "title")
WORDS_DEPTH = 5
JSON_KINDS: Mapping[object, str] = {bool: "boolean", int: "number", float: "number", type(None): "null"}
OUTLINE_DEPTH = 4
OUTLINE_MEMBERS = 12
OUTLINE_ITEMS = 3
# Paths whose answers hold what accounts hold. An answer to anything else may carry a new secret, a token or an address
# at which a person logs in, so no value of it is quoted.
QUOTABLE = re.compile(r"/(?:orders|accounts|balances|positions|transactions)(?:/.*)?", re.DOTALL)
QUOTABLE_LISTS = frozenset({("GET", "/users"), ("GET", "/connections")})
_NAMES = (
    "secret|token|jwt|bearer|passw(?:or)?d|passphrase|authorization|credential|cookie|signature"
    "|(?:api|private)[-_]?key|session[-_]?(?:id|key)"
)
_SENSITIVE = re.compile(
    # The key is bounded, so that nonsense is not searched over and over. The value is text, a list, an object or a
    # number, and may be cut off anywhere; the backslashes are those of JSON inside a JSON text.
    rf'("[^"]{{0,64}}(?:{_NAMES})[^"]{{0,64}}"\s*:\s*)'
    r'(?:\\*"(?:[^"\\]|\\.)*"?|[\[{][^\]}]*[\]}]?|[^\s",}\]]+)',
    re.IGNORECASE | re.DOTALL,
)
_SENSITIVE_LINE = re.compile(
    # It begins at the word itself: what may stand before it need not be matched, and would be searched for minutes.
    # A token only as a name has it: "invalid token: expired" is a reason that people need.
    r"((?:secret|[-_]token|token(?==)|jwt|passw(?:or)?d|passphrase|authorization|cookie|(?:api|private)[-_]?key"
    r"|session[-_]?(?:id|key))\s{0,8}[:=]\s{0,8})[^\s,;<>\"']+",
    re.IGNORECASE,
)
# By shape, under whatever name: a JSON web token, and what follows the word of an authorization header. "Bearer" is a
# word of sentences too, so only what has a digit in it counts.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}")
_BEARER = re.compile(r"(bearer\s{1,8})(?=[^\s\d]{0,512}\d)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_PATH_IN_MESSAGE = re.compile(r" - at `(?P<where>[^`]*)`$")


class RetryMode(Enum):
    """How often one request may be sent."""

    NEVER = "never again, whatever happened"
    IF_UNSENT = "again where it is certain that it never left this machine"
    SAFE = "again, since asking twice does the same as asking once"


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question, ready to be sent.

    Attributes:
        method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
        path: quoted, beginning with a slash.
        query: quoted, with its question mark; or empty.
        body: JSON, or None.
        user_id: whom it is for, or None.
        user_secret: that user's secret, or None.
        repeat: how often it may be sent.
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
        # A struct comes with one that shows everything, and rich prefers it to the ``repr``.
        return [("method", self.method), ("path", self.path)]

    def headers(self) -> dict[str, str]:
        """Return the headers that this request adds to those of the client (documented)."""
        headers: dict[str, str] = {}
        if self.user_id is not None and self.user_secret is not None:
            headers = {"user-id": self.user_id, "user-secret": self.user_secret.reveal()}
        if self.body is not None:
            headers["content-type"] = "application/json"
        return headers


class Response(msgspec.Struct, eq=False, gc=False):
    """An answer as it came.

    Attributes:
        status: the HTTP status.
        headers: its headers, read without regard to case.
        body: its bytes. The ``repr`` does not show them, since they may hold a secret.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    _secrets: tuple[Secret | None, ...] = ()

    def __repr__(self) -> str:
        return f"<Response {self.status} {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("status", self.status), ("bytes", len(self.body))]

    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """Read the body as JSON; numbers that are not in quotes become int or float.

        Raises:
            MalformedResponseError: it is not JSON.
        """
        return read(self, _ANYTHING)

    def presentable(self, text: str) -> str:
        """Return a text on one line, shortened, with everything masked that is or is named like a secret."""
        if len(text) > WINDOW:
            text = self._cut(text[:WINDOW])
        # The word before a token goes with the line that names it, so tokens are masked first.
        text = _BEARER.sub(rf"\1{MASK}", _JWT.sub(MASK, text))
        text = _SENSITIVE_LINE.sub(rf"\1{MASK}", _SENSITIVE.sub(rf'\1"{MASK}"', text))
        for spelling in self.spellings():
            text = text.replace(spelling, MASK)
        return one_line(text, EXCERPT)

    def _cut(self, text: str) -> str:
        """Return a text that was cut off without the first half of a secret at its end."""
        for spelling in self.spellings():
            text = _without_beginning(text, spelling)
        return text

    def spellings(self) -> list[str]:
        """Return every way in which the secrets may stand in a text."""
        # As JSON, HTML and an address write them, and the longest first: one may be the beginning of another.
        spellings: set[str] = set()
        for secret in self._secrets:
            if secret:
                text = str.__str__(secret.reveal())
                quoted = msgspec.json.encode(text).decode()[1:-1]
                spellings |= {text, quoted, quoted.replace("/", r"\/"), escape(text), quote(text, safe="")}
        return sorted(spellings, key=len, reverse=True)

    @property
    def excerpt(self) -> str:
        """How the body begins, free of secrets."""
        text = self.body[:WINDOW].decode("utf-8", "replace")
        return self.presentable(self._cut(text) if len(self.body) > WINDOW else text)

    @property
    def outline(self) -> str:
        """The shape of the body, without any of its values: for an answer that may carry a secret."""
        try:
            value = _ANYTHING.decode(self.body)
            return one_line(_outline(value, OUTLINE_DEPTH), EXCERPT)
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
    # A secret may stand as a name too; a name of the wire is short and has no digits.
    return name if _PLAIN_NAME.fullmatch(name) else f"name({len(name)})"


def _without_beginning(text: str, secret: str) -> str:
    # Where the window cuts a secret in two, what is left of it is no longer found whole.
    for length in range(len(secret) - 1, 0, -1):
        if text.endswith(secret[:length]):
            return text[:-length]
    return text


def client_headers(client_id: str, client_secret: Secret, version: str) -> dict[str, str]:
    """Return the headers of every request of a client (documented)."""
    return {
        "client-id": client_id,
        "client-secret": client_secret.reveal(),
        "accept": "application/json",
        "user-agent": f"connecttrade-async/{version}",
    }


def path_segment(text: str, name: str) -> str:
    """Quote a text for one segment of a path.

    Raises:
        ConfigurationError: it is no text, or empty or a dot segment, which would name another path.
    """
    _check_text(text, name)
    if not text or text in {".", ".."}:
        msg = f"{name} cannot be {text!r}"
        raise ConfigurationError(msg)
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        msg = f"{name} has half a character in it, a lone surrogate, which no address can carry"
    raise ConfigurationError(msg)


def _check_text(text: object, name: str) -> None:
    if not isinstance(text, str):
        # What was given may be or hold a secret, so it is not shown.
        msg = f"{name} must be text, not {type(text).__name__}"
        raise ConfigurationError(msg)


def checked_method(method: str) -> str:
    """Return a method of the caller's own choosing, in capitals.

    Raises:
        ConfigurationError: the API has none of that name.
    """
    _check_text(method, "the method")
    if method.upper() not in METHODS:
        msg = f"the method must be one of {', '.join(METHODS)}, not {method[:20]!r}"
        raise ConfigurationError(msg)
    return method.upper()


def json_body(body: object) -> bytes:
    """Spell a body as JSON.

    Raises:
        ConfigurationError: there is something in it that JSON has no form for.
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        msg = f"the body cannot be spelled as JSON: {exc}"
        raise ConfigurationError(msg) from without_frames(exc)


def checked_path(path: str) -> str:
    """Return a path of the caller's own making.

    Raises:
        ConfigurationError: it does not begin with a slash, or has in it what must be quoted or passed as params.
    """
    _check_text(path, "the path")
    if (
        not path.startswith("/")
        or path.startswith("//")
        or quote(path, safe="/%:@!$&'()*+,;=~-._", errors="replace") != path
    ):
        msg = f"the path {path[:80]!r} must begin with / and be quoted; a query goes into params"
        raise ConfigurationError(msg)
    return path


def checked_params(params: object) -> Mapping[str, object]:
    """Return filters of the caller's own making.

    Raises:
        ConfigurationError: they are not given by their names.
    """
    if not params:
        return {}
    if not isinstance(params, Mapping):
        msg = f"params must be a mapping, such as {{'symbols': 'AAPL'}}, not {type(params).__name__}"
        raise ConfigurationError(msg)
    given = cast("Mapping[str, object]", params)
    for name in given:
        _check_text(name, "the name of a filter")
    return given


def with_extra(
    params: Mapping[str, object],
    extra: Mapping[str, object] | None,
    also_known: Iterable[str] = (),
) -> Mapping[str, object]:
    """Return filters together with those that this library has no argument for.

    Args:
        params: the filters that have an argument of their own, given or not.
        extra: the others, by their names on the wire.
        also_known: names that have an argument of their own and are not among ``params``.

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
            msg = "extra must have names of filters that are text and not empty"
            raise ConfigurationError(msg)
        if name in params or name in also_known:
            msg = f"extra must not have {name}: pass {name}= as an argument of its own"
            raise ConfigurationError(msg)
    return {**params, **extra}


def query_string(params: Mapping[str, object]) -> str:
    """Spell filters: None is left out, sequences are joined by commas, times are RFC 3339 in UTC.

    Raises:
        ConfigurationError: a filter is empty, a float, a time without a zone, or of no kind that has a spelling. An
            empty filter is refused because a server may read it as no filter, and answer with everything.
    """
    for value in params.values():
        if value is not None:
            break
    else:
        return ""  # as most who ask for all do
    given = tuple([pair for pair in params.items() if pair[1] is not None])
    if ONE_SPELLING.issuperset([type(value) for _, value in given]):
        return _known_query(given)
    return _query(given)


@lru_cache(maxsize=256)
def _known_query(given: tuple[tuple[str, object], ...]) -> str:
    # Pollers ask for the same thing all day.
    return _query(given)


def _query(given: tuple[tuple[str, object], ...]) -> str:
    spelled = [(name, _query_value(name, value)) for name, value in given]
    try:
        return "?" + urlencode(spelled, quote_via=quote, safe=",")
    except UnicodeEncodeError:
        msg = "a filter has half a character in it, a lone surrogate, which no address can carry"
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
            msg = f"{name} has no time zone: give it one, such as datetime.UTC"
            raise ConfigurationError(msg)
        case date():
            text = value.isoformat()
        case list() | tuple():
            text = ",".join(_query_value(name, item) for item in cast("Iterable[object]", value))
        case _:
            msg = f"{name} cannot be spelled from {type(value).__name__}: pass text, a whole number, a date or a time"
            raise ConfigurationError(msg)
    if not text:
        msg = f"{name} is empty: leave it out to ask for all"
        raise ConfigurationError(msg)
    return text


def _digits(name: str, value: int | Decimal) -> str:
    if isinstance(value, int):
        is_bounded = value.bit_length() <= _MOST_BITS
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
        msg = f"{name} lies outside of the years 1 to 9999 in UTC: {when.isoformat()}"
    raise ConfigurationError(msg)


def _receive(kind: type[Secret], value: Any) -> Secret:  # noqa: ANN401 - whatever JSON had there
    return kind(value)


def decoder(kind: type[T], *, key: str | None = None) -> msgspec.json.Decoder[T]:
    """Return a decoder for bodies of one shape; make it once and keep it.

    Args:
        kind: the shape.
        key: for lists, the field that names a row. A row that lacks it is read with an empty text there, so that one
            odd row does not hide the others.
    """
    made = msgspec.json.Decoder(kind, dec_hook=_receive)
    if key is not None:
        _KEYS[made] = key
    return made


_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_KEYS: dict[msgspec.json.Decoder[Any], str] = {}


def read(response: Response, shape: msgspec.json.Decoder[T], request: Request | None = None) -> T:
    """Read the body of an answer.

    Raises:
        MalformedResponseError: it is no JSON, or JSON of another shape; it has ``.where``, ``.excerpt`` and the whole
            answer as ``.response``.
    """
    try:
        try:
            return shape.decode(response.body)
        except msgspec.ValidationError:
            if (key := _KEYS.get(shape)) is None:
                raise
            # Decoded a second time, and slowly, because almost no answer has such a row.
            return shape.decode(_with_every_key(response.body, key))
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise _malformed(response, request, exc) from without_frames(exc)
    except UnicodeDecodeError as exc:
        # Not chained: this one carries the bytes, secrets and all, and its repr shows them.
        trouble = _malformed(response, request, exc)
    raise trouble


def _with_every_key(body: bytes, key: str) -> bytes:
    """Return a body in which each row has its key, as an empty text where it is missing or null."""
    answer = _ANYTHING.decode(body)
    lists: list[Any] = [answer, *answer.values()] if isinstance(answer, dict) else [answer]
    for rows in lists:
        listed = cast("list[object]", rows) if isinstance(rows, list) else []
        for row in listed:
            named = cast("dict[str, object]", row) if isinstance(row, dict) else None
            if named is not None and named.get(key) is None:
                named[key] = ""
    return msgspec.json.encode(answer)


def _malformed(response: Response, request: Request | None, exc: Exception) -> MalformedResponseError:
    problem, where = str(exc), "$"
    if found := _PATH_IN_MESSAGE.search(problem):
        problem, where = problem[: found.start()], found["where"]
    if not _is_utf_8(response.body):
        problem = "the text is not UTF-8"  # releases of msgspec raise and word this in different ways
    if not isinstance(exc, msgspec.ValidationError):
        kind = response.presentable(response.headers.get("content-type", "no content type").partition(";")[0])
        problem = f"{problem} ({kind}, {len(response.body)} bytes)" if response.body else "the body is empty"
    asked = f"{request.method} {request.path}" if request is not None else ""
    excerpt = quoted(response, request)
    return MalformedResponseError(where=where, problem=problem, excerpt=excerpt, request=asked, response=response)


def quoted(response: Response, request: Request | None) -> str:
    """Return what a message may quote of an answer: how it begins, or only its shape where it may carry a secret."""
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


def error_from_response(request: Request, response: Response, now: datetime) -> APIError:
    """Return the error that a status outside 2xx means."""
    facts: dict[str, Any] = {
        "status": response.status,
        "message": _message(request, response),
        "method": request.method,
        "path": request.path,
        "retry_after": retry_after(response.headers, now),
        "response": response,
    }
    if response.status >= SERVER_SIDE:
        return ServerError(**facts)
    return REFUSALS.get(response.status, APIError)(**facts)


def _message(request: Request, response: Response) -> str:
    """Return why a request was refused: the server's words, else the status in words and how the answer begins."""
    if said := response.presentable(_words_in(response.body)):
        return said
    if location := response.headers.get("location", ""):
        return f"redirected to {response.presentable(location.partition('?')[0])}; check the api address"
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "no explanation given"
    if response.body.strip() in SAYS_NOTHING:
        return phrase
    return one_line(f"{phrase}; the answer begins {quoted(response, request)!r}", EXCERPT)


def _words_in(body: bytes) -> str:
    """Return the words of an error in any of the forms that APIs use, or an empty text."""
    try:
        return _words(_ANYTHING.decode(body.decode("utf-8-sig", "replace")), WORDS_DEPTH)
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _words(value: object, depth: int) -> str:
    match value:
        case str():
            return value.strip()
        case dict() if depth:
            members = cast("dict[str, object]", value)
            # ``message`` is documented; the others are what other APIs use (assumed). The first that says anything.
            for name in ERROR_WORDS:
                if said := _words(members.get(name), depth - 1):
                    return said
        case list() if depth:
            all_said = [_words(each, depth - 1) for each in cast("list[object]", value)[:OUTLINE_MEMBERS]]
            return "; ".join(said for said in all_said if said)
        case _:
            pass
    return ""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read ``Retry-After`` as seconds, with or without a fraction, or as an HTTP date; None where it is neither.

    The result is at least 0 and finite: what lies further ahead than a century counts as a century. Before waiting, it
    goes through ``pacing.bounded_retry_after``.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), CENTURY)  # 400 digits become infinity, and so a century
    try:
        then = parsedate_to_datetime(text)
        then = then.replace(tzinfo=UTC) if then.tzinfo is None else then.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, (then - now).total_seconds()), CENTURY)

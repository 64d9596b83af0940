from __future__ import annotations

import json
import time
import traceback
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from rich.pretty import pretty_repr

from connecttrade_async.dialect.parts import RestDialect
from connecttrade_async.dialect.value import Dialect
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
)
from connecttrade_async.models import Broker, NewUser, Position
from connecttrade_async.rest.codec import ListShape, ObjectShape, RestCodec
from connecttrade_async.rest.wire import (
    CONTENT_HEADERS,
    Request,
    Response,
    checked_method,
    checked_params,
    checked_path,
    client_headers,
    content_headers,
    error_from_response,
    json_body,
    malformed as malformed_error,
    path_segment,
    query_string,
    with_extra,
)
from connecttrade_async.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2024, 5, 17, 12, tzinfo=UTC)
CLIENT, USER = "canary-client-7f3a", "canary-user-91bd"
POSITIONS = ListShape(Position, "/positions", key="symbol")
NEW_USER = ObjectShape(NewUser, "/users")
ASKED = Request(method="GET", path="/positions")
WITHOUT_SURROGATES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


def response(body: bytes = b"", status: int = 200, **headers: str) -> Response:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, spelled, body, (Secret(CLIENT), Secret(USER), None))


def read(answered: Response, shape: Any, asked: Request) -> Any:
    codec: Any = RestCodec(Dialect.default)
    return (codec.read_list if type(shape) is ListShape else codec.read)(shape, answered, asked)


def malformed(body: bytes, shape: Any = POSITIONS, **headers: str) -> MalformedResponseError:
    with pytest.raises(MalformedResponseError) as caught:
        read(response(body, 200, **headers), shape, ASKED)
    error = caught.value
    assert error.request == "GET /positions"
    assert_presentable(error)
    return error


def assert_presentable(error: Exception) -> None:
    message = str(error)
    assert message.isprintable()
    assert len(message) < 800
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack[:] = [frame for frame in told.stack if "connecttrade_async" in frame.filename]
    shown = "".join(told.format()) + repr(error) + repr(error.__cause__) + repr(error.__context__)
    assert CLIENT not in shown
    assert USER not in shown


# --- requests


def test_repr_of_a_request_hides_query_and_secret() -> None:
    request = Request(
        method="POST",
        path="/orders",
        query="?a=hidden",
        body=b"hidden",
        user_id="u",
        user_secret=Secret(USER),
    )
    assert repr(request) == "<Request POST /orders>"
    assert pretty_repr(request) == "Request(method='POST', path='/orders')"
    with pytest.raises(AttributeError):
        setattr(request, "path", "/users")  # noqa: B010 - a type checker refuses the plain way


def test_request_headers_are_the_documented_ones() -> None:
    assert Request(method="GET", path="/users").headers() == {}
    assert Request(method="POST", path="/users", body=b"{}").headers() == {"content-type": "application/json"}
    whole = Request(method="POST", path="/connections", body=b"{}", user_id="user-1", user_secret=Secret(USER))
    assert whole.headers() == {"user-id": "user-1", "user-secret": USER, "content-type": "application/json"}
    assert Request(method="GET", path="/accounts", user_id="user-1").headers() == {}
    assert client_headers("client-1", Secret(CLIENT), "0.1.0") == {
        "client-id": "client-1",
        "client-secret": CLIENT,
        "accept": "application/json",
        "user-agent": "connecttrade-async/0.1.0",
    }
    assert CLIENT not in repr(client_headers("client-1", Secret(CLIENT), "0.1.0"))
    assert USER not in repr(whole.headers())


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("user-1", "user-1"),
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("../../users", "..%2F..%2Fusers"),
        ("...", "..."),
        ("Zoë", "Zo%C3%AB"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("a?b#c&d=e", "a%3Fb%23c%26d%3De"),
        ("line\r\nbreak", "line%0D%0Abreak"),
        ("a;b:c@d", "a%3Bb%3Ac%40d"),
        ("~_.-", "~_.-"),
    ],
)
def test_path_segment_quotes_its_text(text: str, quoted: str) -> None:
    assert path_segment(text, "user_id") == quoted


TEXTS: list[tuple[Callable[[Any], object], str]] = [
    (lambda value: path_segment(value, "user_id"), "user_id must be text, got "),
    (checked_method, "method must be text, got "),
    (checked_path, "path must be text, got "),
]


@pytest.mark.parametrize(("check", "says"), TEXTS)
@pytest.mark.parametrize("value", [3, None, b"ada", ["ada"]])
def test_non_text_arguments_are_refused_without_their_value(
    check: Callable[[Any], object], says: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{says}{type(value).__name__}$"):
        check(value)


def test_checked_params_requires_a_mapping() -> None:
    assert checked_params(None) == checked_params({}) == {}
    assert checked_params({"limit": 3}) == {"limit": 3}
    with pytest.raises(ConfigurationError, match=r"^params must be a mapping, such as \{'symbols': 'AAPL'\}, got str$"):
        checked_params("symbols=AAPL")


@given(WITHOUT_SURROGATES)
def test_path_segment_round_trips_any_text_as_one_segment(text: str) -> None:
    if text in {"", ".", ".."}:
        with pytest.raises(ConfigurationError, match="user_id must be neither empty"):
            path_segment(text, "user_id")
        return
    quoted = path_segment(text, "user_id")
    assert unquote(quoted) == text
    assert quoted.isascii()
    assert not set("/?#\\ \r\n") & set(quoted)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_lone_surrogates_are_refused_in_paths_and_filters(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^user_id must have no lone surrogate") as caught:
        path_segment(text, "user_id")
    assert str(caught.value).isascii()
    with pytest.raises(ConfigurationError, match="lone surrogate"):
        query_string({"symbols": [text]})
    with pytest.raises(ConfigurationError, match="must begin with / and be quoted"):
        checked_path(f"/users/{text}")


@pytest.mark.parametrize("path", ["/", "/users", "/users/a%2Fb", "/a:b@c!$&'()*+,;=~-._/d", "/accounts/1/orders/2"])
def test_checked_path_keeps_a_valid_path(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "users", "https://evil.example/", "/users?x=1", "/users#x", "/a b", "/Zoë", "/a\r\nX: 1", "/a\\b", '/a"b'],
)
def test_checked_path_refuses_an_invalid_path(path: str) -> None:
    with pytest.raises(ConfigurationError, match="must begin with / and be quoted") as caught:
        checked_path(path)
    assert str(caught.value).isprintable()


def test_checked_path_shortens_a_long_path_in_its_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked_path("x" * 10_000)
    assert len(str(caught.value)) < 200


class Colour(str, Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    RED = "red"


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("all", "all"),
        (Broker.ALPACA, "ALPACA"),
        (Broker("moomoo"), "moomoo"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (500, "500"),
        (-1, "-1"),
        (Decimal("13.50"), "13.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-9"), "0.000000001"),
        (NOW, "2024-05-17T12%3A00%3A00Z"),
        (NOW.replace(microsecond=5), "2024-05-17T12%3A00%3A00.000005Z"),
        (NOW.astimezone(timezone(timedelta(hours=-4))), "2024-05-17T12%3A00%3A00Z"),
        (date(2024, 5, 17), "2024-05-17"),
        (["AAPL", "IBM/B"], "AAPL,IBM%2FB"),
        (("AAPL",), "AAPL"),
        ("AAPL,MSFT", "AAPL,MSFT"),
        ("a b&c=d+e", "a%20b%26c%3Dd%2Be"),
        ("Zoë", "Zo%C3%AB"),
        ([1, True, NOW], "1,true,2024-05-17T12%3A00%3A00Z"),
    ],
)
def test_query_string_encodes_each_type_of_filter(value: object, spelled: str) -> None:
    assert query_string({"x": value}) == f"?x={spelled}"


def test_query_string_keeps_the_sequence_and_omits_none() -> None:
    assert query_string({}) == ""
    assert query_string({"a": None, "b": None}) == ""
    assert query_string({"b": "2", "none": None, "a": "1"}) == "?b=2&a=1"
    assert query_string({"odd name": "1"}) == "?odd%20name=1"


class Nowhere(tzinfo):
    def _unknown(self, _when: datetime | None) -> None:
        return None

    utcoffset = dst = tzname = _unknown


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1.5, "limit must be text, a whole number, a date or a time, got float"),
        ([1.5], "limit must be text, a whole number, a date or a time, got float"),
        (b"x", "limit must be text, a whole number, a date or a time, got bytes"),
        ({"a"}, "limit must be text, a whole number, a date or a time, got set"),
        ({"a": 1}, "limit must be text, a whole number, a date or a time, got dict"),
        ([None], "limit must be text, a whole number, a date or a time, got NoneType"),
        (Decimal("NaN"), "limit must be a finite number of at most 30 digits on either side"),
        (Decimal("Infinity"), "limit must be a finite number of at most 30 digits on either side"),
        (Decimal("1E+999999999"), "limit must be a finite number of at most 30 digits on either side"),
        (Decimal("1E-999999999"), "limit must be a finite number of at most 30 digits on either side"),
        pytest.param(10**5_000, "limit must be a finite number of at most 30 digits on either side", id="a long int"),
        (Secret(USER), "limit must be text, a whole number, a date or a time, got Secret"),
        (NOW.replace(tzinfo=None), "limit must have a time zone"),
        (NOW.replace(tzinfo=Nowhere()), "limit must have a time zone"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "limit must be within the years 1 to 9999"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))), "limit must be within the years 1 to 9999"),
        ("", "limit must not be empty"),
        ([], "limit must not be empty"),
        ((), "limit must not be empty"),
        ([""], "limit must not be empty"),
        (["AAPL", ""], "limit must not be empty"),
    ],
)
def test_query_string_refuses_values_without_an_encoding(value: object, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{sentence}") as caught:
        query_string({"status": "all", "limit": value})
    assert USER not in str(caught.value)


@given(st.dictionaries(WITHOUT_SURROGATES.filter(bool), WITHOUT_SURROGATES.filter(bool), max_size=4))
def test_query_string_round_trips_any_text(params: dict[str, str]) -> None:
    query = query_string(params)
    assert parse_qsl(query.removeprefix("?"), strict_parsing=bool(params)) == list(params.items())
    assert query.isascii()
    assert not set("#\r\n ") & set(query)


@given(st.datetimes(timezones=st.just(UTC)))
def test_query_string_round_trips_any_time(when: datetime) -> None:
    ((_, text),) = parse_qsl(query_string({"start_time": when})[1:])
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == when


def test_with_extra_adds_filters_without_an_argument_of_their_own() -> None:
    params = {"symbols": "AAPL", "status": None}
    assert with_extra(params, None) == params
    assert with_extra(params, {"tag": "x"}, ["cursor"]) == {"symbols": "AAPL", "status": None, "tag": "x"}
    assert params == {"symbols": "AAPL", "status": None}


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ("tag=x", "extra must be a mapping of names and values, got str"),
        ({7: "x"}, "each name in extra must be text that is not empty, got int"),
        ({"": "x"}, "each name in extra must be text that is not empty, got str"),
        ({"tag": "x", "status": "open"}, "extra must not have status: pass status= as an argument of its own"),
        ({"cursor": "x"}, "extra must not have cursor: pass cursor= as an argument of its own"),
    ],
)
def test_with_extra_refuses_a_name_that_is_no_extra_filter(extra: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_extra({"status": None}, extra, ["cursor"])
    assert str(caught.value) == sentence


# --- responses


def test_repr_of_a_response_hides_the_body() -> None:
    assert repr(response(b'{"user_secret":"abc"}', 201)) == "<Response 201 21 bytes>"
    assert pretty_repr(response(b'{"user_secret":"abc"}', 201)) == "Response(status=201, bytes=21)"


def test_response_json_decodes_the_body() -> None:
    assert response(b'{"a":[1,2.5,null,"x"]}').json() == {"a": [1, 2.5, None, "x"]}
    with pytest.raises(MalformedResponseError) as caught:
        response(b"<html>").json()
    assert caught.value.request == ""


def test_read_with_another_shape_reports_the_path() -> None:
    body = json.dumps([{"symbol": "A", "quantity": "1"}] * 3 + [{"symbol": "A", "quantity": True}]).encode()
    error = malformed(body)
    assert error.where == "$[3].quantity"
    assert isinstance(error.__cause__, msgspec.ValidationError)


@pytest.mark.parametrize(
    "body",
    [b"<html><h1>Bad gateway</h1></html>", b'[{"symbol":"A"', b"[", b"nonsense", b"\x00\x01", b"[] []", b"'x'"],
)
def test_read_of_non_json_reports_content_type_and_size(body: bytes) -> None:
    error = malformed(body, content_type="text/html; charset=utf-8")
    assert error.problem.endswith(f"(text/html, {len(body)} bytes)")
    assert f"(no content type, {len(body)} bytes)" in malformed(body).problem


def test_read_of_an_empty_body_reports_it_as_empty() -> None:
    error = malformed(b"")
    assert (error.problem, error.excerpt) == ("the body is empty", "")


def test_content_type_in_a_message_is_one_short_line() -> None:
    error = malformed(b"<html>", content_type="x" * 20_000)
    assert len(error.problem) < 400
    malformed(b"<html>", content_type=f"text/{CLIENT}")


@pytest.mark.parametrize("body", [b'[{"symbol":"\xff\xfe"}]', b"\xff", b'[{"symbol":"' + USER.encode() + b' \xc3("}]'])
def test_read_of_invalid_utf_8_raises_malformed(body: bytes) -> None:
    error = malformed(body)
    assert error.problem.startswith("the text is not UTF-8 (no content type")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b'[{"symbol":"A","x":' + b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_read_of_deep_nesting_raises_malformed(body: bytes) -> None:
    malformed(body)
    malformed(body, NEW_USER)
    error = error_from_response(ASKED, response(body, 400), NOW)
    assert error.message.startswith("Bad Request; the response begins ")
    assert_presentable(error_from_response(Request(method="POST", path="/users"), response(body, 400), NOW))


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_read_of_any_bytes_decodes_or_raises_malformed(body: bytes) -> None:
    try:
        assert read(response(body), POSITIONS, ASKED) == []
    except MalformedResponseError as error:
        assert_presentable(error)


def test_malformed_chains_no_error_that_holds_the_body() -> None:
    # msgspec 0.21 and 0.22 raise it, 0.23 does not.
    held = UnicodeDecodeError("utf-8", USER.encode() + b"\xff", len(USER), len(USER) + 1, "invalid start byte")
    error = malformed_error(response(USER.encode() + b"\xff"), ASKED, held)
    assert error.problem.startswith("the text is not UTF-8 (no content type")
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("body", "where"), [(b'[{"quantity":"1"},5]', "$[1]"), (b'[{"symbol":[]}]', "$[0].symbol"), (b'"A"', "$")]
)
def test_malformed_has_the_place_in_the_body(body: bytes, where: str) -> None:
    assert malformed(body).where == where


# --- excerpts

KEYS = ["user_secret", "user-secret", "access_token", "password", "clientSecret", "API_KEY", "api-key", "authorization"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "value",
    [
        '"hidden"',
        '"hidden',
        '"hid\\"hidden"',
        '"hidden\\',
        '["hidden","hidden"]',
        '{"value":"hidden"}',
        '  \n "hidden"',
        '"' + "hidden" * 500,
    ],
)
def test_excerpt_masks_values_with_secret_names(key: str, value: str) -> None:
    excerpt = response(f'{{"user_id":"seen","{key}":{value}'.encode()).excerpt
    assert "hidden" not in excerpt
    assert "seen" in excerpt
    assert key in excerpt
    assert "***" in excerpt


def test_excerpt_keeps_the_text_after_a_secret() -> None:
    assert response(b'{"user_secret":"hidden","user_id":"seen"}').excerpt == '{"user_secret":"***","user_id":"seen"}'
    assert response(b'{"access_token":12345,"user_id":"seen"}').excerpt == '{"access_token":"***","user_id":"seen"}'


def test_excerpt_masks_json_inside_json() -> None:
    inner = json.dumps({"user_secret": "hidden", "a": 1})
    assert "hidden" not in response(json.dumps({"message": inner}).encode()).excerpt


@pytest.mark.parametrize(
    "body",
    [
        "echo {0} {1}",
        '{{"you sent":["{0}","{1}"]}}',
        "<pre>client-secret: {0}\nuser-secret: {1}</pre>",
        "{0}{1}{0}",
    ],
)
def test_excerpt_masks_the_secrets_of_the_request_anywhere(body: str) -> None:
    text = body.format(CLIENT, USER)
    excerpt = response(text.encode()).excerpt
    assert CLIENT not in excerpt
    assert USER not in excerpt
    assert "***" in excerpt
    assert "canary" not in str(error_from_response(ASKED, response(json.dumps({"message": text}).encode(), 400), NOW))


def test_excerpt_masks_a_secret_in_any_encoding() -> None:
    odd = 'canary/"<&>\\ x'
    for echo in (odd, json.dumps(odd), json.dumps(odd).replace("/", "\\/"), "canary/&quot;&lt;&amp;&gt;\\ x"):
        assert "canary" not in Response(200, {}, echo.encode(), (Secret(odd),)).excerpt
    assert "canary" not in Response(200, {}, b"canary%2F%22%3C%26%3E%5C%20x", (Secret(odd),)).excerpt


@pytest.mark.parametrize("order", [("abc", "abc-canary"), ("abc-canary", "abc")])
def test_excerpt_masks_secrets_that_share_a_prefix(order: tuple[str, str]) -> None:
    secrets = tuple(Secret(text) for text in order)
    assert Response(200, {}, b"x abc-canary x", secrets).excerpt == "x *** x"


@pytest.mark.parametrize("kept", range(1, len(CLIENT)))
def test_excerpt_drops_a_secret_cut_in_two(kept: int) -> None:
    # Masking shortens the text, so the end of the window moves into the excerpt.
    filler = '{"password":"%s","echo":"'
    window = 65_536
    padding = window - len(filler % "") - kept
    body = (filler % ("x" * padding) + CLIENT).encode()
    assert body[:window].endswith(CLIENT[:kept].encode())
    assert response(body).excerpt == '{"password":"***","echo":"'


def test_excerpt_is_one_short_printable_line() -> None:
    assert response(b"a\r\n\tb\x00c\x1b[31m  d").excerpt == "a b c [31m d"
    long = response(b"x" * 10_000_000).excerpt
    assert len(long) == 200
    assert long.endswith("x…")
    assert response("‮ abc".encode()).excerpt == "abc"  # noqa: PLE2502 - turns the line around


@given(st.text(max_size=400), st.sampled_from([CLIENT, USER]), st.text(max_size=40))
@settings(deadline=None)
def test_excerpt_masks_a_secret_in_any_surrounding(before: str, secret: str, after: str) -> None:
    body = (before + secret + after).encode("utf-8", "replace")
    excerpt = response(body).excerpt
    assert secret not in excerpt
    assert len(excerpt) <= 200
    assert excerpt.isprintable()


@pytest.mark.parametrize(
    "unit",
    [
        b"a",
        b"secret",
        b'"',
        b"secret ",
        b'"secret',
        b'"secret":[',
        b'"secret":"\\',
        b"\\",
        b" ",
        b"token=",
        b'{"',
        b"\xff",
    ],
)
def test_excerpt_of_a_huge_body_is_fast(unit: bytes) -> None:
    body = unit * (10_000_000 // len(unit))
    began = time.process_time()
    assert len(response(body).excerpt) <= 200
    assert time.process_time() - began < 2.0  # a search that is quadratic takes minutes here


# --- errors

STATUSES: list[tuple[int, type[APIError], str]] = [
    (302, APIError, "Found"),
    (400, BadRequestError, "Bad Request"),
    (401, AuthenticationError, "Unauthorized"),
    (403, AuthenticationError, "Forbidden"),
    (404, NotFoundError, "Not Found"),
    (409, ConflictError, "Conflict"),
    (418, APIError, "I'm a Teapot"),
    (422, BadRequestError, "Unprocessable"),
    (429, RateLimitedError, "Too Many Requests"),
    (499, APIError, "no explanation given"),
    (500, ServerError, "Internal Server Error"),
    (502, ServerError, "Bad Gateway"),
    (503, ServerError, "Service Unavailable"),
    (504, ServerError, "Gateway Timeout"),
    (599, ServerError, "no explanation given"),
]
UNREADABLE = [b"", b"<html>x</html>", b"[]", b"null", b'{"message":5}', b'{"message":""}', b"{}", b"\xff", b'""']


@pytest.mark.parametrize(("status", "kind", "words"), STATUSES)
def test_error_from_response_has_a_class_per_status(status: int, kind: type[APIError], words: str) -> None:
    error = error_from_response(ASKED, response(b'{"message":"because"}', status), NOW)
    assert type(error) is kind
    assert (error.status, error.message, error.method, error.path) == (status, "because", "GET", "/positions")
    assert error.retry_after is None
    assert str(error).startswith(f"GET /positions answered {status}: because")
    for body in UNREADABLE:
        assert error_from_response(ASKED, response(body, status), NOW).message.startswith(words)


ERROR_BODIES: list[tuple[object, str]] = [
    ({"message": "no such symbol"}, "no such symbol"),
    ({"message": ["qty must be above 0", "price is missing"]}, "qty must be above 0; price is missing"),
    ({"message": [{"field": "qty", "message": "above 0"}, {"message": "no price"}]}, "above 0; no price"),
    ({"error": {"message": "market closed", "code": 17}}, "market closed"),
    ({"error": "market closed"}, "market closed"),
    ({"error": {"error": {"detail": "market closed"}}}, "market closed"),
    ({"errors": [{"message": "market closed"}, {"message": "no funds"}]}, "market closed; no funds"),
    ({"errors": ["market closed", "no funds"]}, "market closed; no funds"),
    ({"errors": {"message": "market closed"}}, "market closed"),
    ({"detail": "market closed"}, "market closed"),
    ({"detail": [{"loc": ["body", "qty"], "msg": "field required"}]}, "field required"),
    ({"title": "Unprocessable", "detail": "market closed"}, "market closed"),
    ({"status": 400, "error": "Bad Request", "message": "market closed"}, "market closed"),
    ({"message": "", "error": "market closed"}, "market closed"),
    ({"message": None, "errors": [], "detail": "market closed"}, "market closed"),
    ([{"message": "market closed"}], "market closed"),
    (["market closed"], "market closed"),
    ("market closed", "market closed"),
    ({"message": "line\r\nbreak\x1b[31m"}, "line break [31m"),
]


@pytest.mark.parametrize(("body", "words"), ERROR_BODIES)
def test_error_from_response_keeps_the_message_in_any_form(body: object, words: str) -> None:
    answered = response(json.dumps(body).encode(), 400)
    error = error_from_response(ASKED, answered, NOW)
    assert error.message == words
    assert error.response is answered
    assert_presentable(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>maintenance</html>", "Bad Gateway; the response begins '<html>maintenance</html>'"),
        (b"upstream gone", "Bad Gateway; the response begins 'upstream gone'"),
        (b'{"message":5}', "Bad Gateway; the response begins '{\"message\":5}'"),
        (b'{"reference":"r-1"}', 'Bad Gateway; the response begins \'{"reference":"r-1"}\''),
        (b'{"message":"caf\xe9"}', "caf\ufffd"),
        (b'\xef\xbb\xbf{"message":"market closed"}', "market closed"),
        (b"", "Bad Gateway"),
        (b" \n", "Bad Gateway"),
        (b"null", "Bad Gateway"),
    ],
)
def test_error_from_response_without_a_message_quotes_the_body(body: bytes, words: str) -> None:
    error = error_from_response(ASKED, response(body, 502), NOW)
    assert error.message == words
    assert error.response is not None
    assert error.response.body == body


def test_error_from_response_to_a_request_for_a_secret_quotes_the_shape() -> None:
    asked = Request(method="POST", path="/users")
    error = error_from_response(asked, response(b'{"result":{"user_secret":"hidden","jwt":"hidden","n":1}}', 500), NOW)
    assert error.message == (
        "Internal Server Error; the response begins '{result: {user_secret: text(6), jwt: text(6), n: number}}'"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(body=JSON, status=st.integers(300, 599))
def test_error_from_response_with_any_json_is_one_short_line(body: object, status: int) -> None:
    error = error_from_response(ASKED, response(msgspec.json.encode(body), status), NOW)
    assert error.message
    assert error.message.isprintable()
    assert len(error.message) <= 200


SECRET_REQUESTS = [
    Request(method="POST", path="/users"),
    Request(method="POST", path="/auth/tokens/user"),
    Request(method="GET", path="/connections/c-1/token"),
    Request(method="POST", path="/connections"),
    Request(method="GET", path="/anything"),
]
CARRIERS = [
    '{"jwt":"hidden-5e1d"}',
    '{"data":["hidden-5e1d"]}',
    '["hidden-5e1d"]',
    '"hidden-5e1d"',
    "hidden-5e1d",
    '{"hidden-5e1d":true}',
    '{"user":{"id":"u","value":{"a":{"b":{"c":["hidden-5e1d"]}}}}}',
    '{"user_id":"u","credentials":"hidden-5e1d',
    '{"user_id":7,"key":"hidden-5e1d"}',
    "<p>hidden-5e1d</p>",
]


@pytest.mark.parametrize("asked", SECRET_REQUESTS, ids=str)
@pytest.mark.parametrize("body", CARRIERS)
def test_response_that_may_hold_a_secret_is_quoted_by_its_shape(asked: Request, body: str) -> None:
    answered = response(body.encode())
    with pytest.raises(MalformedResponseError) as caught:
        read(answered, NEW_USER, asked)
    assert "hidden" not in str(caught.value) + caught.value.excerpt + repr(caught.value.response)
    assert caught.value.excerpt
    assert caught.value.response is answered
    assert b"hidden" in answered.body
    assert "hidden" not in error_from_response(asked, response(b"hidden", 500), NOW).message


@given(st.from_regex(r"[a-z0-9]{12,40}", fullmatch=True), JSON)
def test_outline_never_shows_a_value(value: str, around: object) -> None:
    body = msgspec.json.encode([around, value, {"jwt": value, value + "7": [value], "a": around}])
    outline = response(body).outline
    assert value not in outline
    assert len(outline) <= 200
    assert outline.isprintable()


def test_outline_names_members_and_kinds() -> None:
    body: dict[str, object] = {
        "user_id": "ada",
        "n": 1.5,
        "is_new": True,
        "none": None,
        "list": ["a", 2, [], {}, 3],
        "x1": "y",
    }
    assert response(json.dumps(body).encode()).outline == (
        "{user_id: text(3), n: number, is_new: boolean, none: null, list: [text(1), number, [], ...], name(2): text(1)}"
    )
    assert response(b"not JSON").outline == "text(8)"
    assert response(b"").outline == ""


def test_redirect_message_omits_the_query() -> None:
    error = error_from_response(ASKED, response(b"", 301, location=f"https://elsewhere.example/x?secret={CLIENT}"), NOW)
    assert error.message == "redirected to https://elsewhere.example/x; check the URL of the API"
    assert_presentable(error)
    assert_presentable(
        error_from_response(ASKED, response(b"", 301, location=f"https://x.example/{USER}" + "y" * 9_000), NOW)
    )


def test_error_message_is_one_short_line_without_secrets() -> None:
    said = {"message": f"no\r\nFAKE LOG LINE {CLIENT} " + "x" * 100_000}
    error = error_from_response(ASKED, response(json.dumps(said).encode(), 400), NOW)
    assert error.message.startswith("no FAKE LOG LINE *** ")
    assert len(error.message) <= 200
    assert_presentable(error)


PATHS = ("problem.text", "issues[].why", "message")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"message": "no"}, "no"),
        ({"message": ["a", "b"]}, "a; b"),
        ({"Message": "no"}, "no"),
        ({"error": {"message": "no", "code": "E1"}}, "no"),
        ({"error": "no"}, "no"),
        ({"errors": [{"message": "a"}, {"message": "b"}]}, "a; b"),
        ({"errors": ["a", {"detail": "b"}, 5]}, "a; b"),
        ({"detail": "no"}, "no"),
        ({"errorMessage": "no"}, "no"),
        ({"data": 1, "reason": "no"}, "no"),
        ({"message": None, "detail": "no"}, "no"),
        (["a", "b"], "a; b"),
        ("no", "no"),
    ],
    ids=str,
)
def test_error_message_is_found_in_any_form(body: object, expected: str) -> None:
    assert error_from_response(ASKED, response(json.dumps(body).encode(), 400), NOW).message == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"problem": {"text": "a"}, "message": "b"}, "a"),
        ({"issues": [{"why": "a"}, {"why": "b"}, {}], "message": "c"}, "a; b"),
        ({"Issues": {"why": "a"}, "message": "c"}, "c"),
        ({"problem": "a", "message": "c"}, "c"),
        ({"detail": "d"}, "d"),
    ],
    ids=str,
)
def test_error_message_is_read_at_the_paths_of_a_dialect_first(body: object, expected: str) -> None:
    assert error_from_response(ASKED, response(json.dumps(body).encode(), 400), NOW, PATHS).message == expected


def test_content_headers_are_those_of_the_dialect() -> None:
    assert content_headers(RestDialect()) is CONTENT_HEADERS
    assert {"next-cursor", "x-next-cursor", "prev-cursor", "link"} <= set(CONTENT_HEADERS)
    assert content_headers(RestDialect(next_header=("after",), prev_header=())) == ("after", "x-after", "link")


def test_error_from_response_parses_retry_after() -> None:
    error = error_from_response(ASKED, response(b"", 429, retry_after="Fri, 17 May 2024 12:01:30 GMT"), NOW)
    assert error.retry_after == 90.0


@pytest.mark.parametrize("method", ["get", "GET", "Patch"])
def test_checked_method_accepts_any_case(method: str) -> None:
    assert checked_method(method) == method.upper()


def endless() -> list[object]:
    body: list[object] = []
    body.append(body)
    return body


@pytest.mark.parametrize("body", [object(), {"a": {1: object()}}, endless()], ids=["object", "inside", "endless"])
def test_json_body_refuses_values_without_a_json_form(body: object) -> None:
    with pytest.raises(ConfigurationError, match="json must have a form in JSON"):
        json_body(body)


def test_checked_method_and_checked_path_refuse_unknown_forms() -> None:
    with pytest.raises(ConfigurationError, match="method must be one of GET"):
        checked_method("FOO")
    with pytest.raises(ConfigurationError, match="must begin with /"):
        checked_path("//evil.example/x")


def test_cached_query_is_never_that_of_another_value() -> None:
    east = timezone(timedelta(hours=3))
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    said = [True, 1, "1", Decimal("1.0"), Decimal("1.00"), noon, noon.astimezone(east), [1], ["1", True]]
    expected = ["true", "1", "1", "1.0", "1.00", "2026-03-02T12%3A00%3A00Z", "2026-03-02T12%3A00%3A00Z", "1", "1,true"]
    for _ in range(2):
        assert [query_string({"a": value}) for value in said] == [f"?a={text}" for text in expected]
        assert query_string({"a": None}) == query_string({}) == ""
        with pytest.raises(ConfigurationError, match="a must not be empty"):
            query_string({"a": ""})

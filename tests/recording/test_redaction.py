"""Redaction: keys and form stay, values become pseudonyms or their classes, and secrets never stay."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from connecttrade_async import Secret
from connecttrade_async.models import Order
from connecttrade_async.recording.pseudonyms import Pseudonyms
from connecttrade_async.recording.redaction import PseudonymPolicy, RedactionPolicy, Redactor, ShapePolicy, ValuePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "canaryclientsecret0123456789"
UUID = "019acb3a-7e11-7c3e-8b1c-aabbccddeeff"


def pseudonymizing() -> Redactor:
    return Redactor(PseudonymPolicy(Pseudonyms(b"salt")), [Secret(SECRET)])


def by_shape() -> Redactor:
    return Redactor(ShapePolicy(), [Secret(SECRET)])


def with_values() -> Redactor:
    return Redactor(ValuePolicy(), [Secret(SECRET)], hides_identities=False)


REDACTORS: dict[str, Callable[[], Redactor]] = {
    "pseudonyms": pseudonymizing,
    "shapes": by_shape,
    "values": with_values,
}
ANY_REDACTOR = pytest.mark.parametrize("make", REDACTORS.values(), ids=REDACTORS)
KEYS = st.sampled_from(
    ["order_id", "status", "price", "symbol", "user_id", "note", "time", "user_secret", "x", "12345678", "T", "id"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def form(text: str) -> str:
    """Return JSON without its names, its values and its spacing; each value that is no constant is an ``x``."""
    names = re.sub(r'"(?:[^"\\]|\\.)*"\s*:', "", text)
    return re.sub(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*', "x", names)


@ANY_REDACTOR
@given(value=VALUES, indent=st.sampled_from([None, 2]), is_ascii=st.booleans())
def test_body_keeps_the_form_of_any_json(
    make: Callable[[], Redactor],
    value: Any,
    indent: int | None,
    is_ascii: bool,  # noqa: FBT001 - drawn
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    shown = make().body(text)
    json.loads(shown)
    assert form(shown) == form(text)


@ANY_REDACTOR
@given(value=VALUES, secret=st.from_regex(r"[a-z]{8}-[A-Z0-9]{6}", fullmatch=True), data=st.data())
def test_body_never_shows_a_secret(make: Callable[[], Redactor], value: Any, secret: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["user_secret", "accessToken", "client-secret", "jwt", "api_key"]))
    place: Any = data.draw(st.sampled_from([secret, [secret], {"x": secret}, {"x": [{"user_id": secret}]}]))
    redactor = make()
    shown = redactor.body(json.dumps({"before": value, name: place, "echo": f"you sent {secret}!", secret: 1}))
    assert redactor.is_clean(shown) or secret not in shown
    assert secret not in redactor.body(json.dumps([f"again {secret}", {"note": {"a": secret}}]))
    assert secret not in shown.partition('"echo"')[0].replace(json.dumps(value), "")


@given(
    identity=st.from_regex(r"[a-z]{6}[0-9]{3}", fullmatch=True),
    name=st.sampled_from(["user_id", "accountId", "account_number", "connection_id", "client-id"]),
    place=st.sampled_from(["text", "key", "list", "note", "url", "nested", "line"]),
)
def test_pseudonyms_replace_an_identity_wherever_it_stands(identity: str, name: str, place: str) -> None:
    redactor = pseudonymizing()
    [pseudonym] = json.loads(redactor.body(json.dumps({name: identity}))).values()
    body = {
        "text": json.dumps({"x": identity}),
        "key": json.dumps({identity: {"quantity": "1"}}),
        "list": json.dumps({"x": [identity, 1]}),
        "note": json.dumps({"message": f"{identity}: account not found"}),
        "url": json.dumps({"url": f"https://app.example/{identity}?user={identity}#{identity}"}),
        "nested": json.dumps({"raw": json.dumps({name: identity})}),
        "line": f"{json.dumps({name: identity})}\n{json.dumps([identity])}",
    }[place]
    shown = redactor.body(body)
    assert identity not in shown
    assert pseudonym in shown
    assert redactor.is_clean(shown)


def test_pseudonyms_keep_what_a_replay_computes_with() -> None:
    body = {
        "order_id": UUID,
        "account_id": "PA3XK12345",
        "symbol": "TSLA251031C00437500",
        "order_qty": "100",
        "order_limit_price": 13.50,
        "status": "partially_filled",
        "broker_status": "New",
        "fills": [{"fill_id": "99887766", "time": "2026-12-01T17:00:00Z", "quantity": "40", "price": "13.50"}],
        "created_at": "1764612345",
        "legs": None,
    }
    shown = json.loads(pseudonymizing().body(json.dumps(body)))
    kept = {"symbol", "order_qty", "order_limit_price", "status", "broker_status", "created_at", "legs"}
    assert {name: shown[name] for name in kept} == {name: body[name] for name in kept}
    assert {**shown["fills"][0], "fill_id": "99887766"} == body["fills"][0]  # type: ignore[index]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", shown["order_id"])
    assert shown["order_id"] != UUID
    assert re.fullmatch(r"[A-Z]{2}\d[A-Z]{2}\d{5}", shown["account_id"])
    assert msgspec.json.decode(json.dumps({**shown, "order_limit_price": "13.50"}), type=Order).order_qty == 100


@pytest.mark.parametrize(
    ("member", "stays"),
    [
        ({"quantity": "1234567"}, True),
        ({"quantity": 1234567.5}, True),
        ({"quantity": "Ada"}, False),
        ({"timestamp": 1764612345123}, True),
        ({"x": 1764612345123}, False),
        ({"x": 1234}, True),
        ({"x": "1234.5"}, True),
        ({"x": 12345}, False),
        ({"x": 1234567890.5}, False),
        ({"x": "2026-12-01"}, True),
        ({"x": ""}, True),
        ({"user_id": 42}, False),
        ({"id": "7"}, True),
        ({"id": "71234567"}, False),
        ({"symbols": "AAPL,MSFT"}, True),
        ({"symbol": "12345678"}, False),
        ({"type": "order.filled"}, True),
        ({"status": "opened 12345678"}, False),
        ({"topics": ["orders", "positions"]}, True),
        ({"message": "authentication failed"}, True),
        ({"message": "no such order"}, False),
        ({"next_cursor": "eyJhbGciOiJub25lIn0"}, False),
    ],
    ids=json.dumps,
)
def test_pseudonyms_keep_numbers_times_words_and_symbols_only(
    member: dict[str, Any],
    stays: bool,  # noqa: FBT001 - a column
) -> None:
    text = json.dumps(member)
    assert (pseudonymizing().body(text) == text) is stays


def test_pseudonyms_of_an_identity_apply_to_numbers_and_short_words_too() -> None:
    redactor = pseudonymizing()
    redactor.add_identity("42")
    redactor.add_identity("nine")
    redactor.add_identity("orders")
    shown = json.loads(redactor.body('{"x": 42, "y": "42", "status": "nine", "topic": "orders", "message": "user 42"}'))
    assert shown["x"] != 42
    assert shown["y"] != "42"
    assert shown["status"] != "nine"
    assert shown["topic"] == "orders"
    assert "42" not in shown["message"]


def test_shapes_show_the_class_of_each_value_and_equal_letters_for_equal_values() -> None:
    body = {
        "order_id": UUID,
        "replaces": UUID,
        "account_number": "12345678",
        "symbol": "AAPL",
        "price": "1234567.89",
        "size": 12.5,
        "status": "filled",
        "created_at": "2026-12-01T17:00:00Z",
        "date": "2026-12-01",
        "note": "hello Ada!!!",
        "url": "https://app.example/done",
        "12345678": True,
        "empty": "",
    }
    assert json.loads(by_shape().body(json.dumps(body))) == {
        "order_id": "uuid:A",
        "replaces": "uuid:A",
        "account_number": "digits(8):B",
        "symbol": "symbol:C",
        "price": "decimal(9,2):D",
        "size": "number decimal(3,1):E",
        "status": "filled",
        "created_at": "rfc3339:F",
        "date": "day:G",
        "note": "text(12):H",
        "url": "address(24):I",
        "digits(8):B": True,
        "empty": "",
    }


def test_shapes_continue_with_two_letters_after_z() -> None:
    shown = json.loads(by_shape().body(json.dumps([f"value {number} x" for number in range(28)])))
    assert [text.partition(":")[2] for text in shown[25:]] == ["Z", "AA", "AB"]


def test_values_stay_where_they_are_asked_for_and_secrets_do_not() -> None:
    redactor = with_values()
    text = json.dumps({"user_id": "ada", "price": 1.5, "12345678": 1, "token": 5, "note": f"sent {SECRET}"})
    shown = redactor.body(text)
    assert json.loads(shown) == {"user_id": "ada", "price": 1.5, "12345678": 1, "token": "***", "note": "sent ***"}
    assert redactor.is_clean(shown)
    assert not redactor.is_clean(text)
    name = json.dumps({f"x {SECRET}": 1})
    assert SECRET not in redactor.body(name)
    assert redactor.body("https://a.example/x?user=ada&token=abc") == "https://a.example/x?user=ada&token=***"


def test_body_masks_a_secret_in_json_that_is_cut_off_and_in_a_page() -> None:
    for text in ('{"user_secret": "abc-123', f"<p>client-secret: abc-123 {SECRET} abc</p>"):
        shown = with_values().body(text)
        assert "abc-123" not in shown
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/orders", "/orders"),
        ("/users/ada-7", "/users/{user_id}"),
        ("/users/orders", "/users/{user_id}"),
        ("/connections/c%2F1x/token", "/connections/{connection_id}/token"),
        ("/accounts/PA3XK12345/orders/99887766", "/accounts/{account_id}/orders/{order_id}"),
        ("/auth/tokens/user", "/auth/tokens/user"),
        ("/reports/ada-7/positions", "/{id}/{id}/positions"),
        ("/", "/"),
    ],
)
def test_target_replaces_the_ids_of_a_path(path: str, template: str) -> None:
    redactor = pseudonymizing()
    target = redactor.target(path)
    assert target.template == template
    assert target.path.count("/") == path.count("/")
    hidden = [
        segment
        for segment, name in zip(path.split("/"), template.split("/"), strict=True)
        if name.startswith("{") and segment != "orders"
    ]
    assert not any(segment in target.path for segment in hidden)


def test_query_keeps_names_and_replaces_values_by_them() -> None:
    redactor = pseudonymizing()
    query = "?symbols=AAPL%2CMSFT&limit=2&account_id=PA3XK12345&start_time=2026-11-01T00%3A00%3A00Z&token=abc&empty="
    shown = redactor.query(query)
    assert shown[0] == ("symbols", "AAPL,MSFT")
    assert shown[1] == ("limit", "2")
    assert shown[2][1] == redactor.value("account_id", "PA3XK12345") != "PA3XK12345"
    assert shown[3:] == [("start_time", "2026-11-01T00:00:00Z"), ("token", "***"), ("empty", "")]


def test_headers_keep_what_a_client_reads_and_redact_the_rest() -> None:
    redactor = pseudonymizing()
    cursor = redactor.value("next_cursor", "eyJvIjoxMjN9")
    given = [
        ("Content-Type", "application/json"),
        ("Content-Length", "12"),
        ("Retry-After", "7"),
        ("X-RateLimit-Remaining", "99999999"),
        ("next-cursor", "eyJvIjoxMjN9"),
        ("Link", '<https://api.x/orders?next_cursor=eyJvIjoxMjN9>; rel="next"'),
        ("Set-Cookie", "session=abc"),
        ("Server", f"nginx {SECRET}"),
        ("X-User", "grace"),
    ]
    shown = dict(redactor.headers(given))
    assert cursor != "eyJvIjoxMjN9"
    assert shown.pop("link").endswith(f'?next_cursor={cursor}>; rel="next"')
    assert shown.pop("x-user") != "grace"
    assert shown == {
        "content-type": "application/json",
        "retry-after": "7",
        "x-ratelimit-remaining": "99999999",
        "next-cursor": cursor,
        "set-cookie": "***",
        "server": "nginx ***",
    }


def test_is_clean_finds_a_secret_that_stayed_in_another_spelling() -> None:
    redactor = pseudonymizing()
    assert redactor.is_clean("nothing")
    assert not redactor.is_clean(SECRET.upper())
    redactor.add_identity("12345678")
    assert not redactor.is_clean('"12345678"')
    kept = redactor.body('{"quantity": "12345678"}')
    assert redactor.is_clean(kept)
    assert not redactor.is_clean(kept)  # the excuse was for one text


def test_add_secret_ignores_what_would_mask_ordinary_words() -> None:
    redactor = pseudonymizing()
    for word in ("", "a", "Bearer", "true"):
        redactor.add_secret(Secret(word))
    assert (
        redactor.body('{"type": "true", "message": "a bearer token"}')
        == '{"type": "true", "message": "a bearer token"}'
    )


def test_words_redact_a_message_and_an_address_that_cannot_be_parsed() -> None:
    redactor = pseudonymizing()
    assert redactor.words("order rejected") == "order rejected"
    assert "ada" not in redactor.words("see http://[ada for Ada").lower()
    assert by_shape().words("see https://ada.example now") == "text(4):Aaddress(19):Btext(4):C"


def test_body_keeps_a_lone_surrogate_and_the_spacing_of_json() -> None:
    text = '{ "note" : "\\ud800 Ada" ,\n "price":1.50}'
    shown = pseudonymizing().body(text)
    assert shown.endswith(' ,\n "price":1.50}')
    assert json.loads(shown)["note"][0] == "\ud800"
    assert "Ada" not in shown


def test_policy_is_abstract() -> None:
    abstract: Any = RedactionPolicy
    with pytest.raises(TypeError):
        abstract()


def test_shapes_use_no_letters_that_equal_an_id() -> None:
    redactor = by_shape()
    redactor.add_identity("b")
    redactor.add_identity("filled")
    shown = json.loads(redactor.body('{"x": "one two", "y": "three four", "user_id": "orders", "z": "filled"}'))
    assert shown == {"x": "text(7):A", "y": "text(10):C", "user_id": "text(6):D", "z": "filled"}
    assert redactor.is_clean("text(7):A")


def test_redactor_pauses_during_a_long_text() -> None:
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1

    redactor = pseudonymizing()
    redactor.pause = pause
    shown = redactor.body(json.dumps([{"note": f"row {number}"} for number in range(2000)]))
    begun = pauses
    assert begun > 20
    assert redactor.is_clean(shown)
    assert pauses > begun


@ANY_REDACTOR
def test_body_masks_a_member_that_holds_a_secret_and_its_echo(make: Callable[[], Redactor]) -> None:
    shown = json.loads(make().body('{"user_secret": "abc-123-xyz", "token": 5, "note": "abc-123-xyz"}'))
    assert (shown["user_secret"], shown["token"], shown["note"]) == ("***", "***", "***")

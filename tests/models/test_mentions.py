from __future__ import annotations

import pytest

from connecttrade_async.models.mentions import Mentions, mentions_in

NO_UPDATE = Mentions((), (), (), is_unclear=False, is_update=False)


def test_mentions_of_a_frame_list_each_id_once_in_order_of_appearance() -> None:
    raw = b'{"user_id": "v", "data": {"userId": "u", "ACCOUNTID": "a", "order_id": 7}, "user_id": "v", "order_id": "8"}'
    assert mentions_in(raw) == Mentions(("v", "u"), ("a",), ("7", "8"), is_unclear=False, is_update=True)


def test_mentions_of_a_frame_that_is_not_json_are_found() -> None:
    assert mentions_in(b'\xff{"account_id": "a", "user_id": "u\\u00e9"').accounts == ("a",)
    assert mentions_in(b'\xff{"account_id": "a", "user_id": "u\\u00e9"').users == ("u\u00e9",)


def test_references_are_the_values_under_names_of_owners_without_ids_and_credentials() -> None:
    raw = (
        b'{"user_id": "u", "owner": "o", "account": {"account_id": "a"}, "acct_ref": 7, "accounts": ["x"], "name": "n",'
        b'"user_secret": "hidden", "accessTokenOfUser": "hidden", "account_key": "hidden", "user": "u", "account": 1.5,'
        b'"customer": "a", "accountNumber": "\\u0031"}'
    )
    expected = ("o", "7", "1")
    assert mentions_in(raw) == Mentions(("u",), ("a",), (), is_unclear=False, is_update=True, references=expected)


def test_frame_with_too_many_references_is_unclear() -> None:
    few, many = (
        b"{%b}" % b",".join(b'"account": "%d"' % number for number in range(count)) for count in (1_000, 1_001)
    )
    assert len(mentions_in(few).references) == 1_000
    assert mentions_in(few)._replace(references=()) == NO_UPDATE
    assert mentions_in(many) == Mentions((), (), (), is_unclear=True, is_update=True)


@pytest.mark.parametrize("value", [b"null", b"NULL", b'""'])
def test_mentions_of_an_absent_id_are_empty_and_clear(value: bytes) -> None:
    assert mentions_in(b'{"user_id": %b, "account_id": %b}' % (value, value)) == NO_UPDATE


@pytest.mark.parametrize("value", [b"1.5", b"1e3", b"true", b"nullable", b"[1]", b'"\\x"', b'"\xff"', b'"cut'])
def test_mentions_with_an_id_that_cannot_be_parsed_are_unclear(value: bytes) -> None:
    raw = b'{"account_id": "a", "user_id": %b}' % value
    assert mentions_in(raw) == Mentions((), ("a",), (), is_unclear=True, is_update=True)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type": "order"}',
        b'{"type": "position", "data": {}}',
        b'{"event": "balance_snapshot", "data": {"x": 1}}',
    ],
)
@pytest.mark.parametrize("payload", [b', "buying_power": 1}', b', "symbol": null}', b', "brokerStatus": "x"}'])
def test_frame_of_an_update_kind_with_a_payload_is_an_update(raw: bytes, payload: bytes) -> None:
    assert mentions_in(raw[:-1] + payload).is_update


@pytest.mark.parametrize(
    ("raw", "is_update"),
    [
        # A payload without a kind.
        (b'{"quantity": "5"}', True),
        (b'{"symbol": "AAPL"}', True),
        (b'{"note": "5"}', False),
        (b'{"note": "order"}', False),
        (b"order o1 filled", True),
        (b"the border", False),
        (b"", False),
        # A kind without a payload.
        (b'{"type": "quote", "symbol": "AAPL"}', False),
        (b'{"type": "order"}', False),
        (b'{"type": "order", "data": null, "seq": 5}', False),
        (b'{"type": "order", "data": "lost"}', True),
        (b'{"type": "order", "other": ["lost"]}', True),
        (b'["order", {"type": "order"}]', True),
        (b'{"type": "order", "data": ', True),
        (b'{"type": "order", "data": "\xff"}', True),
        (b'{"type": "order", "data": ' + b"[" * 100_000, True),
        (b'{"type": "order", "symbol": "AAPL"}', True),
        # An unknown kind with a payload that only an update has.
        (b'{"type": "quote", "qty": "5"}', True),
        (b'{"type": "execution", "data": {"x": 1}}', True),
        # A heartbeat that names an update.
        (b'{"type": "order_heartbeat", "data": {"at": 1}}', False),
        (b'{"type": "order", "event": "ping", "data": {"at": 1}}', False),
    ],
)
def test_frame_without_ids_is_an_update_by_its_kind_and_payload(raw: bytes, *, is_update: bool) -> None:
    assert mentions_in(raw) == NO_UPDATE._replace(is_update=is_update)

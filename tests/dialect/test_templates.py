"""Templates: placeholders that must and must not occur, and the frames that they encode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connecttrade_async.dialect.templates import check_template, encode_template, placeholders_in
from connecttrade_async.errors import ConfigurationError

ALLOWED = ("client_id", "client_secret")


def filled(template: Any, **values: object) -> Any:
    return json.loads(encode_template(template, values))


def deep(levels: int) -> dict[str, Any]:
    template: dict[str, Any] = {}
    for _ in range(levels):
        template = {"a": template}
    return template


def test_encode_template_replaces_a_whole_text_by_the_value_itself() -> None:
    template = {"op": "sub", "args": ["{topics}", {"n": "{id}"}], "on": True, "level": 2}
    assert filled(template, topics=("orders", "positions"), id=7) == {
        "op": "sub",
        "args": [["orders", "positions"], {"n": 7}],
        "on": True,
        "level": 2,
    }


def test_encode_template_joins_a_placeholder_within_a_text() -> None:
    template = {"auth": "Bearer {access_token}", "topics": "user:{topics}", "none": "x{id}"}
    expected = {"auth": "Bearer t-1", "topics": "user:orders,positions", "none": "x"}
    assert filled(template, access_token="t-1", topics=["orders", "positions"]) == expected


def test_encode_template_leaves_out_members_without_a_value() -> None:
    assert filled({"type": "pong", "id": "{id}"}) == {"type": "pong"}
    assert filled(["{id}"], id=None) == [None]


def test_encode_template_spreads_options_and_fills_names_of_members() -> None:
    template = {"{options}": "{options}", "{channel}": "{symbols}", "nested": {"o": "{options}"}}
    options = {"interval": "1m", "limit": None}
    assert filled(template, options=options, channel="bars", symbols=["A"]) == {
        "interval": "1m",
        "bars": ["A"],
        "nested": {"o": {"interval": "1m", "limit": None}},
    }
    assert filled({"{options}": "{options}"}) == {}


def test_placeholders_in_finds_them_in_names_lists_and_texts() -> None:
    template = ["{id}", {"{channel}": ["a {client_id} {client_secret}"], "{options}": 1, "n": 5}]
    assert placeholders_in(template) == {"id", "channel", "client_id", "client_secret", "options"}


def test_check_template_accepts_what_is_allowed() -> None:
    check_template("k", {"a": "{client_id}", "b": ["{client_secret}"]}, allowed=ALLOWED, needed=("client_secret",))
    check_template("k", {}, allowed=(), needed=())


@pytest.mark.parametrize(
    ("template", "allowed", "message"),
    [
        ({"a": "{topics}"}, ALLOWED, "k must have no placeholders but {client_id} {client_secret}, got {topics}"),
        ({"a": "{s3cret-value}"}, (), "k must have no placeholders but none, got another text in braces"),
        ({"a": "s3cret"}, ALLOWED, "k must have the placeholder {client_secret}, got a template without it"),
        ({}, ALLOWED, "k must have the placeholder {client_secret}, got a template without it"),
        ({"a": None}, ALLOWED, "k must have no null: leave the member out"),
        (deep(16), ALLOWED, "k must be nested at most 16 levels deep"),
    ],
    ids=["not-allowed", "no-name", "missing", "empty", "null", "deep"],
)
def test_check_template_refuses_other_templates_and_shows_none_of_their_text(
    template: dict[str, Any], allowed: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_template("k", template, allowed=allowed, needed=("client_secret",))
    assert str(caught.value) == message

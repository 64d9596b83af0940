"""Pseudonyms: the same shape, one for each token, and never a token that was replaced."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.recording.pseudonyms import Pseudonyms

TOKENS = st.from_regex(r"[A-Za-z0-9]{1,12}(-[A-Za-z0-9]{1,6})?", fullmatch=True)
UUID = "019ACB3A-7e11-7c3e-8b1c-aabbccddeeff"


def shape(text: str) -> str:
    return re.sub(r"[0-9]", "0", re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", text)))


@given(st.lists(TOKENS, unique=True, max_size=30), st.binary(min_size=1, max_size=16))
def test_of_token_is_stable_distinct_and_never_a_token(tokens: list[str], salt: bytes) -> None:
    pseudonyms = Pseudonyms(salt)
    found = [pseudonyms.of_token(token) for token in tokens]
    assert found == [pseudonyms.of_token(token) for token in tokens]
    assert len(set(found)) == len(tokens)
    assert all(name != token for name, token in zip(found, tokens, strict=True))


@given(st.from_regex(r"[A-Za-z0-9]{5,20}", fullmatch=True))
def test_of_token_keeps_the_shape_of_a_token_that_is_not_short(token: str) -> None:
    assert shape(Pseudonyms(b"salt").of_token(token)) == shape(token)


@pytest.mark.parametrize("uuid", [UUID.lower(), UUID.upper(), UUID.lower().replace("-", "")], ids=["l", "u", "plain"])
def test_of_token_keeps_version_and_variant_of_a_uuid(uuid: str) -> None:
    found = Pseudonyms(b"salt").of_token(uuid)
    pattern = r"[0-9a-f]{8}-?[0-9a-f]{4}-?7[0-9a-f]{3}-?8[0-9a-f]{3}-?[0-9a-f]{12}"
    assert re.fullmatch(pattern, found, re.IGNORECASE)
    assert found.isupper() == uuid.isupper()
    assert found != uuid


def test_of_token_lengthens_when_all_of_a_shape_are_taken() -> None:
    pseudonyms = Pseudonyms(b"salt")
    found = {pseudonyms.of_token(str(digit)) for digit in range(1, 10)}
    assert len(found) == 9
    assert any(len(name) > 1 for name in found)


def test_of_token_keeps_a_number_without_a_leading_zero() -> None:
    pseudonyms = Pseudonyms(b"salt")
    assert all(pseudonyms.of_token(str(number))[0] != "0" for number in range(10_000, 10_200))


def test_of_text_replaces_each_token_and_keeps_what_is_between() -> None:
    pseudonyms = Pseudonyms(b"salt")
    text = "Ada (acct 12345678) wrote: Ada!"
    found = pseudonyms.of_text(text)
    assert re.sub(r"\w", "", found) == re.sub(r"\w", "", text)
    assert found.count(pseudonyms.of_token("Ada")) == 2
    assert pseudonyms.of_text(text, {"acct", "wrote"}.__contains__).split()[1:2] == ["(acct"]


def test_of_text_depends_on_the_salt() -> None:
    assert Pseudonyms(b"one").of_text("12345678") != Pseudonyms(b"two").of_text("12345678")

"""The last pass: a known value is found in any spelling, and other text is not taken for one."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from connecttrade_async.recording.leaks import LeakDetector

if TYPE_CHECKING:
    from collections.abc import Callable

SECRETS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9+/=_-]{10,40}[A-Za-z0-9]", fullmatch=True).filter(
    lambda text: sum(map(str.isalnum, text)) >= 12 and not text.isdecimal()
)
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "without dashes": lambda text: "".join(filter(str.isalnum, text)),
    "in groups": lambda text: " ".join(text[at : at + 4] for at in range(0, len(text), 4)),
    "in two members of a list": lambda text: json.dumps([text[:7], text[7:]]),
    "on two lines": lambda text: f"{text[:5]}\n{text[5:]}",
    "for a URL": lambda text: quote(text, safe=""),
    "for a URL, every character": lambda text: "".join(f"%{ord(character):02x}" for character in text),
    "for a URL, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "as JSON": json.dumps,
    "as JSON in JSON": lambda text: json.dumps(json.dumps({"value": text})),
    "as escapes": lambda text: "".join(f"\\u{ord(character):04x}" for character in text),
    "for HTML": html.escape,
    "as entities": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of a header": lambda text: base64.b64encode(f"client:{text}:x".encode()).decode(),
    "base64 of its capitals": lambda text: base64.b64encode(text.upper().encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex in capitals": lambda text: text.encode().hex().upper(),
    "hex with colons": lambda text: text.encode().hex(":"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@given(secret=SECRETS, before=st.text('abc{}":, 12', max_size=9), behind=st.text('abc{}":, 12', max_size=9))
def test_finds_a_secret_in_each_spelling(spelling: Callable[[str], str], secret: str, before: str, behind: str) -> None:
    leaks = LeakDetector()
    leaks.add(secret, is_secret=True)
    assert leaks.finds(f'{before}"{spelling(secret)}"{behind}')


@pytest.mark.parametrize("name", ["plain", "upper case", "for a URL", "as escapes", "base64 of a header", "hex"])
@given(value=st.from_regex(r"[a-z]{4}-[0-9]{4}@[a-z]{6}", fullmatch=True))
def test_finds_an_identity_in_the_usual_spellings(name: str, value: str) -> None:
    leaks = LeakDetector()
    leaks.add(value)
    assert leaks.finds(f'{{"x":"{SPELLINGS[name](value)}"}}')


@given(secret=SECRETS, text=st.text('ghijklmn0123456789-_{}":, ', max_size=200))
def test_finds_nothing_in_other_text(secret: str, text: str) -> None:
    leaks = LeakDetector()
    assert not leaks.finds(secret)
    leaks.add(f"XYZ{secret}XYZ", is_secret=True)
    assert not leaks.finds(text)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("ada is here", True),
        ("ADA", True),
        ("adapter", False),
        ("account 1234567, of ada2", True),
        ("account 123-4567", True),
        ("123 4567", True),
        ("1234.567", False),
        ("price 12345678", False),
        ("x1234567", False),
        ("order", False),
        ("42", False),
    ],
)
def test_finds_a_short_value_as_a_whole_token_only(text: str, is_found: bool) -> None:  # noqa: FBT001 - a column
    leaks = LeakDetector()
    for value in ("ada", "1234567", "order", "42", ""):
        leaks.add(value)
    assert leaks.finds(text) is is_found


def test_finds_excuses_a_number_that_was_kept_as_one() -> None:
    leaks = LeakDetector()
    leaks.add("1234567")
    assert not leaks.finds('{"quantity":"1234567"}', {"1234567"})
    assert leaks.finds('{"quantity":"1234567"}', {"1234568"})


@given(at=st.integers(0, 20_000))
def test_finds_a_secret_at_any_place_of_a_long_text(at: int) -> None:
    leaks = LeakDetector()
    leaks.add("canary-secret-0123456789", is_secret=True)
    assert leaks.finds(f"{'x, ' * (at // 3)}canary-secret-0123456789{' .' * (20_000 - at)}")
    assert not leaks.finds(f"{'x, ' * at}canary-secret")

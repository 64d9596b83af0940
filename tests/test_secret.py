from __future__ import annotations

import copy
import io
import logging
import pickle
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, strategies as st

from connecttrade_async import ConnectTrade
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.secret import (
    MASK,
    MaskedText,
    Secret,
    header_problem,
    is_credential_name,
    redact,
    redact_bytes,
    without_frames,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-7f3a-of-the-mine"
SECRETS = (Secret(CANARY), None)


def everything_shown_by(error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The frame of this test knows the text, and so may the caller of a library; the library's frames may not.
    told.stack[:] = [frame for frame in told.stack if "connecttrade_async" in frame.filename]
    assert len(told.stack) > 0
    return "".join(told.format())


def test_revealed_is_the_text() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    assert f"{secret.reveal()}" == CANARY
    assert Secret(secret).reveal() == CANARY


def test_no_way_of_showing_it_shows_it() -> None:
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r} {secret!s} {secret!a}",
        "%s %r" % (secret, secret),  # noqa: UP031 - the old way is what is shown here
        "{} {!r}".format(secret, secret),  # noqa: UP032 - likewise
        format(secret),
        format(secret, ""),
        repr([secret]),
        repr({secret: secret}),
        repr(secret.reveal()),
        repr({"client-secret": secret.reveal()}),
        repr((secret.__reduce__(), secret.__copy__())),
    ]
    assert not [text for text in shown if CANARY in text]
    assert repr(secret) == "Secret('***')"
    assert str(secret) == MASK
    assert repr(secret.reveal()) == repr(MASK)


def test_a_format_specification_shows_nothing_either() -> None:
    with pytest.raises(TypeError) as caught:
        format(Secret(CANARY), ">40")
    assert CANARY not in str(caught.value)


def test_dir_and_vars_offer_no_open_text() -> None:
    secret = Secret(CANARY)
    assert not hasattr(secret, "__dict__")
    assert CANARY not in repr({name: getattr(secret, name) for name in dir(secret) if name != "__doc__"})


def test_a_log_record_shows_nothing() -> None:
    stream = io.StringIO()
    log = logging.Logger("connecttrade_async.test", logging.DEBUG)  # noqa: LOG001 - one that nobody else hears
    log.addHandler(logging.StreamHandler(stream))
    log.warning("with %s and %r", Secret(CANARY), Secret(CANARY), extra={"secret": Secret(CANARY)})
    assert stream.getvalue() == "with *** and Secret('***')\n"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_does_not_carry_the_text(protocol: int) -> None:
    dumped = pickle.dumps(Secret(CANARY), protocol)
    assert CANARY.encode() not in dumped
    again = pickle.loads(dumped)  # noqa: S301 - our own bytes
    assert isinstance(again, Secret)
    with pytest.raises(ConfigurationError, match="pickles do not carry the text"):
        again.reveal()
    with pytest.raises(ConfigurationError, match="pickles do not carry the text"):
        Secret(again)
    with pytest.raises(ConfigurationError, match="pickles do not carry the text"):
        again.check("client secret")
    assert repr(again) == "Secret('***')"


def test_a_copy_stays_usable_and_masked() -> None:
    secret = Secret(CANARY)
    for again in (copy.copy(secret), copy.deepcopy(secret), copy.deepcopy([secret])[0]):
        assert again.reveal() == CANARY
        assert CANARY not in repr(again)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (CANARY + "\r\nx-admin: 1", "line break or another character"),
        (CANARY + "\nmore", "line break or another character"),
        (CANARY + "\x00more", "line break or another character"),
        (CANARY + "é", "line break or another character"),
        (CANARY + "\ud800", "line break or another character"),
        (CANARY + "\n", "must not begin or end with white space"),
        (" " + CANARY, "must not begin or end with white space"),
    ],
)
def test_what_no_header_can_carry_is_refused_without_being_shown(text: str, sentence: str) -> None:
    secret = Secret(text)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        secret.check("user secret")
    assert str(caught.value).startswith("the user secret ")
    assert CANARY not in everything_shown_by(caught.value)


def test_a_good_one_is_not_refused() -> None:
    Secret(CANARY).check("client secret")
    Secret("p@ss word!~").check("client secret")


def test_an_empty_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^the client secret must not be empty$"):
        Secret("").check("client secret")


@pytest.mark.parametrize("nonsense", [None, 5, CANARY.encode(), [CANARY]])
def test_what_is_no_text_is_refused_without_being_shown(nonsense: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^a secret must be text, got {type(nonsense).__name__}$") as caught:
        Secret(nonsense)
    assert CANARY not in everything_shown_by(caught.value)


def test_a_refused_pickled_one_shows_nothing() -> None:
    pickled = pickle.loads(pickle.dumps(Secret(CANARY)))  # noqa: S301 - our own bytes
    with pytest.raises(ConfigurationError) as caught:
        pickled.reveal()
    assert CANARY not in everything_shown_by(caught.value)


def test_only_an_empty_one_is_false() -> None:
    assert Secret(CANARY)
    assert not Secret("")
    assert pickle.loads(pickle.dumps(Secret(CANARY)))  # noqa: S301 - our own bytes


def test_equal_texts_are_equal_secrets_and_hash_alike() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert hash(Secret(CANARY)) == hash(Secret(CANARY))
    assert Secret(CANARY) != Secret(CANARY + "x")
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY).__eq__(CANARY) is NotImplemented
    assert len({Secret("a"), Secret("b"), Secret("a")}) == 2


def test_two_unpickled_secrets_are_not_equal_since_their_texts_are_lost() -> None:
    dumped = pickle.dumps(Secret(CANARY))
    one, other = pickle.loads(dumped), pickle.loads(dumped)  # noqa: S301 - our own bytes
    assert one != other
    assert one == one  # noqa: PLR0124 - itself it still is
    assert one != Secret(CANARY)
    assert Secret(CANARY) != one


@given(st.text(max_size=60))
def test_whatever_passes_the_check_is_a_good_header_and_comes_out_unchanged(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    try:
        secret.check("secret")
    except ConfigurationError as error:
        assert str(error) == header_problem(text, "secret", ascii_only=True)  # noqa: PT017 - some pass, some do not
        return
    assert header_problem(text, "secret", ascii_only=True) is None
    assert text.isascii()
    assert text.isprintable()


@given(st.text(max_size=60))
def test_a_header_may_hold_letters_of_any_script_but_no_control(text: str) -> None:
    assume(text and text == text.strip())
    problem = header_problem(text, "user id")
    assert (problem is None) == text.isprintable()
    assert problem is None or problem.startswith("the user id ")


def test_header_problem_names_what_it_is_about() -> None:
    assert header_problem("user-1", "user id") is None
    assert header_problem("Zoë", "user id") is None
    assert header_problem("", "user id") == "the user id must not be empty"
    assert "strip it" in str(header_problem("user-1\n", "user id"))


def test_masked_text_is_text_but_for_its_repr() -> None:
    masked = MaskedText("abc")
    assert masked == "abc"
    assert str(masked) == "abc"
    assert repr(masked) == "'***'"
    assert not hasattr(masked, "__dict__")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_masked_text_holds_the_mask_only(protocol: int) -> None:
    dumped = pickle.dumps({"client-secret": MaskedText(CANARY)}, protocol)
    assert CANARY.encode() not in dumped
    assert pickle.loads(dumped) == {"client-secret": MASK}  # noqa: S301 - our own bytes


def inner(text: str) -> None:
    sent = text + " as sent"
    raise KeyError("inner", len(sent))


def middle(text: str) -> None:
    try:
        inner(text)
    except KeyError as exc:
        raise LookupError("middle") from exc


def outer(text: str) -> None:
    try:
        middle(text)
    except LookupError:
        raise ValueError("outer")  # noqa: B904 - so that there is a context too


def test_a_cause_without_frames_says_the_same_and_shows_no_variable() -> None:
    with pytest.raises(ValueError, match="outer") as caught:
        outer(CANARY)
    error = caught.value
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert CANARY in told
    assert without_frames(error) is error
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert CANARY not in told
    assert all(word in told for word in ("inner", "middle", "outer"))


def test_a_cause_that_goes_in_a_circle_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert without_frames(one) is one


@pytest.mark.parametrize("kind", [bytes, list, tuple, bytearray])
def test_a_secret_of_a_wrong_kind_is_in_no_frame_of_the_library(kind: Any) -> None:
    given: Any = CANARY.encode() if kind in {bytes, bytearray} else [CANARY]
    fine = ConnectTrade("client", "fine")
    value: Any = kind(given)
    calls: list[Callable[[], object]] = [
        lambda: ConnectTrade("client", value),
        lambda: fine.user("u", value),
        lambda: ConnectTrade("client", "fine", proxy=value),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match=f"(text|None), got {kind.__name__}") as caught:
            call()
        assert CANARY not in everything_shown_by(caught.value)


def test_wrap_never_raises_and_what_it_holds_is_refused_when_it_is_used() -> None:
    assert Secret.wrap(CANARY).reveal() == CANARY
    secret = Secret(CANARY)
    assert Secret.wrap(secret) is secret
    wrong = Secret.wrap(CANARY.encode())
    assert wrong.wrong_kind == "bytes"
    assert CANARY not in repr(wrong) + repr(copy.copy(wrong)) + str(wrong)
    assert pickle.loads(pickle.dumps(wrong)) != wrong  # noqa: S301 - our own
    for use in (wrong.reveal, lambda: wrong.check("token"), lambda: Secret(wrong)):
        with pytest.raises(ConfigurationError, match="a secret must be text, got bytes"):
            use()


@given(st.text(min_size=1), st.text(max_size=3), st.slices(8))
def test_parts_of_a_revealed_secret_are_masked_and_equal(text: str, other: str, part: slice) -> None:
    revealed = Secret(text).reveal()
    pairs: list[tuple[str, str]] = [
        (revealed[part], text[part]),
        (revealed[0], text[0]),
        (revealed.strip(), text.strip()),
        (revealed.lower(), text.lower()),
        (revealed + other, text + other),
        (other + revealed, other + text),
        *zip(revealed.split(), text.split(), strict=True),
        *zip(revealed.partition("a"), text.partition("a"), strict=True),
        *zip(revealed, text, strict=True),
    ]
    for masked, plain in pairs:
        assert masked == plain
        assert repr(masked) == repr(MASK)


@pytest.mark.parametrize(
    "text",
    [
        '{"session":"x","jwt":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"}',
        '{"anything":["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"]}',
        "refused: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl is no good",
        "Authorization: Bearer c2lnbmF0dXJlIUzI1NiJ9",
        "bearer   c2lnbmF0dXJlIUzI1NiJ9",
        '{"privateKey":"c2lnbmF0dXJl"}',
        '{"sessionId":"c2lnbmF0dXJl"}',
        "passphrase=c2lnbmF0dXJl",
        "Cookie: sid=c2lnbmF0dXJl",
    ],
)
def test_redact_masks_tokens_by_shape_and_by_name(text: str) -> None:
    shown = redact_bytes(text.encode(), ())
    assert "c2lnbmF0dXJl" not in shown
    assert "eyJ" not in shown
    assert "***" in shown


def test_redact_keeps_sentences_about_tokens() -> None:
    said = "Bearer authentication is required; session: regular"
    assert redact(said, ()) == said


def test_redact_of_a_huge_message_is_fast() -> None:
    began = time.process_time()
    for unit in ("secret", "bearer ", "eyJ", '"secret":[', "a", " "):
        redact(unit * (10_000_000 // len(unit)), SECRETS)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("kept", [1, 8, len(CANARY) - 1])
def test_redact_drops_a_secret_cut_in_two(kept: int) -> None:
    text = '{"password":"' + "x" * (65_536 - 22 - kept) + '","say":"' + CANARY + "y" * 100
    assert redact(text, SECRETS) == '{"password":"***","say":"'
    assert redact_bytes(text.encode(), SECRETS) == '{"password":"***","say":"'


def test_redact_keeps_reasons_about_tokens_and_masks_tokens() -> None:
    said = redact("invalid token: expired; access-token: canary; token=canary; user_token : canary", ())
    assert said == "invalid token: expired; access-token: ***; token=***; user_token : ***"


@pytest.mark.parametrize(
    ("name", "is_credential"),
    [("user_secret", True), ("client-secret", True), ("accessToken", True), ("Cookie", True), ("user_id", False)],
)
def test_is_credential_name_knows_the_names_of_secrets(name: str, is_credential: bool) -> None:  # noqa: FBT001 - a column
    assert is_credential_name(name) is is_credential

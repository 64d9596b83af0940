from __future__ import annotations

import msgspec
import pytest

from connecttrade_async.rest import wire
from connecttrade_async.rest.digests import LazyValue, digest, digest_of_all, is_strong, slow_digest
from connecttrade_async.rest.wire import Request, Response

REQUEST = Request(method="GET", path="/positions", query="?symbols=A")
RESPONSE = Response(200, {}, b"[1]")


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (REQUEST, Response(200, {}, b"[2]")),
        (REQUEST, Response(200, {}, b"")),
        (REQUEST, Response(201, {}, b"[1]")),
        *[(REQUEST, Response(200, {name: "n"}, b"[1]")) for name in wire.CONTENT_HEADERS],
        (REQUEST, Response(200, {"after": "n"}, b"[1]", content_headers=("after",))),
        (msgspec.structs.replace(REQUEST, path="/balances"), RESPONSE),
        (msgspec.structs.replace(REQUEST, query=""), RESPONSE),
        (msgspec.structs.replace(REQUEST, method="PUT"), RESPONSE),
    ],
)
def test_digest_differs_for_any_other_request_or_response(request_: Request, response: Response) -> None:
    assert digest(REQUEST, RESPONSE) == digest(REQUEST, Response(200, {"date": "now"}, b"[1]"))
    assert digest(request_, response) != digest(REQUEST, RESPONSE)


def test_digest_of_all_ignores_the_order_and_counts_repeats() -> None:
    one, other = digest(REQUEST, RESPONSE), digest(REQUEST, Response(200, {}, b"[2]"))
    assert digest_of_all([]) is None
    assert digest_of_all([one, other]) == digest_of_all([other, one])
    assert len({digest_of_all([one]), digest_of_all([one, one]), digest_of_all([one, other]), one, other}) == 5


def test_digest_uses_its_own_hash_if_that_of_the_interpreter_is_weak() -> None:
    assert is_strong("siphash13", 64)
    assert not is_strong("siphash13", 32)
    assert not is_strong("fnv", 64)
    parts = ("/positions", None, 200, b"[1]")
    assert slow_digest(parts) == slow_digest(("/positions", None, 200, b"[1]"))
    assert (
        len({slow_digest(parts), slow_digest((*parts[:3], b"[2]")), slow_digest(("/positions", "", *parts[2:]))}) == 3
    )
    assert 2**32 < slow_digest(parts) < 2**64


def test_digest_separates_the_parts_of_a_response() -> None:
    answers = (
        Response(200, {"next-cursor": "a", "prev-cursor": "b"}, b"c"),
        Response(200, {"next-cursor": "a b", "prev-cursor": ""}, b"c"),
        Response(200, {"next-cursor": "a"}, b"b\nc"),
    )
    assert len({digest(REQUEST, answer) for answer in answers}) == len(answers)


def test_lazy_value_is_decoded_once_and_does_not_show_it() -> None:
    decoded: list[Response] = []

    def decode(response: Response) -> list[int]:
        decoded.append(response)
        return [7]

    lazy = LazyValue(decode, RESPONSE)
    assert (repr(lazy), lazy.is_decoded, decoded) == ("<LazyValue, undecoded>", False, [])
    assert lazy.value is lazy.value
    assert (lazy.value, lazy.is_decoded, decoded) == ([7], True, [RESPONSE])
    assert repr(lazy) == "<LazyValue, decoded>"


def test_lazy_value_that_cannot_be_decoded_fails_each_time() -> None:
    lazy = LazyValue(lambda response: msgspec.json.decode(response.body), Response(200, {}, b"{"))
    for _ in range(2):
        with pytest.raises(msgspec.DecodeError):
            _ = lazy.value
    assert not lazy.is_decoded

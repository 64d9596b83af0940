"""Faults strike their targets as often as they should, and a wrong one is refused in a sentence."""

import re
from typing import Any

import pytest

from connecttrade_async.sandbox import Fault, Faults


def struck(faults: Faults, *requests: tuple[str, str]) -> list[str | None]:
    drawn = [faults.draw(method, path) for method, path in requests]
    return [None if fault is None else fault.kind for fault in drawn]


def test_the_next_n_requests_and_then_none() -> None:
    faults = Faults()
    armed = faults.add(Fault("reset", times=2))
    assert struck(faults, *[("GET", "/users")] * 3) == ["reset", "reset", None]
    assert (armed.seen, armed.fired, armed.is_spent) == (2, 2, True)
    assert repr(faults) == "<Faults 1 set, 2 fired>"


def test_every_request_until_cleared() -> None:
    faults = Faults()
    armed = faults.add(Fault("drop", times=None))
    assert struck(faults, *[("GET", "/")] * 5) == ["drop"] * 5
    assert faults.armed == (armed,)
    faults.clear()
    assert struck(faults, ("GET", "/")) == [None]


def test_some_are_let_pass_first() -> None:
    faults = Faults()
    faults.add(Fault("html", after=2))
    assert struck(faults, *[("GET", "/")] * 4) == [None, None, "html", None]


def test_by_method_path_and_pattern() -> None:
    faults = Faults()
    faults.add(Fault("reset", method="post", times=None))
    faults.add(Fault("drop", path="/connections", times=None))
    faults.add(Fault("html", pattern=r"/token$", times=None))
    requests = [("POST", "/users"), ("GET", "/connections/1"), ("GET", "/x/token"), ("GET", "/users")]
    assert struck(faults, *requests) == ["reset", "drop", "html", None]


def test_the_first_set_strikes_first() -> None:
    faults = Faults()
    faults.add(Fault("reset"))
    second = faults.add(Fault("drop"))
    assert struck(faults, *[("GET", "/")] * 2) == ["reset", "drop"]
    assert second.seen == 1


@pytest.mark.parametrize(
    ("kind", "when", "is_after"),
    [("drop", None, True), ("drop", "before", False), ("reset", None, False), ("status", "after", True)],
)
def test_before_or_after_the_work(kind: Any, when: Any, *, is_after: bool) -> None:
    assert Fault(kind, when=when).is_after is is_after


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "kind must be one of status, html"),
    ({"kind": "flood"}, "kind must be one of status, html"),
    ({"kind": ["status"]}, "kind must be one of status, html"),
    ({"kind": "reset", "color": "red"}, "a fault has no color"),
    ({"kind": "reset", "seconds": 1}, "a fault of kind reset takes no seconds"),
    ({"kind": "slow_headers", "seconds": 0}, "seconds must be a number of seconds"),
    ({"kind": "slow_headers", "seconds": "1"}, "seconds must be a number of seconds"),
    ({"kind": "slow_headers", "seconds": True}, "seconds must be a number of seconds"),
    ({"kind": "status", "status": 99}, "status must be a status from 200 to 599"),
    ({"kind": "status", "status": True}, "status must be a status"),
    ({"kind": "status", "retry_after": "1\r\nX: y"}, "retry_after must be seconds or an HTTP date"),
    ({"kind": "status", "body": 5}, "body must be text"),
    ({"kind": "status", "times": 0}, "times must be a whole number from 1"),
    ({"kind": "status", "after": -1}, "after must be a whole number"),
    ({"kind": "status", "after": None}, "after must be a whole number"),
    ({"kind": "status", "method": ""}, "method must be an HTTP method"),
    ({"kind": "status", "path": "users"}, "path must be how the path begins"),
    ({"kind": "status", "pattern": "("}, "pattern must be a regular expression"),
    ({"kind": "status", "when": "during"}, "when must be before or after"),
    ({"kind": "huge", "size": 1 << 31}, "size must be a number of bytes"),
    ({"kind": "redirect", "location": ""}, "location must be a URL"),
]


@pytest.mark.parametrize(("members", "sentence"), WRONG)
def test_a_wrong_fault_is_refused(members: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Fault.read(members)


def test_a_fault_from_json_is_the_same_fault() -> None:
    fault = Fault("status", times=None, status=429, retry_after="2", path="/orders")
    assert Fault.read({"kind": "status", "times": None, "status": 429, "retry_after": "2", "path": "/orders"}) == fault


def test_a_schedule_is_the_same_for_the_same_seed_and_strikes_only_its_requests() -> None:
    def run(seed: int) -> list[str | None]:
        faults = Faults()
        faults.schedule(seed, requests=8, method="POST", path="/orders")
        requests = [("POST", "/orders"), ("GET", "/orders"), ("POST", "/users")] * 10
        return struck(faults, *requests)

    runs = [run(seed) for seed in range(60)]
    assert runs == [run(seed) for seed in range(60)]
    assert len({tuple(drawn) for drawn in runs}) > 50
    for drawn in runs:
        assert {kind for number, kind in enumerate(drawn) if number % 3} == {None}
        assert set(drawn[24:]) == {None}
    assert {kind for drawn in runs for kind in drawn} == {None, "drop", "reset", "status", "html", "cut_body"}


def test_a_schedule_strikes_each_request_by_its_own_lot() -> None:
    faults = Faults()
    lots = [faults.schedule(seed, requests=20, share=0.5) for seed in range(10)]
    assert 60 < sum(len(lot) for lot in lots) < 140
    for share, number in ((0, 0), (1, 5)):
        assert len(Faults().schedule(1, requests=5, share=share)) == number
    only = Fault("reset")
    assert {armed.fault.kind for armed in Faults().schedule(1, share=1, among=[only])} == {"reset"}

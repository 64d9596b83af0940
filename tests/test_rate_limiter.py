from __future__ import annotations

from connecttrade_async.rate_limiter import RateLimiter


def test_rate_limiter_without_a_rate_never_delays() -> None:
    limiter = RateLimiter(None, None, 0.0)
    assert [limiter.delay("u", 0.0) for _ in range(1000)] == [0.0] * 1000
    limiter.refund()
    limiter.forget("u")


def test_rate_limiter_with_an_overall_rate_delays_after_a_burst() -> None:
    limiter = RateLimiter(2.0, None, 0.0)
    assert [limiter.delay(f"u{number}", 0.0) for number in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.5]
    limiter.refund()
    assert limiter.delay("u", 0.0) == 1.5


def test_rate_limiter_with_a_user_rate_spaces_requests_of_each_user() -> None:
    limiter = RateLimiter(None, 0.5, 0.0)
    assert [limiter.delay("u", 0.0) for _ in range(3)] == [0.0, 2.0, 4.0]
    assert limiter.delay("other", 0.0) == 0.0
    assert limiter.delay("u", 7.0) == 0.0
    limiter.forget("u")
    assert limiter.delay("u", 7.0) == 0.0


def test_rate_limiter_on_hold_delays_until_its_end() -> None:
    limiter = RateLimiter(1000.0, 1000.0, 0.0)
    limiter.not_before = 5.0
    assert limiter.delay("u", 2.0) == 3.0
    assert limiter.delay("other", 6.0) == 0.0

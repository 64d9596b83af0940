from __future__ import annotations

import asyncio

from connecttrade_async import ClosedError
from connecttrade_async.market_data.replies import PendingReplies


async def test_pending_replies_expect_shares_a_future_until_it_is_resolved() -> None:
    replies = PendingReplies()
    future = replies.expect("feed", "key")
    assert replies.expect("feed", "key") is future
    assert replies.expect("other", "key") is not future
    replies.resolve("feed", "key", 7)
    assert await future == 7
    assert (replies.is_expected("feed", "key"), replies.is_expected("other", "key")) == (False, True)
    assert replies.expect("feed", "key") is not future


async def test_pending_replies_resolve_of_an_unexpected_or_cancelled_reply_does_nothing() -> None:
    replies = PendingReplies()
    replies.resolve("feed", "key", 7)
    future = replies.expect("feed", "key")
    future.cancel()
    replies.resolve("feed", "key", 7)
    assert future.cancelled()


async def test_pending_replies_confirm_resolves_a_subject_for_every_requester() -> None:
    replies = PendingReplies()
    futures = [replies.expect(requester, "key") for requester in "ab"]
    other = replies.expect("a", "other key")
    replies.confirm(["key", "unknown"])
    assert await asyncio.gather(*futures) == [None, None]
    assert not other.done()


async def test_pending_replies_cancel_resolves_with_closed() -> None:
    replies = PendingReplies()
    future = replies.expect("feed", "key")
    replies.cancel("feed", "key")
    assert isinstance(await future, ClosedError)


async def test_pending_replies_close_resolves_present_and_later_replies_with_the_error() -> None:
    replies, error = PendingReplies(), ClosedError("the stream")
    future = replies.expect("feed", "key")
    replies.close(error)
    assert await future is error
    assert await replies.expect("feed", "other key") is error

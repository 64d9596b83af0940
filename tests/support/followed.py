"""Bring followed users into a state without any request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.books.followed_users import FollowedUser, FollowedUsers

__all__ = ["make_current"]


def make_current(users: FollowedUsers, *followed_users: FollowedUser) -> None:
    """Let a snapshot count that begins and ends now, for some users or, without any, for all."""
    for followed in followed_users or tuple(users.by_id.values()):
        users.end_snapshot(followed)
        users.begin_snapshot(followed)
        users.accept_snapshot(followed)
        users.end_snapshot(followed)

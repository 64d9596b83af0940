"""Futures and tasks of asyncio: set a result once, and detect a cancellation of the current task."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

__all__ = ["fail", "is_being_cancelled", "resolve"]

T = TypeVar("T")


def resolve(future: asyncio.Future[T], value: T) -> None:
    """Set the result of a future, unless it is done: a waiter may be cancelled before its result arrives.

    Args:
        future: the future of the waiter.
        value: the result.
    """
    if not future.done():
        future.set_result(value)


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Set the exception of a future, unless it is done.

    Args:
        future: the future of the waiter.
        error: the exception.
    """
    if not future.done():
        future.set_exception(error)


def is_being_cancelled() -> bool:
    """Return whether the current task is being cancelled.

    A ``CancelledError`` may also come from a task or a future that the current task awaits. That one does not cancel
    the current task, so it may be caught.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

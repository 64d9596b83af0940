"""The sandbox's clock: real time until a test takes hold of it.

The only place of the sandbox that asks the machine what time it is. Every other part takes the time as an argument.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


class Clock:
    """What time it is in the sandbox.

    It runs with the machine's clock until `hold` stops it; `advance` steps it in either state, and `release` lets it
    run on from where it stands.

    Args:
        publish: called with the new moment after each change of the clock, so that what is due by then has happened
            when a step returns.
    """

    def __init__(self, publish: Callable[[datetime], object] | None = None) -> None:
        self._publish = publish
        self._held: datetime | None = None
        self._shift = timedelta()

    def __repr__(self) -> str:
        return f"<Clock {self.now().isoformat()} {'held' if self.is_held else 'running'}>"

    @property
    def is_held(self) -> bool:
        """Whether time stands still until `advance` moves it."""
        return self._held is not None

    def now(self) -> datetime:
        """The sandbox's present moment, an aware datetime in UTC."""
        return datetime.now(UTC) + self._shift if self._held is None else self._held

    def hold(self, at: datetime | None = None) -> datetime:
        """Stop the clock, at a moment of your choice or at the present one.

        Args:
            at: an aware datetime; None means now.

        Returns:
            The moment at which the clock stands, in UTC.

        Raises:
            ValueError: `at` has no time zone.
        """
        if at is not None and at.utcoffset() is None:
            raise ValueError("the clock needs an aware datetime: give it a time zone")
        self._held = self.now() if at is None else at.astimezone(UTC)
        return self._published(self._held)

    def advance(self, seconds: float) -> datetime:
        """Step forward by a number of seconds, held or running, and return the new moment.

        Raises:
            ValueError: `seconds` is negative or no finite number; time does not go back.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"the clock only goes forward, by a finite number of seconds, not by {seconds}")
        step = timedelta(seconds=seconds)
        if self._held is None:
            self._shift += step
        else:
            self._held += step
        return self._published(self.now())

    def release(self) -> datetime:
        """Let a held clock run on from the moment at which it stands, and return that moment."""
        if self._held is not None:
            self._shift = self._held - datetime.now(UTC)
            self._held = None
        return self._published(self.now())

    def _published(self, now: datetime) -> datetime:
        if self._publish is not None:
            self._publish(now)
        return now

"""Quiet hours: when the US markets are closed, extended hours included.

The extended session lasts from 4:00 to 20:00 in New York, Monday to Friday. That is 8:00 to 24:00 UTC in summer and
9:00 to 1:00 UTC in winter. Both are treated as open, so that no time zone database is needed. Holidays count as open.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["seconds_until_quiet"]

CLOSE = timedelta(hours=1)  # the latest close of the extended session, after midnight UTC
OPEN_HOUR = 7  # the earliest open of the extended session, in hours after CLOSE
SATURDAY = 5


def seconds_until_quiet(moment: datetime) -> float:
    """Return the seconds from an aware time until the US markets are closed; 0 where they are."""
    shifted = moment.astimezone(UTC) - CLOSE  # each session is within one day of this time
    if shifted.weekday() >= SATURDAY or shifted.hour < OPEN_HOUR:
        return 0.0
    midnight = shifted.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - shifted).total_seconds()

"""The sandbox's log: what arrived and what became of it, so that a test can count on the server's side.

It holds no header, no query and no body, and of a login link not the secret part: nothing in it needs hiding.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["RequestLog", "RequestRecord"]


class RequestRecord(NamedTuple):
    """One request.

    Attributes:
        method: upper case.
        path: as it came, still quoted; of a login page its `route`.
        route: the path with its varying parts in braces, or ``""`` if there is no such path.
        status: of the answer, None if none was given.
        worked: whether the endpoint really ran and did not refuse, whatever answer the caller got.
        fault: the kind of the fault that befell it, if one did.
    """

    method: str
    path: str
    route: str
    status: int | None
    worked: bool
    fault: str | None = None


class RequestLog:
    """The last ten thousand visits, oldest first, and how many there were in all."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._visits: deque[RequestRecord] = deque(maxlen=capacity)
        self.total = 0

    def __repr__(self) -> str:
        return f"<Served {self.total} requests>"

    def __len__(self) -> int:
        return len(self._visits)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(tuple(self._visits))

    def note(self, visit: RequestRecord) -> None:
        """Write a visit down; beyond the capacity the oldest is forgotten."""
        self._visits.append(visit)
        self.total += 1

    def count(
        self,
        method: str | None = None,
        path: str | None = None,
        *,
        status: int | None = None,
        worked: bool | None = None,
    ) -> int:
        """How many of the remembered visits there were of a kind; None counts all.

        Args:
            method: for example ``GET``.
            path: a whole path, or a route such as ``/users/{user_id}``.
            status: of the answer.
            worked: whether the work was really done.
        """
        return sum(
            method in {None, visit.method}
            and path in {None, visit.path, visit.route}
            and status in {None, visit.status}
            and worked in {None, visit.worked}
            for visit in self._visits
        )

    def clear(self) -> None:
        """Forget every request, and count from zero."""
        self._visits.clear()
        self.total = 0

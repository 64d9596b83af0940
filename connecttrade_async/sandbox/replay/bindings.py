"""The ids of a replay: which id of this run stands for which id of the recording.

A client chooses some ids itself, so they differ between two runs. The first request that can only mean a recorded one
binds its ids; from then on the recorded answers are written with the ids of this run.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["FAMILY_OF", "Bindings", "snake_name"]

FAMILY_OF: Mapping[str, str] = {
    "user_id": "user",
    "account_id": "account",
    "connection_id": "connection",
    "order_id": "order",
    "replaces": "order",
    "replaced_by": "order",
    "cl_order_id": "client order",
    "new_cl_order_id": "client order",
    "id": "message",
}
"""The members that hold an id, and which of them hold the same kind of id."""


def snake_name(name: str) -> str:
    """Return a name in camelCase or with dashes as snake_case."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda upper: f"_{upper[0]}", name).replace("-", "_").lower()


class Bindings:
    """Pairs of ids, one to one within each family.

    Args:
        known: the texts of the recording. An id that stands in one of them is bound to itself alone: an answer about
            one account is never given as that of another.
        shared: the bindings of the whole replay, for those of one session; only ``message`` ids are kept apart.

    Attributes:
        known: the ids of the recording by family.
        actual: the ids of this run by family and recorded id.
        recorded: the recorded ids by family and id of this run.
    """

    def __init__(self, known: Iterable[str] = (), *, shared: "Bindings | None" = None) -> None:
        self._shared = shared
        self.known = frozenset(pair for text in known for pair in _ids_in(text) if pair[0] != "message")
        self.actual: dict[tuple[str, str], str] = {}
        self.recorded: dict[tuple[str, str], str] = {}

    def can_bind(self, pairs: Iterable[tuple[str, str, str]]) -> bool:
        """Return whether each pair of (family, recorded, actual) is bound already or free on both sides."""
        actual: dict[tuple[str, str], str] = {}
        recorded: dict[tuple[str, str], str] = {}
        for family, old, new in pairs:
            home = self._home(family)
            if old != new and (family, new) in home.known:
                return False
            if home.actual.get((family, old), actual.setdefault((family, old), new)) != new:
                return False
            if home.recorded.get((family, new), recorded.setdefault((family, new), old)) != old:
                return False
        return True

    def is_bound(self, family: str, recorded: str, actual: str) -> bool:
        """Return whether two ids stand for each other."""
        return self._home(family).actual.get((family, recorded)) == actual

    def bind(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Bind each pair of (family, recorded, actual)."""
        for family, old, new in pairs:
            home = self._home(family)
            home.actual[family, old] = new
            home.recorded[family, new] = old

    def rewrite(self, text: str) -> str:
        """Return a recorded text with the ids of this run in the members that hold ids; all else stays as it is."""
        known = {key: new for home in (self._shared, self) if home for key, new in home.actual.items()}
        if all(old == new for (_, old), new in known.items()):
            return text
        return _MEMBER.sub(lambda member: self._rewritten(member, known), text)

    @staticmethod
    def _rewritten(member: re.Match[str], known: Mapping[tuple[str, str], str]) -> str:
        family = FAMILY_OF.get(snake_name(member["name"]))
        try:
            value = str(json.loads(member["value"]))
        except ValueError:  # a lone escape, which no id has
            return member[0]
        new = known.get((family or "", value))
        if new is None:
            return member[0]
        is_number = not member["value"].startswith('"') and new.isdecimal()
        return member["start"] + (new if is_number else json.dumps(new))

    def _home(self, family: str) -> "Bindings":
        return self if self._shared is None or family == "message" else self._shared


def _ids_in(text: str) -> Iterator[tuple[str, str]]:
    for member in _MEMBER.finditer(text):
        family = FAMILY_OF.get(snake_name(member["name"]))
        if family is not None:
            yield family, member["value"].strip('"')


_MEMBER = re.compile(r'(?P<start>"(?P<name>[A-Za-z_-]{1,32})"\s*:\s*)(?P<value>"(?:[^"\\]|\\.)*"|\d+(?![\d.eE]))')

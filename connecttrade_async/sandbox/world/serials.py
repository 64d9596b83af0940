"""The world's serials: ids and secrets that are always the same and never twice the same."""

import hashlib
from collections import Counter

__all__ = ["IdGenerator"]


class IdGenerator:
    """Draws ids that depend on what they are for, and not on what else was drawn in between."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn: Counter[tuple[str, ...]] = Counter()

    def draw(self, *words: str) -> str:
        """Forty hex digits that depend on the seed, on the words, and on how often the same words were drawn before."""
        text = "/".join((str(self._seed), str(self._drawn[words]), *words))
        self._drawn[words] += 1
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]

"""The world's dice: numbers that look thrown and depend on a salt and a place alone, so that each can be asked for."""

import hashlib
from collections import Counter
from random import Random

__all__ = ["IdGenerator", "salt_of", "stir"]


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


_MASK = (1 << 64) - 1


def salt_of(seed: str) -> int:
    """The salt that a seed stands for."""
    return Random(seed).getrandbits(64)  # noqa: S311  a pretend market needs no secrecy


def stir(salt: int, place: int) -> int:
    """Sixty-four bits that only salt and place decide: both stirred until no pattern is left."""
    mixed = (salt + place * 0x9E3779B97F4A7C15) & _MASK
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
    return mixed ^ (mixed >> 31)

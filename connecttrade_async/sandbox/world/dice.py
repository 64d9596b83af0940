"""The world's dice: numbers that look thrown and depend on a salt and a place alone, so that each can be asked for."""

from random import Random

__all__ = ["salt_of", "stir"]

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

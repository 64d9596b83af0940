"""The sandbox: Connect Trade has none, so this is one, with real HTTP on loopback and a world that is seeded.

It stands alone on the far side of the wire and imports nothing else of this package, so that it cannot share a
mistake with the client.
"""

from .server import Sandbox
from .spellings import Spellings

__all__ = ["Sandbox", "Spellings"]

"""The asyncio-native client for Connect Trade."""

__version__ = "0.1.0"

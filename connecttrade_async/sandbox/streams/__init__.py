"""The sandbox's two WebSocket streams."""

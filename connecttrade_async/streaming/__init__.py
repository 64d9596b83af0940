"""Streams over a WebSocket: frames, protocol, supervision, and fan-out to subscriptions."""

"""The wing that tells: one WebSocket at the bottom, what users hold at the top."""

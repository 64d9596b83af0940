"""The wing that asks: one HTTP exchange at the bottom, what users hold at the top."""

"""Below the waterline: the room of what is true now."""

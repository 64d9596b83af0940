"""Live accounts: books that follow the stream, and the snapshots that repair them."""

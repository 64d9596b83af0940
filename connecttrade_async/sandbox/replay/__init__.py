"""The replay: serves a recorded conversation over real sockets."""

"""Recordings of a client's traffic: taps on the connections, redaction, and the file."""

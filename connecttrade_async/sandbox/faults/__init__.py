"""Faults that tests inject into the sandbox."""

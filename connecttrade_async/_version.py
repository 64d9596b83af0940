"""The version of the package, in a module of its own that hatch and the client read without the package."""

__version__ = "0.1.0"

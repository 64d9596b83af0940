"""The control path of the sandbox over HTTP."""

"""The dialect of the server: every assumed name and form of the wire as data, with its rules and templates."""

"""The forms of the REST answers."""

import msgspec

__all__ = ["RestForms"]


class RestForms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forms of the REST answers. The default is the form that the wire contract assumes."""

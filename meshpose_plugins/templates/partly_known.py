"""Dataclasses of which not everything needs to be known."""

from __future__ import annotations


class PartlyKnown:
    """A dataclass with fields that may be unknown; asking for one that is says so.

    An unknown field is stored as None, and reading it is a ValueError that names the object and the field:
    whoever needs the field gets a clear message, without a check of his own. Who can do without it asks
    :meth:`knows` first.

    Attributes:
        _needed_for: field that may be unknown -> what needs it, or what to do about it, for the message.
    """

    _needed_for: dict = {}

    def __getattribute__(self, name: str):
        value = super().__getattribute__(name)
        if value is None and name in type(self)._needed_for:
            raise ValueError(f'{self!r} has no {name}: {type(self)._needed_for[name]}')
        return value

    def knows(self, *fields: str) -> bool:
        """Whether all of the named fields are known."""
        return all(vars(self)[field] is not None for field in fields)

    def replace(self, **changes):
        """A copy with some fields changed; ``dataclasses.replace`` stumbles over unknown ones."""
        fields = {name: vars(self)[name] for name, field in self.__dataclass_fields__.items() if field.init}
        return type(self)(**{**fields, **changes})

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"{kind} '{vars(self)['name']}'" if 'name' in vars(self) else kind

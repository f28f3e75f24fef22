"""Old shapes of events reach today's by pure steps, `(type, schema n) -> n+1`; stored entries are never rewritten.

An event whose shape changes gets the next schema number and an upcaster from the one before; both stay for ever, for
a log is read for years. A new field with a default needs neither (`values.added`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from .errors import NotEncodable

Data = dict[str, Any]
Upcaster = Callable[[Data], Data]
"""From an event's own data of one schema number to that of the next. Pure: no clock, no ids, nothing but its input."""
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""Of each type and the number that it has been; the format of release 0.1.0 is number 1 throughout."""
FIRST = 1


def current(kind: str, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> int:
    """The schema number that this release writes for the type."""
    return max([FIRST, *(number + 1 for name, number in upcasters if name == kind)])


def upcast(fields: Mapping[str, Any], upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> dict[str, Any]:
    """The entry's fields with its event in today's shape; the same again for one that has it.

    Raises `NotEncodable` for a number that no step leads on from, or that this release does not know yet.
    """
    kind, number, data = fields.get("type"), fields.get("schema"), fields.get("data")
    if not isinstance(kind, str) or type(number) is not int or not isinstance(data, dict):
        raise NotEncodable("The entry names no event with a schema number.", fix="Verify the log: the row was altered.")
    newest = current(kind, upcasters)
    if number > newest:
        raise NotEncodable(
            f"The event {kind!r} has schema {number}; this release knows {newest}.",
            fix="A newer release wrote it: install that release or a later one.",
        )
    while number < newest:
        step = upcasters.get((kind, number))
        if step is None:
            raise NotEncodable(
                f"Nothing leads on from schema {number} of {kind!r}.", fix="Report this: a release has lost a step."
            )
        data, number = step(dict(data)), number + 1
    return {**fields, "schema": newest, "data": data}

"""What every frozen shape has in common, and the small types that shapes are made of."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, NewType, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
)
from pydantic_core import CoreSchema

ConversationId = NewType("ConversationId", str)
"""Names one conversation and its stream: a random UUID, never derived from a person."""
SubjectId = NewType("SubjectId", str)
"""A pseudonym for the person whom payloads are about; the mapping to a person lives elsewhere."""

ActorId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
"""A pseudonym: who it is stands elsewhere."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hexadecimal."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
"""An identifier of the flow language: ASCII letters, digits and underscores, at most 64."""
Decimal6 = Annotated[str, Field(pattern=r"^-?[0-9]{1,12}\.[0-9]{6}$")]
"""A number in fixed notation with six decimals: the log holds no floats."""

MAX_SAFE_INTEGER = 2**53 - 1
SafeInt = Annotated[int, Field(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
MAX_SECONDS = 315_360_000
"""Ten years: no deadline is longer, so that adding one to a time never leaves the calendar."""
Seconds = Annotated[int, Field(ge=1, le=MAX_SECONDS)]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]


def added(default: Any) -> Any:
    """A field that a shape got after its first release: absent from bytes and digests while it has its default."""
    return Field(default=default, exclude_if=lambda value: value == default)


class Value(BaseModel):
    """A frozen shape: validated once where it enters, trusted afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="strings")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Fields are kept, and so written, in the order of their names: the order of RFC 8785."""
        schema = handler(source)
        part: Any = schema
        while part is not None and part.get("type") != "model-fields":
            part = part.get("schema")
        if part is not None:
            part["fields"] = dict(sorted(part["fields"].items()))
        return schema

    def canonical_bytes(self, *, without: str = "") -> bytes:
        """The shape as RFC 8785 JSON, without the fields that are None and the one named.

        Raises `ValueError` for a lone surrogate; our types admit nothing else that JSON cannot hold.
        """
        return self.__pydantic_serializer__.to_json(self, exclude_none=True, exclude={without} if without else None)

    def changed(self, **changes: object) -> Self:
        """A copy with `changes`, validated again; an unknown name or a wrong type is refused."""
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**kept, **changes})


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; use datetime.now(timezone.utc)")
    return moment.astimezone(UTC)


def written_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, always 27 characters, so that text order is time order."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def _read_time(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


Instant = Annotated[
    datetime,
    BeforeValidator(_read_time),
    AfterValidator(_aware),
    PlainSerializer(written_time, return_type=str),
]
"""An aware moment in UTC; a naive one is refused."""


def fixed(number: float) -> str:
    """`number` as `Decimal6`. Infinities and NaN are refused."""
    text = f"{number:.6f}"
    if not re.fullmatch(r"-?[0-9]{1,12}\.[0-9]{6}", text):
        raise ValueError(f"{number!r} cannot be written with six decimals")
    return "0.000000" if text == "-0.000000" else text


_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def printable(text: object, limit: int = 100) -> str:
    """`text` made safe for an envelope: printable ASCII, at most `limit` characters."""
    return _UNPRINTABLE.sub("?", str(text))[:limit]


def listed(names: Iterable[object], empty: str = "none") -> str:
    """Names for an error message: quoted, in order, never an endless line."""
    shown = [repr(name) for name in names]
    if not shown:
        return empty
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")

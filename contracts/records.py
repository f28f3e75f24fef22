"""Records: what the log says of itself, in entries of their own that stand in the tree beside the conversations'.

```
{"at":"2026-11-21T09:00:00.000000Z","data":{...},"log":"<origin>","prev":"<leaf>"|absent,
 "record":3,"schema":1,"type":"heads_taken","v":1}
```

They are chained among themselves by `prev`, as a conversation's entries are, and belong to no conversation.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from .canonical import canonical, parsed
from .envelope import FORMAT
from .errors import NotEncodable
from .keeping import Act
from .values import Count, Digest, Instant, Value, written_time

RECORDS = ""
"""What stands in a leaf in the place of the conversation: no conversation has an empty name."""


class HeadsTaken(Value):
    """Where every conversation ends, as of the tree's first `leaves` leaves: the root of the map of heads."""

    type: Literal["heads_taken"] = "heads_taken"
    root: Digest
    conversations: Count
    leaves: Count


class KeyRotated(Value):
    """From here on the log signs with another key. `statement` is a note that names both and that both have signed."""

    type: Literal["key_rotated"] = "key_rotated"
    statement: str


AnyRecord = HeadsTaken | KeyRotated | Act
_RECORD: TypeAdapter[AnyRecord] = TypeAdapter(Annotated[AnyRecord, Field(discriminator="type")])


class RecordEnvelope(Value):
    """The record's fields around its own `data`."""

    v: Literal[1]
    log: str
    record: Count
    type: str
    schema_number: Literal[1] = Field(alias="schema")
    at: Instant
    prev: Digest | None = None
    data: dict[str, Any]


def record_bytes(record: AnyRecord, *, number: int, at: datetime, log: str, previous: bytes) -> bytes:
    """The entry: record `number` (from 0) of the log, behind the one whose leaf is `previous` (empty for the first)."""
    fields = {
        "at": written_time(at),
        "data": record.model_dump(mode="json", exclude={"type"}, exclude_none=True),
        "log": log,
        "record": number,
        "schema": 1,
        "type": record.type,
        "v": FORMAT,
    }
    return canonical(fields | ({"prev": previous.hex()} if previous else {}))


def record_of(entry: bytes) -> tuple[RecordEnvelope, AnyRecord]:
    """The record that an entry stands for. Raises `NotEncodable` for anything else."""
    try:
        envelope = RecordEnvelope.model_validate_json(canonical(parsed(entry)))
        return envelope, _RECORD.validate_json(canonical({**envelope.data, "type": envelope.type}))
    except ValidationError as error:
        raise NotEncodable(
            f"The entry is no known record: {error.errors(include_url=False, include_input=False)[0]['type']}.",
            fix="Verify the log; if it verifies, a newer release wrote the record.",
        ) from error

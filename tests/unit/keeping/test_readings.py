"""Who reads texts stands in the log before they read: one record a reading, none missing."""

import re
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from interlock.contracts.keeping import TextsRead
from interlock.contracts.payload import Payload, PayloadAt
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.journal import Journal
from support.evidence import filled
from support.keys import KNOWN
from support.source_tree import ROOT
from support.tampering import as_administrator

UNRECORDED = {
    "cli/bundling.py": "names of texts, to refuse a wrong one; what is written out is recorded by `noted_reading`",
    "cli/comparing.py": "compared, and shown to nobody; `texts_seen` where a person is to see them",
    "cli/demo_play.py": "the demo's own conversations, as they are played",
    "cli/history.py": "of an archive, whose reading was recorded in the log the line before",
    "cli/routing_again.py": "scored again; no word of them is printed",
    "cli/storm.py": "the exercise's own conversations, as they are played",
}
"""Where a command decrypts texts without a record of its own, and why no person reads them there."""


class Counting(SqliteStore):
    """A store that knows how often texts were decrypted, and how many records there were at that time."""

    decrypted: list[tuple[str, int]]

    def payloads(self, stream: str, **given: Any) -> dict[PayloadAt, Payload]:
        if not hasattr(self, "decrypted"):
            self.decrypted = []
        self.decrypted.append((stream, self.tree().last_record()[0]))
        return super().payloads(stream, **given)


def read_often(path: Path, readings: int) -> None:
    """So many readings of conversations in any order: the records are those readings, each written before."""
    random = Random(readings)
    with closing(Counting(path, master=KNOWN)) as store:
        streams, journal = filled(store, 5), Journal(store)
        asked = [random.choice(streams) for _ in range(readings)]
        for number, stream in enumerate(asked):
            journal.read_texts(stream, by=f"person{number % 7}", through="service", ground=f"case {number}")
        assert store.decrypted == [(stream, number + 1) for number, stream in enumerate(asked)]
        noted = [one.act for one in journal.acts()]
    assert [(one.conversation, one.by, one.ground) for one in noted if isinstance(one, TextsRead)] == [
        (stream, f"person{number % 7}", f"case {number}") for number, stream in enumerate(asked)
    ]
    assert len(noted) == readings


def test_each_reading_is_one_record(tmp_path: Path) -> None:
    read_often(tmp_path / "log.db", 200)


@pytest.mark.full
def test_each_of_ten_thousand_readings_is_one_record(tmp_path: Path) -> None:
    """The target of the requirement table: 0 of 10,000 missing."""
    read_often(tmp_path / "log.db", 10_000)


def test_a_reading_that_cannot_be_recorded_decrypts_nothing(tmp_path: Path) -> None:
    """The control: where records are refused, no text is decrypted."""
    path = tmp_path / "log.db"
    with closing(Counting(path, master=KNOWN)) as store:
        stream = filled(store, 1)[0]
    with as_administrator(path) as connection:
        connection.execute("CREATE TRIGGER no_record BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'full'); END")
    with closing(Counting(path, master=KNOWN)) as store:
        with pytest.raises(Exception, match="full"):
            Journal(store).read_texts(stream, by="carl", through="log")
        assert not hasattr(store, "decrypted")


def test_every_command_that_decrypts_records_it_or_says_why_not() -> None:
    """A new way to texts is found here: it goes through `texts_seen`, or stands in the table."""
    found = Counter(
        file.relative_to(ROOT).as_posix()
        for file in sorted((ROOT / "cli").rglob("*.py"))
        for _ in re.finditer(r"\.payloads\(", file.read_text("utf-8"))
    )
    assert found == dict.fromkeys(UNRECORDED, 1)

"""Random changes of a database: every one of what is evidence is found, and none of them is a traceback.

The log holds something of everything (`support.small_log`); the oracle (`support.mutated`) reads rows with plain SQL.
"""

from collections.abc import Iterator
from random import Random

import pytest

from interlock.persistence.evidence.checking import Outside
from support.judged import Honest, honest, tallied, without_a_check
from support.mutated import EVIDENCE, NOT_EVIDENCE, closed, evidence, mutated, opened

CHUNKS = 100


@pytest.fixture(scope="module")
def log() -> Iterator[Honest]:
    with honest() as found:
        yield found


def test_an_honest_database_raises_no_alarm(log: Honest) -> None:
    """As it was written, and as SQLite writes the same rows again."""
    assert log.verdict(log.file) == ("equal", "")
    connection = opened(log.file)
    connection.execute("VACUUM")
    connection.execute("ANALYZE")
    again = closed(connection)
    assert again != log.file
    assert log.verdict(again) == ("equal", "")


def test_the_log_has_rows_in_every_table(log: Honest) -> None:
    """A table without rows would be one whose changes are not tried; every table is evidence, or says why not."""
    connection = opened(log.file)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*EVIDENCE, *NOT_EVIDENCE}
    assert [name for name in tables if not connection.execute(f"SELECT 1 FROM {name}").fetchone()] == []


def test_every_changed_row_and_schema_is_found(log: Honest) -> None:
    found = tallied(log, range(120), raw=False)
    assert found.wrong == []
    assert found.counts["detected"] > 60


def test_every_changed_byte_that_is_evidence_is_found(log: Honest) -> None:
    found = tallied(log, range(100), raw=True)
    assert found.wrong == []
    assert found.counts["equal"]


@pytest.mark.full
@pytest.mark.parametrize("raw", [False, True], ids=["rows", "bytes"])
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_change_is_found_in_100000(log: Honest, chunk: int, raw: bool, record_property) -> None:
    """100 times 500 of rows and of bytes; the report (`--junitxml`) says how many came to which verdict."""
    found = tallied(log, range(1_000_000 + 500 * chunk, 1_000_000 + 500 * (chunk + 1)), raw=raw)
    for verdict, count in found.counts.items():
        record_property(verdict, count)
    assert found.wrong == []


# -- controls: what must be missed where a check is not made ------------------------------------------------


def test_without_what_is_kept_beside_the_key_a_deleted_newest_checkpoint_is_missed(log: Honest) -> None:
    """The tree is still whole, so only who remembers that more was signed can say so."""
    connection = opened(log.file)
    connection.executescript("DROP TRIGGER checkpoint_refuses_delete")
    connection.execute("DELETE FROM cosignature")
    made = "CREATE TRIGGER checkpoint_refuses_delete BEFORE DELETE ON checkpoint "
    connection.execute("DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)")
    connection.execute(made + "BEGIN SELECT RAISE(ABORT, 'checkpoint is append-only: no DELETE'); END")
    file = closed(connection)
    assert without_a_check(log, remembered=None).verdict(file) == ("weaker", "")
    verdict, why = log.verdict(file)
    assert verdict == "detected"
    assert why.endswith("was in the log, as stands beside the signing key, and is there no more: it was deleted.")


def test_a_row_in_meta_that_no_release_writes_is_named(log: Honest) -> None:
    """The log's name is all that is there; another value of that is found in every entry."""
    unknown = "The table meta holds 'trust', which no release of Interlock writes: somebody put it there."
    for change, said in (
        ("INSERT INTO meta VALUES ('trust', 'everybody')", unknown),
        ("UPDATE meta SET value = 'other'", "The entry says log 'log.example/small', the database 'other'."),
    ):
        connection = opened(log.file)
        made = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'meta_refuses_update'").fetchone()[0]
        connection.execute("DROP TRIGGER meta_refuses_update")
        connection.execute(change)
        connection.execute(made)
        assert log.verdict(closed(connection)) == ("detected", said)


def test_a_rewritten_log_is_missed_without_the_key(log: Honest) -> None:
    """Chained again and with a tree of its own: the chain alone finds nothing, and the oracle says so."""
    knows_nothing = without_a_check(log, keys=(), policy=Outside().policy, remembered=None, expected=False)
    assert knows_nothing.verdict(log.file)[0] == "equal"
    connection = opened(log.file)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE checkpoint SET note = replace(note, '— log', '— lug')")
    for _, made in triggers:
        connection.execute(made)
    file = closed(connection)
    assert knows_nothing.verdict(file) == ("missed", "checkpoint")
    assert log.verdict(file)[0] == "detected"


def test_the_same_seed_makes_the_same_change(log: Honest) -> None:
    """So that a change that was missed can be tried again on the same file."""
    for raw in (False, True):
        first, again = (mutated(log.file, Random(7), raw=raw) for _ in range(2))
        assert first == again
        assert evidence(first[0]) == evidence(again[0])

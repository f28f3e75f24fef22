"""The migrations give what the tables say, and nothing else."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from interlock.contracts.errors import SetupError, StorageError
from interlock.persistence import migrations
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.settings import refuse_old_sqlite
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.tables import METADATA
from interlock.persistence.triggers import ON_SQLITE
from support.postgres import database

SCHEMA = text("SELECT name, sql FROM sqlite_master WHERE sql <> ''")


def test_the_migrations_equal_the_tables(tmp_path: Path):
    """A database that was migrated has every table, column, index and key of the metadata, and no more."""
    SqliteStore(tmp_path / "log.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'log.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        found = inspect(connection)
        for name, table in METADATA.tables.items():
            keyed = {tuple(key["constrained_columns"]) for key in found.get_foreign_keys(name)}
            assert keyed == {tuple(key.column_keys) for key in table.foreign_key_constraints}
        written = {name: sql for name, sql in connection.execute(SCHEMA)}  # noqa: C416 - rows, not pairs
    engine.dispose()
    made = create_engine("sqlite://")
    METADATA.create_all(made)
    with made.connect() as connection:
        declared = {name: sql for name, sql in connection.execute(SCHEMA)}  # noqa: C416
    made.dispose()
    assert {name for name in written if name not in declared} == ON_SQLITE.keys() | {"alembic_version"}
    for name, sql in declared.items():
        assert ("WHERE" in sql, sql.rstrip().endswith("STRICT")) == (
            "WHERE" in written[name],
            written[name].rstrip().endswith("STRICT"),
        ), name


def test_a_difference_would_be_found(tmp_path: Path):
    """The control: a dropped index and a new column are both reported."""
    SqliteStore(tmp_path / "log.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'log.db'}")
    with engine.connect() as connection:
        connection.execute(text("DROP INDEX ix_timer_due"))
        connection.execute(text("ALTER TABLE conversation ADD COLUMN mood TEXT"))
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert {change[0] for change in compare_metadata(context, METADATA)} == {"add_index", "remove_column"}
    engine.dispose()


def test_the_known_revisions_are_the_files():
    """The list that spares an import of Alembic is the list that Alembic finds."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == migrations.HEAD
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == migrations.REVISIONS


def test_a_migration_that_was_cut_off_leaves_nothing(tmp_path: Path):
    """All revisions run in one transaction: a crash in it leaves a file that the next start migrates."""
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE event (id INTEGER)")  # and the process dies here
    with closing(SqliteStore(path)) as store:
        assert store.describe().missing_triggers == ()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_a_revision_that_was_set_back_is_said(tmp_path: Path, revision: str):
    """Its tables are there: nothing is changed, and once the revision is as it was the log opens."""
    path = tmp_path / "log.db"
    SqliteStore(path).close()
    for said in (revision, migrations.HEAD):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (said,))
        if said == migrations.HEAD:
            SqliteStore(path).close()
            return
        with pytest.raises(StorageError) as refused:
            SqliteStore(path)
        assert refused.value.what == (
            f"The database says that its schema is {revision!r}, and has tables of a later one: somebody set "
            "`alembic_version` back."
        )
        assert "Nothing was changed." in refused.value.fix


def test_a_revision_that_was_set_back_is_said_on_postgresql():
    with database() as url:
        PostgresStore(url).close()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0002'")
        with pytest.raises(
            StorageError, match="The database says that its schema is '0002', and has tables of a later"
        ):
            PostgresStore(url)


def test_a_log_of_an_older_schema_is_brought_to_this_ones(tmp_path: Path):
    """A file that the first release made keeps its name and rows, and gets the tables that came later."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path)) as store:
        origin = store.log
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        later = (
            "tenant_day",
            "reservation",
            "leaf",
            "record",
            "head",
            "head_node",
            "checkpoint",
            "cosignature",
            "anchor",
            "data_key",
            "archived",
        )
        connection.execute("DROP TRIGGER event_refuses_archived")
        for table in later:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    with closing(SqliteStore(path)) as store:
        assert (store.log, store.describe().schema) == (origin, migrations.HEAD)
        assert store.reservations() == ()
    test_the_migrations_equal_the_tables(tmp_path)


def test_an_old_sqlite_is_refused():
    """A release without STRICT tables says so before it touches the file."""
    with pytest.raises(SetupError) as refused:
        refuse_old_sqlite((3, 37, 2))
    assert refused.value.what == "SQLite 3.37.2 is too old for the log; it needs 3.38."
    refuse_old_sqlite((3, 38, 0))

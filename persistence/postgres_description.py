"""The PostgreSQL database as it is now, for an operator to read."""

from collections.abc import Mapping

from sqlalchemy import text

from . import statements as sql
from .description import Description
from .postgres_connection import PostgresConnection
from .statements import compiled
from .triggers import ON_POSTGRES, SCRUB, TABLES, digest_of, guards

_PRESENT = compiled(
    text("""
    SELECT tgname, concat_ws(' ', relname, tgtype, tgqual IS NULL, tgnargs, array_to_string(tgattr, ','),
        tgconstraint = 0, lanname, prosecdef,
        proconfig = ARRAY['search_path=' || quote_ident(current_schema()) || ', pg_temp'], prosrc)
    FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    JOIN pg_proc ON pg_proc.oid = tgfoid
    JOIN pg_language ON pg_language.oid = prolang
    WHERE NOT tgisinternal AND tgenabled = 'A' AND relnamespace = current_schema()::regnamespace
        AND relname IN ('event', 'flow', 'meta', 'leaf', 'record', 'checkpoint', 'archived')
""")
)
"""One that does not fire always, as for replicas it must, counts as missing: the owner changed it. Its function looks
in the log's schema, and at a session's own tables last."""
_ALL = compiled(
    text("""
    SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace ORDER BY relname, tgname
""")
)
_SCRUB = compiled(
    text("""
    SELECT concat_ws(' ', lanname, prosecdef,
        proconfig = ARRAY['search_path=' || quote_ident(current_schema()) || ', pg_temp'], prosrc)
    FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
    WHERE proname = 'interlock_scrub' AND pronamespace = current_schema()::regnamespace
""")
)
_KINDS = compiled(
    text(
        "SELECT relname, relkind::text, relpersistence::text FROM pg_class "
        "WHERE relnamespace = current_schema()::regnamespace ORDER BY relname"
    )
)
_RULES = compiled(
    text("SELECT rulename, tablename FROM pg_rules WHERE schemaname = current_schema() ORDER BY tablename, rulename")
)
_HIDDEN = compiled(
    text(
        "SELECT relname FROM pg_class WHERE relrowsecurity AND relnamespace = current_schema()::regnamespace "
        "ORDER BY relname"
    )
)
_SERVER = compiled(
    text("SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')")
)
CLOCK = compiled(text("SELECT clock_timestamp()"))
MAY_SEQUENCE = compiled(
    text(
        "SELECT has_table_privilege('leaf', 'INSERT') AND has_table_privilege('checkpoint', 'INSERT') "
        "AND has_table_privilege('pending', 'DELETE')"
    )
)
_SIZE = compiled(text("SELECT pg_database_size(current_database())"))


def unlike_ours(connection: PostgresConnection) -> list[str]:
    """What stands in the place of the log's tables, or acts on them and is no trigger: views, tables that a crash
    empties, rules, policies that hide rows, and another way of erasing."""
    kinds = {str(name): (str(kind), str(how)) for name, kind, how in connection.run(_KINDS)}
    scrub = [digest_of(str(said)) for (said,) in connection.run(_SCRUB)]
    rules = [(str(name), str(table)) for name, table in connection.run(_RULES) if table in TABLES]
    hidden = [str(table) for (table,) in connection.run(_HIDDEN) if table in TABLES]
    return [
        *(f"The table {name} is not there: {_instead(kinds.get(name))}." for name in _not_tables(kinds)),
        *(
            f"Somebody made the table {name} unlogged: it is emptied by a crash of the server."
            for name in sorted(TABLES & kinds.keys())
            if kinds[name][1] == "u"
        ),
        *(["Somebody replaced the function by which erased texts leave the files."] if scrub != [SCRUB] else []),
        *(
            f"Somebody put the rule {name} on the table {table}, which may drop or change rows."
            for name, table in rules
        ),
        *(f"Somebody switched on row security for the table {table}, which hides rows." for table in hidden),
    ]


def _not_tables(kinds: Mapping[str, tuple[str, str]]) -> list[str]:
    return sorted(name for name in TABLES if kinds.get(name, ("", ""))[0] != "r")


def _instead(found: tuple[str, str] | None) -> str:
    return "nothing has its name" if found is None else "somebody put something else in its place, such as a view"


def _theirs(connection: PostgresConnection) -> tuple[str, ...]:
    """The triggers on the log's tables that no release made. Ours are called after their table; PostgreSQL lets another
    table have one of the same name."""
    rows = [(str(name), str(table)) for name, table in connection.run(_ALL) if table in TABLES]
    return tuple(name for name, table in rows if name not in ON_POSTGRES or not name.startswith(f"{table}_"))


def described(connection: PostgresConnection) -> Description:
    found = guards(ON_POSTGRES, dict(tuple(row) for row in connection.run(_PRESENT)))
    version, fsync, synchronous = connection.run(_SERVER)[0]
    return Description(
        path=connection.where,
        log=connection.log,
        engine=f"PostgreSQL {version}",
        schema=str(connection.run(sql.REVISION)[0][0]),
        durable=fsync == "on" and synchronous not in ("off", "local"),
        durability=f"fsync {fsync}, synchronous_commit {synchronous}",
        triggers=found.present,
        missing_triggers=found.missing,
        altered_triggers=found.altered,
        foreign_triggers=_theirs(connection),
        counts={
            name: int(connection.run(statement)[0][0])
            for name, statement in sql.COUNTS.items()
            if connection.reads_texts or name not in sql.OF_TEXTS
        },
        bytes_on_disk=int(connection.run(_SIZE)[0][0]),
    )

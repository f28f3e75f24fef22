"""The PostgreSQL database as it is now, for an operator to read."""

from sqlalchemy import text

from . import statements as sql
from .description import Description
from .postgres_connection import PostgresConnection
from .statements import compiled

TRIGGERS = frozenset(
    {
        *(
            f"{table}_refuses_{act}"
            for table in ("event", "flow", "meta", "leaf", "record", "checkpoint")
            for act in ("change", "truncate")
        ),
        *(f"{table}_refuses_gap" for table in ("event", "leaf", "record")),
        "event_waits",
        "leaf_placed",
    }
)
"""What the migrations create; one that is missing, or holds no more for replicas, was changed by the owner."""

_PRESENT = compiled(
    text(
        "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE NOT tgisinternal AND tgenabled = 'A' AND relnamespace = current_schema()::regnamespace ORDER BY tgname"
    )
)
_SERVER = compiled(
    text("SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')")
)
_SIZE = compiled(text("SELECT pg_database_size(current_database())"))


def described(connection: PostgresConnection) -> Description:
    present = tuple(name for (name,) in connection.run(_PRESENT))
    version, fsync, synchronous = connection.run(_SERVER)[0]
    return Description(
        path=connection.where,
        log=connection.log,
        engine=f"PostgreSQL {version}",
        schema=str(connection.run(sql.REVISION)[0][0]),
        durable=fsync == "on" and synchronous not in ("off", "local"),
        durability=f"fsync {fsync}, synchronous_commit {synchronous}",
        triggers=present,
        missing_triggers=tuple(sorted(TRIGGERS - set(present))),
        counts={name: int(connection.run(statement)[0][0]) for name, statement in sql.COUNTS.items()},
        bytes_on_disk=int(connection.run(_SIZE)[0][0]),
    )

"""PostgreSQL: the log's functions look at the log's own tables, whatever a session calls its tables.

A table that a session makes for itself stands before those of a schema, unless a function says otherwise: then its
triggers, and what they ask of rights, would be told by it. And what the app adds by itself is looked at before it is
there for good: only a commit leaves a row in `pending`, no entry is of a stream without a name, and a record that texts
were read is exactly one.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PENDING = """
ALTER FUNCTION interlock_waits() SECURITY DEFINER;
REVOKE INSERT ON pending FROM interlock_app;
ALTER TABLE event ADD CONSTRAINT event_stream_named CHECK (stream <> '') NOT VALID;
"""
READINGS = """
CREATE OR REPLACE FUNCTION interlock_record_refuses_others() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    said jsonb; act jsonb; before bytea;
BEGIN
    IF has_table_privilege('leaf', 'INSERT') THEN
        RETURN NEW;  -- the sequencer, who keeps every record
    END IF;
    IF NEW.type IS DISTINCT FROM 'texts_read' THEN
        RAISE EXCEPTION 'permission denied for table record' USING ERRCODE = 'insufficient_privilege';
    END IF;
    said := convert_from(NEW.entry, 'UTF8')::jsonb;
    act := said -> 'data';
    before := (SELECT leaf FROM record WHERE number = NEW.number - 1);
    IF convert_from(NEW.entry, 'UTF8') IS DISTINCT FROM (
        '{{"at":' || to_json(NEW.at) || ',"data":{{"by":' || to_json(act ->> 'by')
        || ',"conversation":' || to_json(act ->> 'conversation') || ',"ground":' || to_json(act ->> 'ground')
        || ',"through":' || to_json(act ->> 'through') || '}},"log":'
        || to_json((SELECT value FROM meta WHERE name = 'log'))
        || CASE WHEN before IS NULL THEN '' ELSE ',"prev":"' || encode(before, 'hex') || '"' END
        || ',"record":' || NEW.number || ',"schema":1,"type":"texts_read","v":1}}'
    )
        OR NEW.leaf IS DISTINCT FROM sha256('\\x00'::bytea || NEW.entry)
        OR NEW.at !~ '^[0-9]{{4}}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9][.][0-9]{{6}}Z$'
        OR act ->> 'by' !~ '^[!-~]{{1,128}}$' OR length(act ->> 'ground') > {ground}
        OR act ->> 'ground' ~ '[\\x01-\\x1f\\x7f]'
        OR act ->> 'through' NOT IN ({through})
    THEN
        RAISE EXCEPTION 'record: this is no reading of texts' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
"""
PATHS = """
DO $$ DECLARE one regprocedure; BEGIN
    FOR one IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'interlock\\_%'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
    END LOOP;
END $$;
"""
"""With `pg_temp` at the end: where it is not named, it comes first."""
THROUGH = ("log", "chat", "tasks", "export", "compare", "route", "service")
GROUND = 200


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(PENDING)
    op.get_bind().exec_driver_sql(READINGS.format(ground=GROUND, through=", ".join(f"'{one}'" for one in THROUGH)))
    op.execute(PATHS)


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

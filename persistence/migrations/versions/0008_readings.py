"""PostgreSQL: who talks to people records that texts were read, without the sequencer's other rights.

A reading is recorded before the texts are shown, so whoever may read them must be able to record that; nothing else,
for the other records say what was erased, held and pruned.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

READINGS = """
CREATE FUNCTION interlock_record_refuses_others() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT has_table_privilege('leaf', 'INSERT') AND (
        NEW.type IS DISTINCT FROM 'texts_read'
        OR (convert_from(NEW.entry, 'UTF8')::jsonb ->> 'type') IS DISTINCT FROM 'texts_read'
    ) THEN
        RAISE EXCEPTION 'permission denied for table record' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER record_refuses_others BEFORE INSERT ON record
    FOR EACH ROW EXECUTE FUNCTION interlock_record_refuses_others();
ALTER TABLE record ENABLE ALWAYS TRIGGER record_refuses_others;
GRANT INSERT ON record TO interlock_app;
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(READINGS)


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

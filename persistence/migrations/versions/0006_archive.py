"""Archives: whose entries were pruned, and triggers that let these entries go, and no others.

An entry may be deleted where its conversation stands in `archived` and its leaf in the tree; a conversation may
stand there where a record of the log says so, under a signed checkpoint. Nothing comes back: rows of `archived` are
neither changed nor deleted, and their conversations take no entry more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

RECORDED = """
    EXISTS (
        SELECT 1 FROM record JOIN leaf ON leaf.stream = '' AND leaf.version = record.number
        JOIN checkpoint ON checkpoint.size > leaf.position
        WHERE record.number = NEW.record AND record.type = 'segment_pruned')
    AND EXISTS (
        SELECT 1 FROM leaf WHERE leaf.stream = NEW.stream AND leaf.version = NEW.length - 1 AND leaf.hash = NEW.leaf)
    AND NOT EXISTS (SELECT 1 FROM event WHERE event.stream = NEW.stream AND event.version >= NEW.length)
"""
"""A record of the log says that entries are pruned, a signed checkpoint covers it, and the conversation ends so."""
MAY_GO = """
    EXISTS (
        SELECT 1 FROM archived JOIN leaf ON leaf.stream = OLD.stream AND leaf.version = OLD.version
        WHERE archived.stream = OLD.stream AND OLD.version < archived.length AND leaf.hash = OLD.leaf)
"""

ON_SQLITE = (
    "DROP TRIGGER event_refuses_delete",
    f"""
    CREATE TRIGGER event_refuses_delete BEFORE DELETE ON event WHEN NOT ({MAY_GO})
    BEGIN SELECT RAISE(ABORT, 'event is append-only: no DELETE'); END
    """,
    """
    CREATE TRIGGER event_refuses_archived BEFORE INSERT ON event
    WHEN EXISTS (SELECT 1 FROM archived WHERE stream = NEW.stream)
    BEGIN SELECT RAISE(ABORT, 'event is append-only: the stream is archived'); END
    """,
    f"""
    CREATE TRIGGER archived_refuses_unrecorded BEFORE INSERT ON archived WHEN NOT ({RECORDED})
    BEGIN SELECT RAISE(ABORT, 'archived: no signed record of the log says so'); END
    """,
    """
    CREATE TRIGGER archived_refuses_update BEFORE UPDATE ON archived
    BEGIN SELECT RAISE(ABORT, 'archived is append-only: no UPDATE'); END
    """,
    """
    CREATE TRIGGER archived_refuses_delete BEFORE DELETE ON archived
    BEGIN SELECT RAISE(ABORT, 'archived is append-only: no DELETE'); END
    """,
    """
    CREATE TRIGGER archived_refuses_replace BEFORE INSERT ON archived
    WHEN EXISTS (SELECT 1 FROM archived WHERE stream = NEW.stream)
    BEGIN SELECT RAISE(ABORT, 'archived is append-only: the row exists'); END
    """,
)

ON_POSTGRES = """
CREATE FUNCTION interlock_event_refuses_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' AND ({may_go}) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'event is append-only: no %', TG_OP USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER event_refuses_change ON event;
CREATE TRIGGER event_refuses_change BEFORE UPDATE OR DELETE ON event
    FOR EACH ROW EXECUTE FUNCTION interlock_event_refuses_change();
ALTER TABLE event ENABLE ALWAYS TRIGGER event_refuses_change;

CREATE FUNCTION interlock_refuses_archived() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM archived WHERE stream = NEW.stream) THEN
        RAISE EXCEPTION 'event is append-only: the stream is archived' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER event_refuses_archived BEFORE INSERT ON event
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_archived();
ALTER TABLE event ENABLE ALWAYS TRIGGER event_refuses_archived;

CREATE FUNCTION interlock_refuses_unrecorded() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT ({recorded}) THEN
        RAISE EXCEPTION 'archived: no signed record of the log says so' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER archived_refuses_unrecorded BEFORE INSERT ON archived
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_unrecorded();
ALTER TABLE archived ENABLE ALWAYS TRIGGER archived_refuses_unrecorded;
CREATE TRIGGER archived_refuses_change BEFORE UPDATE OR DELETE ON archived
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_change();
CREATE TRIGGER archived_refuses_truncate BEFORE TRUNCATE ON archived
    FOR EACH STATEMENT EXECUTE FUNCTION interlock_refuses_change();
ALTER TABLE archived ENABLE ALWAYS TRIGGER archived_refuses_change;
ALTER TABLE archived ENABLE ALWAYS TRIGGER archived_refuses_truncate;

GRANT SELECT ON archived TO interlock_app, interlock_sequencer, interlock_auditor, interlock_eraser;
GRANT SELECT ON leaf, record, checkpoint TO interlock_eraser;
GRANT INSERT ON archived TO interlock_eraser;
GRANT DELETE ON event, conversation, timer TO interlock_eraser;
"""
"""The eraser deletes entries, too: those that a signed record says are archived, and no trigger lets it do more."""


def upgrade() -> None:
    op.create_table(
        "archived",
        sa.Column("stream", TEXT, primary_key=True),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("flow_name", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("started_at", TEXT, nullable=False),
        sa.Column("updated_at", TEXT, nullable=False),
        sa.Column("archive", TEXT, nullable=False),
        sa.Column("record", sa.Integer(), nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_archived_subject", "archived", ["subject"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(ON_POSTGRES.format(may_go=MAY_GO, recorded=RECORDED))
    else:
        for statement in ON_SQLITE:
            op.execute(statement)


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

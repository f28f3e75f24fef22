"""PostgreSQL: what waits for its place in the tree, triggers on the tree, and the roles that share the work.

SQLite needs none of it: one file has one order of commits, and one owner.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PENDING = """
CREATE TABLE pending (
    id BIGINT PRIMARY KEY,
    stream TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    leaf BYTEA NOT NULL
);
CREATE UNIQUE INDEX uq_pending_stream_version ON pending (stream, version);
INSERT INTO pending SELECT id, stream, version, leaf FROM event
    WHERE NOT EXISTS (SELECT 1 FROM leaf WHERE leaf.stream = event.stream AND leaf.version = event.version);
CREATE FUNCTION interlock_waits() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO pending VALUES (NEW.id, NEW.stream, NEW.version, NEW.leaf);
    RETURN NULL;
END $$;
CREATE TRIGGER event_waits AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION interlock_waits();
ALTER TABLE event ENABLE ALWAYS TRIGGER event_waits;
CREATE FUNCTION interlock_placed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM pending WHERE stream = NEW.stream AND version = NEW.version;
    RETURN NULL;
END $$;
CREATE TRIGGER leaf_placed AFTER INSERT ON leaf FOR EACH ROW EXECUTE FUNCTION interlock_placed();
ALTER TABLE leaf ENABLE ALWAYS TRIGGER leaf_placed;
"""
"""Numbers of entries are given before their commit, so a reader of the last number would miss who commits late.
Whoever commits leaves a row here, and the sequencer takes it away when the entry has its place."""

NEXT = """
CREATE FUNCTION interlock_{table}_refuses_gap() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.{column} IS DISTINCT FROM (SELECT coalesce(max({column}), -1) + 1 FROM {table}) THEN
        RAISE EXCEPTION '{table} is append-only: the {column} is not the next' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER {table}_refuses_gap BEFORE INSERT ON {table}
    FOR EACH ROW EXECUTE FUNCTION interlock_{table}_refuses_gap();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuses_gap;
"""
CHANGES = """
CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_change();
CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION interlock_refuses_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuses_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuses_truncate;
"""

ROLES = ("interlock_app", "interlock_sequencer", "interlock_auditor", "interlock_eraser")
MAKE_ROLE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database's migration was first
END $$;
"""
GRANTS = """
GRANT SELECT, INSERT ON event, payload, flow TO interlock_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation, timer, tenant_day, reservation TO interlock_app;
GRANT SELECT ON meta, alembic_version TO interlock_app, interlock_sequencer, interlock_auditor, interlock_eraser;
GRANT SELECT, INSERT ON data_key TO interlock_app;
GRANT INSERT ON pending TO interlock_app;
GRANT USAGE ON SEQUENCE event_id_seq TO interlock_app;
GRANT SELECT ON leaf, record, checkpoint, cosignature, anchor, head, head_node, pending TO interlock_app;
GRANT SELECT ON event, flow, conversation, timer TO interlock_sequencer;
GRANT SELECT, DELETE ON pending TO interlock_sequencer;
GRANT SELECT, INSERT ON leaf, record, checkpoint, cosignature, anchor TO interlock_sequencer;
GRANT SELECT, INSERT, UPDATE ON head, head_node TO interlock_sequencer;
GRANT SELECT ON event, flow, conversation, timer, pending TO interlock_auditor;
GRANT SELECT ON leaf, record, checkpoint, cosignature, anchor, head, head_node TO interlock_auditor;
GRANT SELECT ON event, flow, conversation, timer TO interlock_eraser;
GRANT SELECT, DELETE ON payload, data_key TO interlock_eraser;
"""
"""The app writes the log and never changes it; the sequencer gives places; the auditor reads all but what people
wrote; the eraser deletes that and nothing else. The owner, who runs this, brings the schema to a release."""


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(PENDING)
    for table, column in (("leaf", "position"), ("record", "number")):
        op.execute(NEXT.format(table=table, column=column))
    for table in ("leaf", "record", "checkpoint"):
        op.execute(CHANGES.format(table=table))
    for role in ROLES:
        op.execute(MAKE_ROLE.format(role=role))
    op.execute(GRANTS)


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

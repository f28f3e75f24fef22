"""The log: events, payloads, flows, the projections, and the triggers that keep the log append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""In the order of its bytes on every database."""
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; a strict table of SQLite knows them as INTEGER only."""

APPEND_ONLY = ("event", "flow", "meta")
"""Tables whose rows are neither changed nor deleted, by any connection of any program."""

SAME_ROW = {
    "event": """
        EXISTS (SELECT 1 FROM event WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM event WHERE stream = NEW.stream AND version = NEW.version)
        OR (NEW.idempotency_key IS NOT NULL AND EXISTS (
            SELECT 1 FROM event WHERE stream = NEW.stream AND idempotency_key = NEW.idempotency_key))""",
    "flow": "EXISTS (SELECT 1 FROM flow WHERE digest = NEW.digest)",
    "meta": "EXISTS (SELECT 1 FROM meta WHERE name = NEW.name)",
}
"""`INSERT OR REPLACE` deletes without firing delete triggers unless recursive triggers are on, so the
insert itself is refused where a row would have to go."""

NO_GAP = """
CREATE TRIGGER event_refuses_gap BEFORE INSERT ON event
WHEN NEW.version IS NOT (SELECT coalesce(max(version), -1) + 1 FROM event WHERE stream = NEW.stream)
BEGIN SELECT RAISE(ABORT, 'event is append-only: the version is not the next of its stream'); END
"""

ON_POSTGRES = """
CREATE FUNCTION interlock_refuses_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: no %', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION interlock_refuses_gap() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.version IS DISTINCT FROM
        (SELECT coalesce(max(version), -1) + 1 FROM event WHERE stream = NEW.stream) THEN
        RAISE EXCEPTION 'event is append-only: the version is not the next of its stream'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER event_refuses_gap BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION interlock_refuses_gap();
ALTER TABLE event ENABLE ALWAYS TRIGGER event_refuses_gap;
"""
"""`ENABLE ALWAYS`: they hold under `session_replication_role = replica` too."""
CHANGES_ON_POSTGRES = """
CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_change();
CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION interlock_refuses_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuses_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuses_truncate;
"""


def upgrade() -> None:
    _log()
    _beside()
    _projections()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(ON_POSTGRES)
        for table in APPEND_ONLY:
            op.execute(CHANGES_ON_POSTGRES.format(table=table))
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: no {act}'); END"
                )
            op.execute(
                f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} WHEN {SAME_ROW[table]} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: the row exists'); END"
            )
        op.execute(NO_GAP)


def _log() -> None:
    op.create_table(
        "event",
        sa.Column("id", WHOLE, primary_key=True, autoincrement=True),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=True),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )
    op.create_index("uq_event_stream_version", "event", ["stream", "version"], unique=True)
    keyed = sa.text("idempotency_key IS NOT NULL")
    op.create_index(
        "uq_event_stream_idempotency_key",
        "event",
        ["stream", "idempotency_key"],
        unique=True,
        sqlite_where=keyed,
        postgresql_where=keyed,
    )
    op.create_table(
        "payload",
        sa.Column("stream", TEXT, primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("r", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", TEXT, nullable=True),
        sa.Column("nonce", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["stream", "version"], ["event.stream", "event.version"], name="fk_payload_event"),
        sqlite_strict=True,
    )
    op.create_index("ix_payload_subject", "payload", ["subject"])


def _beside() -> None:
    op.create_table(
        "flow",
        sa.Column("digest", TEXT, primary_key=True),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "meta",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
        sqlite_strict=True,
    )


def _projections() -> None:
    op.create_table(
        "conversation",
        sa.Column("stream", TEXT, primary_key=True),
        sa.Column("flow_name", TEXT, nullable=False),
        sa.Column("flow_version", sa.Integer(), nullable=False),
        sa.Column("flow_digest", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("started_at", TEXT, nullable=False),
        sa.Column("updated_at", TEXT, nullable=False),
        sa.Column("undecided", sa.Integer(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("tasks", TEXT, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_conversation_updated_at", "conversation", ["updated_at"])
    pending = sa.text("undecided > 0")
    op.create_index(
        "ix_conversation_undecided",
        "conversation",
        ["undecided"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "timer",
        sa.Column("stream", TEXT, primary_key=True),
        sa.Column("timer", sa.Integer(), primary_key=True),
        sa.Column("due", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["stream"], ["conversation.stream"], name="fk_timer_conversation"),
        sqlite_strict=True,
    )
    op.create_index("ix_timer_due", "timer", ["due"])


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

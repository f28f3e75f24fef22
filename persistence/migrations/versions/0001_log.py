"""The log: events, payloads, flows, the projections, and the triggers that keep the log append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

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


def upgrade() -> None:
    _log()
    _beside()
    _projections()
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
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
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
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("r", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("nonce", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["stream", "version"], ["event.stream", "event.version"], name="fk_payload_event"),
        sqlite_strict=True,
    )
    op.create_index("ix_payload_subject", "payload", ["subject"])


def _beside() -> None:
    op.create_table(
        "flow",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
        sqlite_strict=True,
    )


def _projections() -> None:
    op.create_table(
        "conversation",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("flow_name", sa.Text(), nullable=False),
        sa.Column("flow_version", sa.Integer(), nullable=False),
        sa.Column("flow_digest", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Text(), nullable=False),
        sa.Column("undecided", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("tasks", sa.Text(), nullable=False),
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
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("timer", sa.Integer(), primary_key=True),
        sa.Column("due", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["stream"], ["conversation.stream"], name="fk_timer_conversation"),
        sqlite_strict=True,
    )
    op.create_index("ix_timer_due", "timer", ["due"])


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

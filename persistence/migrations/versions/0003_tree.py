"""The Merkle tree over the log: leaves, the log's own records, the map of heads, checkpoints and their anchors."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; a strict table of SQLite knows them as INTEGER only."""

APPEND_ONLY = {
    "leaf": """
        EXISTS (SELECT 1 FROM leaf WHERE position = NEW.position)
        OR EXISTS (SELECT 1 FROM leaf WHERE stream = NEW.stream AND version = NEW.version)""",
    "record": "EXISTS (SELECT 1 FROM record WHERE number = NEW.number)",
    "checkpoint": "EXISTS (SELECT 1 FROM checkpoint WHERE size = NEW.size)",
}
"""Tables whose rows are neither changed nor deleted, with when a row would take another's place."""

NO_GAP = (
    """
    CREATE TRIGGER leaf_refuses_gap BEFORE INSERT ON leaf
    WHEN NEW.position IS NOT (SELECT coalesce(max(position), -1) + 1 FROM leaf)
    BEGIN SELECT RAISE(ABORT, 'leaf is append-only: the position is not the next'); END
    """,
    """
    CREATE TRIGGER record_refuses_gap BEFORE INSERT ON record
    WHEN NEW.number IS NOT (SELECT coalesce(max(number), -1) + 1 FROM record)
    BEGIN SELECT RAISE(ABORT, 'record is append-only: the number is not the next'); END
    """,
)
"""Their rows are counted from 0."""


def upgrade() -> None:
    _tree()
    _heads()
    _signed()
    if op.get_bind().dialect.name == "sqlite":
        for table, same in APPEND_ONLY.items():
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: no {act}'); END"
                )
            op.execute(
                f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} WHEN {same} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: the row exists'); END"
            )
        for trigger in NO_GAP:
            op.execute(trigger)


def _tree() -> None:
    op.create_table(
        "leaf",
        sa.Column("position", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("above", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )
    op.create_index("uq_leaf_stream_version", "leaf", ["stream", "version"], unique=True)
    op.create_table(
        "record",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )


def _heads() -> None:
    op.create_table(
        "head",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "head_node",
        sa.Column("depth", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )


def _signed() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("size", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text(), nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "cosignature",
        sa.Column("size", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("line", sa.Text(), primary_key=True),
        sqlite_strict=True,
    )
    op.create_table(
        "anchor",
        sa.Column("size", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("place", sa.Text(), primary_key=True),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

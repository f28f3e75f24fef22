"""Daily budgets of tenants: what was spent or is reserved, and for which effects."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""64 bits; a strict table of SQLite knows them as INTEGER only."""


def upgrade() -> None:
    op.create_table(
        "tenant_day",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("day", sa.Text(), primary_key=True),
        sa.Column("calls", WHOLE, nullable=False),
        sa.Column("tokens", WHOLE, nullable=False),
        sa.Column("cost", WHOLE, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "reservation",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("effect", sa.Integer(), primary_key=True),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("calls", WHOLE, nullable=False),
        sa.Column("tokens", WHOLE, nullable=False),
        sa.Column("cost", WHOLE, nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

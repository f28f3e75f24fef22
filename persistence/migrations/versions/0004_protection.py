"""Keys of people, wrapped: what their payloads are encrypted under."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "data_key",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_data_key_subject", "data_key", ["subject"])


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

"""Keys of people, wrapped; and the journal: what people did to the log itself, chained and append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEXT_ONLY = """
CREATE TRIGGER journal_refuses_gap BEFORE INSERT ON journal
WHEN NEW.number IS NOT (SELECT coalesce(max(number), -1) + 1 FROM journal)
BEGIN SELECT RAISE(ABORT, 'journal is append-only: the number is not the next'); END
"""
"""No row can be put in another's place either: a number that exists is never the next."""
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ON_POSTGRES = """
CREATE FUNCTION interlock_journal_refuses_gap() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.number IS DISTINCT FROM (SELECT coalesce(max(number), -1) + 1 FROM journal) THEN
        RAISE EXCEPTION 'journal is append-only: the number is not the next' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER journal_refuses_gap BEFORE INSERT ON journal
    FOR EACH ROW EXECUTE FUNCTION interlock_journal_refuses_gap();
CREATE TRIGGER journal_refuses_change BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_change();
CREATE TRIGGER journal_refuses_truncate BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION interlock_refuses_change();
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_refuses_gap;
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_refuses_change;
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_refuses_truncate;
"""


def upgrade() -> None:
    op.create_table(
        "data_key",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_data_key_subject", "data_key", ["subject"])
    op.create_table(
        "journal",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("act", TEXT, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(ON_POSTGRES)
    else:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER journal_refuses_{act.lower()} BEFORE {act} ON journal "
                f"BEGIN SELECT RAISE(ABORT, 'journal is append-only: no {act}'); END"
            )
        op.execute(NEXT_ONLY)


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

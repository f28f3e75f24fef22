"""PostgreSQL: what was erased goes from the files of the tables, whoever of the erasers asks for it.

Deleted rows stay in the pages of a table after VACUUM, and samples of a column's values in the server's statistics.
So the tables are written anew, by a function that the owner lends to the eraser, and of these columns no statistics
are kept.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SECRET = {"payload": ("r", "body", "nonce"), "data_key": ("wrapped",)}
"""Columns of which the server may keep no samples. To set their type anew drops those that it has."""

SCRUB = """
CREATE FUNCTION interlock_scrub(since xid8) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND backend_xmin IS NOT NULL AND age(backend_xmin) > age(since::xid)
    ) OR EXISTS (
        SELECT 1 FROM pg_prepared_xacts
        WHERE database = current_database() AND age(transaction) > age(since::xid)
    ) THEN
        RETURN false;  -- rows that they may still see would be copied with the others
    END IF;
    LOCK TABLE data_key, payload IN ACCESS EXCLUSIVE MODE;  -- in the order in which entries are appended
    CLUSTER data_key USING data_key_pkey;
    CLUSTER payload USING payload_pkey;
    RETURN true;
END $$;
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION interlock_scrub(xid8) SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE ALL ON FUNCTION interlock_scrub(xid8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION interlock_scrub(xid8) TO interlock_eraser;
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in SECRET.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE bytea")
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
    op.execute(SCRUB)


def downgrade() -> None:
    """The log never goes back: restore a backup instead."""
    raise NotImplementedError("Interlock's schema is not downgraded; restore a backup.")

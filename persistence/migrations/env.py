"""Alembic's entry: runs the revisions on the connection, and inside the transaction, that the store opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),
    transactional_ddl=False,  # the store has begun a transaction and commits it
    render_as_batch=True,
)
context.run_migrations()

"""The log's tables. Rows never leave the package: `codec` translates them.

`event` and `flow` are append-only, held so by triggers that the migrations create; only entries of a conversation that
stands in `archived`, which takes a signed record, may be deleted. `payload` rows may be deleted: that is what erasing
a person means. `conversation` and `timer` are projections, replaced with
every append and recomputable from the entries. `tenant_day` and `reservation` are a ledger of their own.
`leaf`, `record` and `checkpoint` are the Merkle tree and append-only; `head` and `head_node` are projections of it.
"""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, MetaData, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

STRICT = {"sqlite_strict": True}
"""SQLite keeps to the declared types: no column holds text in one row and bytes in another."""


WHOLE = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; a strict table of SQLite knows them as INTEGER only."""


class LogTable(SQLModel, registry=registry(metadata=METADATA)):
    """Of our own registry: tables that a user declares with SQLModel beside ours never collide with them."""


class EventRow(LogTable, table=True):
    """One entry. `entry` is the truth; the columns before it repeat what it says, to be searched.

    `id` is the order of commits. The key's index leaves out entries without a key, which are most.
    """

    __tablename__ = "event"
    __table_args__ = (
        Index("uq_event_stream_version", "stream", "version", unique=True),
        Index(
            "uq_event_stream_idempotency_key",
            "stream",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        STRICT,
    )

    id: int | None = Field(default=None, primary_key=True)
    stream: str = Field(sa_type=Text)
    version: int
    type: str = Field(sa_type=Text)
    at: str = Field(sa_type=Text)
    idempotency_key: str | None = Field(default=None, sa_type=Text)
    leaf: bytes = Field(sa_type=LargeBinary)
    entry: bytes = Field(sa_type=LargeBinary)


class PayloadRow(LogTable, table=True):
    """What a person or a model wrote, at the event that brought it.

    In clear `r` and `body` hold the commitment's random bytes and the plaintext. A row with a `key_id` is
    encrypted: then `body` is AES-256-GCM over both, `nonce` its nonce, and `r` is null.
    """

    __tablename__ = "payload"
    __table_args__ = (
        ForeignKeyConstraint(["stream", "version"], ["event.stream", "event.version"]),
        Index("ix_payload_subject", "subject"),
        STRICT,
    )

    stream: str = Field(primary_key=True, sa_type=Text)
    version: int = Field(primary_key=True)
    name: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    r: bytes | None = Field(default=None, sa_type=LargeBinary)
    body: bytes = Field(sa_type=LargeBinary)
    key_id: str | None = Field(default=None, sa_type=Text)
    nonce: bytes | None = Field(default=None, sa_type=LargeBinary)


class DataKeyRow(LogTable, table=True):
    """A key of one person, wrapped by the master key. Deleting it is what makes copies of payloads unreadable."""

    __tablename__ = "data_key"
    __table_args__ = (Index("ix_data_key_subject", "subject"), STRICT)

    id: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(sa_type=Text)
    wrapped: bytes = Field(sa_type=LargeBinary)


class ConversationRow(LogTable, table=True):
    """Projection: where each conversation stands. `tasks` is a JSON list of versions."""

    __tablename__ = "conversation"
    __table_args__ = (
        Index("ix_conversation_updated_at", "updated_at"),
        Index(
            "ix_conversation_undecided",
            "undecided",
            sqlite_where=text("undecided > 0"),
            postgresql_where=text("undecided > 0"),
        ),
        STRICT,
    )

    stream: str = Field(primary_key=True, sa_type=Text)
    flow_name: str = Field(sa_type=Text)
    flow_version: int
    flow_digest: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    length: int
    started_at: str = Field(sa_type=Text)
    updated_at: str = Field(sa_type=Text)
    undecided: int
    owner: str = Field(sa_type=Text)
    tasks: str = Field(sa_type=Text)


class DeadlineRow(LogTable, table=True):
    """Projection: a deadline now in force, named by the version of the event that set it."""

    __tablename__ = "timer"
    __table_args__ = (
        ForeignKeyConstraint(["stream"], ["conversation.stream"]),
        Index("ix_timer_due", "due"),
        STRICT,
    )

    stream: str = Field(primary_key=True, sa_type=Text)
    timer: int = Field(primary_key=True)
    due: str = Field(sa_type=Text)


class KeptFlowRow(LogTable, table=True):
    """A flow under its digest, as it was when a conversation first ran on it."""

    __tablename__ = "flow"
    __table_args__ = STRICT

    digest: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    version: int
    body: bytes = Field(sa_type=LargeBinary)
    source: str = Field(sa_type=Text)


class TenantDayRow(LogTable, table=True):
    """What a tenant's calls of one day (UTC) came to, with what is reserved for those in hand."""

    __tablename__ = "tenant_day"
    __table_args__ = STRICT

    tenant: str = Field(primary_key=True, sa_type=Text)
    day: str = Field(primary_key=True, sa_type=Text)
    calls: int = Field(sa_type=WHOLE)
    tokens: int = Field(sa_type=WHOLE)
    cost: int = Field(sa_type=WHOLE)


class ReservationRow(LogTable, table=True):
    """What is reserved in a tenant's day for one effect, until it is settled."""

    __tablename__ = "reservation"
    __table_args__ = STRICT

    stream: str = Field(primary_key=True, sa_type=Text)
    effect: int = Field(primary_key=True)
    tenant: str = Field(sa_type=Text)
    day: str = Field(sa_type=Text)
    calls: int = Field(sa_type=WHOLE)
    tokens: int = Field(sa_type=WHOLE)
    cost: int = Field(sa_type=WHOLE)


class LeafRow(LogTable, table=True):
    """An entry's place in the Merkle tree: of a conversation's event, or of a record, whose stream is empty.

    `above` holds the hashes of the whole subtrees that the leaf completed, so that no node is a row of its own.
    """

    __tablename__ = "leaf"
    __table_args__ = (Index("uq_leaf_stream_version", "stream", "version", unique=True), STRICT)

    position: int = Field(sa_column=Column(WHOLE, primary_key=True, autoincrement=False))
    stream: str = Field(sa_type=Text)
    version: int
    hash: bytes = Field(sa_type=LargeBinary)
    above: bytes = Field(sa_type=LargeBinary)


class RecordRow(LogTable, table=True):
    """What the log says of itself, numbered from 0; `entry` is the truth."""

    __tablename__ = "record"
    __table_args__ = STRICT

    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    type: str = Field(sa_type=Text)
    at: str = Field(sa_type=Text)
    leaf: bytes = Field(sa_type=LargeBinary)
    entry: bytes = Field(sa_type=LargeBinary)


class HeadRow(LogTable, table=True):
    """Projection of the leaves: where each conversation ends in the tree. `key` is the SHA-256 of its name."""

    __tablename__ = "head"
    __table_args__ = STRICT

    key: bytes = Field(primary_key=True, sa_type=LargeBinary)
    stream: str = Field(sa_type=Text)
    version: int
    leaf: bytes = Field(sa_type=LargeBinary)


class HeadNodeRow(LogTable, table=True):
    """Projection of the heads: the upper nodes of their map."""

    __tablename__ = "head_node"
    __table_args__ = STRICT

    depth: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    place: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    kind: int
    hash: bytes = Field(sa_type=LargeBinary)


class CheckpointRow(LogTable, table=True):
    """A signed checkpoint, as the log signed it."""

    __tablename__ = "checkpoint"
    __table_args__ = STRICT

    size: int = Field(sa_column=Column(WHOLE, primary_key=True, autoincrement=False))
    note: str = Field(sa_type=Text)


class CosignatureRow(LogTable, table=True):
    """A witness's signature line under the checkpoint of `size`."""

    __tablename__ = "cosignature"
    __table_args__ = STRICT

    size: int = Field(sa_column=Column(WHOLE, primary_key=True, autoincrement=False))
    line: str = Field(primary_key=True, sa_type=Text)


class AnchorRow(LogTable, table=True):
    """Where the checkpoint of `size` was taken to, out of this database's reach; `token` is a time stamp over it."""

    __tablename__ = "anchor"
    __table_args__ = STRICT

    size: int = Field(sa_column=Column(WHOLE, primary_key=True, autoincrement=False))
    kind: str = Field(primary_key=True, sa_type=Text)
    place: str = Field(primary_key=True, sa_type=Text)
    at: str = Field(sa_type=Text)
    token: bytes = Field(sa_type=LargeBinary)


class ArchivedRow(LogTable, table=True):
    """A conversation whose entries were pruned, in the order of `contracts.archive.Archived`; append-only."""

    __tablename__ = "archived"
    __table_args__ = (Index("ix_archived_subject", "subject"), STRICT)

    stream: str = Field(primary_key=True, sa_type=Text)
    length: int
    leaf: bytes = Field(sa_type=LargeBinary)
    subject: str = Field(sa_type=Text)
    flow_name: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    started_at: str = Field(sa_type=Text)
    updated_at: str = Field(sa_type=Text)
    archive: str = Field(sa_type=Text)
    record: int


class MetaRow(LogTable, table=True):
    """What is true of the whole database for its life: `log`, the origin that stands in every envelope."""

    __tablename__ = "meta"
    __table_args__ = STRICT

    name: str = Field(primary_key=True, sa_type=Text)
    value: str = Field(sa_type=Text)

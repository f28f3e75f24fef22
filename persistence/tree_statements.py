"""Every SQL statement of the Merkle tree, compiled once from the tables."""

from typing import Any

from sqlalchemy import JSON, BindParameter, Integer, Select, Text, bindparam, cast, column, func, insert, select, table

from ..contracts.records import RECORDS
from .statements import ARCHIVED, EVENT, columns, compiled, replacing
from .tables import METADATA

LEAF, RECORD, HEAD, HEAD_NODE = (METADATA.tables[name] for name in ("leaf", "record", "head", "head_node"))
CHECKPOINT, COSIGNATURE, ANCHOR = (METADATA.tables[name] for name in ("checkpoint", "cosignature", "anchor"))

_of_record = LEAF.c.stream == RECORDS
_first: BindParameter[Any] = bindparam("first")
_end: BindParameter[Any] = bindparam("past")
_size: BindParameter[int] = bindparam("of_size")
_limit: BindParameter[int] = bindparam("at_most")

ADD_LEAF = compiled(insert(LEAF), columns(LEAF))
SIZE = compiled(select(func.coalesce(func.max(LEAF.c.position) + 1, 0)))
INDEX_OF = compiled(
    select(LEAF.c.position).where(LEAF.c.stream == bindparam("in_stream"), LEAF.c.version == bindparam("of_version"))
)


def _nodes(asked: Any, position: Any) -> Select[Any]:
    """The leaves at the positions of a JSON list."""
    return select(LEAF.c.position, LEAF.c.hash, LEAF.c.above).select_from(asked.join(LEAF, LEAF.c.position == position))


_listed: BindParameter[str] = bindparam("positions", type_=Text)
_each = func.json_each(_listed).table_valued("value", name="asked")
_elements = func.json_array_elements_text(cast(_listed, JSON)).table_valued("value", name="asked")
NODES = compiled(
    _nodes(_each, _each.c.value), postgres=_nodes(_elements, cast(_elements.c.value, LEAF.c.position.type))
)
_entry = func.coalesce(EVENT.c.entry, RECORD.c.entry)
LEAVES = compiled(
    select(LEAF.c.position, LEAF.c.stream, LEAF.c.version, LEAF.c.hash, LEAF.c.above, _entry)
    .select_from(
        LEAF.outerjoin(EVENT, (EVENT.c.stream == LEAF.c.stream) & (EVENT.c.version == LEAF.c.version)).outerjoin(
            RECORD, _of_record & (RECORD.c.number == LEAF.c.version)
        )
    )
    .where(LEAF.c.position >= _first, LEAF.c.position < _end)
    .order_by(LEAF.c.position)
)

_unlike = (
    select(LEAF.c.stream, LEAF.c.version)
    .select_from(
        LEAF.outerjoin(EVENT, (EVENT.c.stream == LEAF.c.stream) & (EVENT.c.version == LEAF.c.version)).outerjoin(
            ARCHIVED, (ARCHIVED.c.stream == LEAF.c.stream) & (ARCHIVED.c.length > LEAF.c.version)
        )
    )
    .where(
        LEAF.c.stream != RECORDS,
        (EVENT.c.leaf.is_(None) & ARCHIVED.c.stream.is_(None)) | (EVENT.c.leaf != LEAF.c.hash),
    )
)
UNLIKE = compiled(_unlike.order_by(LEAF.c.position))
UNLIKE_OF = compiled(_unlike.where(LEAF.c.stream == bindparam("in_stream")).order_by(LEAF.c.version))

# Events get their places in the order of `event.id`, which on a database with one writer is that of commits. Where
# several commit at once it is not: there whoever commits leaves a row in `pending`, which goes with the leaf.
PENDING = table(
    "pending", column("id", LEAF.c.position.type), column("stream", Text), column("version", Integer), column("leaf")
)
LAST_SEQUENCED = compiled(
    select(EVENT.c.id)
    .select_from(LEAF.join(EVENT, (EVENT.c.stream == LEAF.c.stream) & (EVENT.c.version == LEAF.c.version)))
    .order_by(LEAF.c.position.desc())
    .limit(1)
)
WAITING_EVENTS = compiled(
    select(EVENT.c.stream, EVENT.c.version, EVENT.c.leaf).where(EVENT.c.id > _first).order_by(EVENT.c.id).limit(_limit),
    postgres=select(PENDING.c.stream, PENDING.c.version, PENDING.c.leaf).order_by(PENDING.c.id).limit(_limit),
)
COUNT_WAITING_EVENTS = compiled(
    select(func.count()).select_from(EVENT).where(EVENT.c.id > _first),
    postgres=select(func.count()).select_from(PENDING),
)
RECORDS_SEQUENCED = compiled(select(func.coalesce(func.max(LEAF.c.version) + 1, 0)).where(_of_record))
WAITING_RECORDS = compiled(
    select(RECORD.c.number, RECORD.c.leaf).where(RECORD.c.number >= _first).order_by(RECORD.c.number).limit(_limit)
)
COUNT_RECORDS = compiled(select(func.coalesce(func.max(RECORD.c.number) + 1, 0)))
LAST_RECORD = compiled(select(RECORD.c.number, RECORD.c.leaf).order_by(RECORD.c.number.desc()).limit(1))
ACTS = compiled(
    select(RECORD.c.entry)
    .where(RECORD.c.number >= bindparam("first"), RECORD.c.type != "heads_taken", RECORD.c.type != "key_rotated")
    .order_by(RECORD.c.number)
)
RECORDS_KEPT = compiled(select(*(RECORD.c[name] for name in columns(RECORD))).order_by(RECORD.c.number))
ADD_RECORD = compiled(insert(RECORD), columns(RECORD))

PUT_HEAD, PUT_HEAD_NODE = replacing(HEAD), replacing(HEAD_NODE)
_head = select(HEAD.c.stream, HEAD.c.version, HEAD.c.leaf)
HEAD_OF = compiled(_head.where(HEAD.c.key == bindparam("of_key")))
HEADS_BETWEEN = compiled(_head.where(HEAD.c.key >= _first, HEAD.c.key <= _end).order_by(HEAD.c.key))
COUNT_HEADS = compiled(select(func.count()).select_from(HEAD))
HEAD_NODE_OF = compiled(
    select(HEAD_NODE.c.kind, HEAD_NODE.c.hash).where(
        HEAD_NODE.c.depth == bindparam("at_depth"), HEAD_NODE.c.place == bindparam("at_place")
    )
)

HEAD_NODES = compiled(select(*(HEAD_NODE.c[name] for name in columns(HEAD_NODE))))
ADD_CHECKPOINT, ADD_COSIGNATURE, ADD_ANCHOR = (
    compiled(insert(table), columns(table)) for table in (CHECKPOINT, COSIGNATURE, ANCHOR)
)
CHECKPOINTS = compiled(select(CHECKPOINT.c.size, CHECKPOINT.c.note).order_by(CHECKPOINT.c.size))
CHECKPOINT_OF = compiled(select(CHECKPOINT.c.note).where(CHECKPOINT.c.size == _size))
COSIGNATURES = compiled(select(COSIGNATURE.c.line).where(COSIGNATURE.c.size == _size).order_by(COSIGNATURE.c.line))
COSIGNED = compiled(select(COSIGNATURE.c.size).distinct().order_by(COSIGNATURE.c.size))
ANCHORS = compiled(
    select(*(ANCHOR.c[name] for name in columns(ANCHOR))).order_by(ANCHOR.c.size, ANCHOR.c.kind, ANCHOR.c.place)
)

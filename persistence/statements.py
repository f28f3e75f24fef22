"""Every SQL statement of the store, compiled once from the tables: compiling costs more than running."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    ColumnElement,
    Dialect,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import ClauseElement

from .tables import METADATA

EVENT, PAYLOAD, CONVERSATION = (METADATA.tables[name] for name in ("event", "payload", "conversation"))
TIMER, FLOW, META = (METADATA.tables[name] for name in ("timer", "flow", "meta"))
DATA_KEY, ARCHIVED = METADATA.tables["data_key"], METADATA.tables["archived"]
ARCHIVED_LENGTH = -1
TENANT_DAY, RESERVATION = (METADATA.tables[name] for name in ("tenant_day", "reservation"))


@dataclass(frozen=True)
class Statement:
    """SQL text for SQLite, the names of its places in order, and the values of those that never change."""

    sql: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]
    source: tuple[ClauseElement, list[str] | None] | None = field(default=None, repr=False)
    """What it was compiled from, and is for PostgreSQL; None where it is of SQLite alone."""

    @cached_property
    def postgres(self) -> "Statement":
        """The same for PostgreSQL, in psycopg's style."""
        if self.source is None:
            raise TypeError(f"The statement is for SQLite alone: {self.sql}")
        return _compiled(*self.source, postgresql.psycopg.dialect(paramstyle="format"))  # type: ignore[no-untyped-call]

    def values(self, **given: Any) -> tuple[Any, ...]:
        """One value for each place, in order."""
        return tuple(given[name] if name in given else self.constants[name] for name in self.names)


def compiled(
    clause: ClauseElement, columns: Sequence[str] | None = None, *, postgres: ClauseElement | None = None
) -> Statement:
    """`clause` for SQLite; `columns` are those an insert gives values for, which are its names in table order.
    `postgres` is what says the same to PostgreSQL, where `clause` cannot."""
    kept = list(columns) if columns else None
    found = _compiled(clause, kept, sqlite.dialect())
    return Statement(found.sql, found.names, found.constants, (clause if postgres is None else postgres, kept))


def _compiled(clause: ClauseElement, columns: list[str] | None, dialect: Dialect) -> Statement:
    result = clause.compile(dialect=dialect, column_keys=columns)
    names: tuple[str, ...] = tuple(result.positiontup or ())  # type: ignore[attr-defined]
    constants = {name: value for name, value in result.params.items() if value is not None}
    return Statement(str(result), names, constants)


def columns(table: Table, without: str = "") -> list[str]:
    return [column.name for column in table.columns if column.name != without]


def replacing(table: Table) -> Statement:
    """Insert a row, or give the one with the same key its values."""
    names, keys = columns(table), [column.name for column in table.primary_key]

    def put(clause: Any) -> ClauseElement:
        changed = {name: clause.excluded[name] for name in names if name not in keys}
        made: ClauseElement = clause.on_conflict_do_update(index_elements=keys, set_=changed)
        return made

    return compiled(put(sqlite.insert(table)), names, postgres=put(postgresql.insert(table)))


_stream: BindParameter[str] = bindparam("in_stream")
_limit: BindParameter[int] = bindparam("at_most")

ADD_EVENT = compiled(insert(EVENT).inline(), columns(EVENT, without="id"))
ADD_PAYLOAD = compiled(insert(PAYLOAD), columns(PAYLOAD))
PUT_CONVERSATION = replacing(CONVERSATION)
ADD_TIMER = compiled(insert(TIMER), columns(TIMER))
DROP_TIMERS = compiled(delete(TIMER).where(TIMER.c.stream == _stream))
ADD_FLOW = compiled(insert(FLOW), columns(FLOW))
ADD_META = compiled(insert(META), columns(META))
STRANGE_META = compiled(select(META.c.name).where(META.c.name != "log").order_by(META.c.name))
GET_META = compiled(select(META.c.value).where(META.c.name == bindparam("called")))


def _lengths(asked: Any) -> Select[Any]:
    """Of each stream of a JSON list: 0 where there is none, and `ARCHIVED_LENGTH` where its entries were pruned."""
    length = select(func.max(EVENT.c.version) + 1).where(EVENT.c.stream == asked.c.value).scalar_subquery()
    archived = select(literal_column(str(ARCHIVED_LENGTH))).where(ARCHIVED.c.stream == asked.c.value).scalar_subquery()
    return select(asked.c.value, func.coalesce(length, archived, 0))


def json_list(given: BindParameter[str], *, postgres: bool = False) -> Any:
    """The values of a JSON list of texts, as a table of one column `value`."""
    listed = func.json_array_elements_text(cast(given, JSON)) if postgres else func.json_each(given)
    return listed.table_valued("value", name="asked")


_listed: BindParameter[str] = bindparam("streams", type_=Text)
LENGTHS = compiled(_lengths(json_list(_listed)), postgres=_lengths(json_list(_listed, postgres=True)))
HEAD = compiled(
    select(EVENT.c.version, EVENT.c.leaf).where(EVENT.c.stream == _stream).order_by(EVENT.c.version.desc()).limit(1)
)
ENTRIES = compiled(
    select(
        EVENT.c.stream,
        EVENT.c.version,
        EVENT.c.type,
        EVENT.c.at,
        EVENT.c.idempotency_key,
        EVENT.c.leaf,
        EVENT.c.entry,
    )
    .where(EVENT.c.stream == _stream, EVENT.c.version >= bindparam("first"))
    .order_by(EVENT.c.version)
    .limit(_limit)
)
VERSION_OF_KEY = compiled(
    select(EVENT.c.version).where(EVENT.c.stream == _stream, EVENT.c.idempotency_key == bindparam("given"))
)
STREAMS = compiled(select(EVENT.c.stream).distinct().order_by(EVENT.c.stream))

_payload = select(
    PAYLOAD.c.version,
    PAYLOAD.c.name,
    PAYLOAD.c.kind,
    PAYLOAD.c.r,
    PAYLOAD.c.body,
    PAYLOAD.c.key_id,
    PAYLOAD.c.nonce,
)
ONE_PAYLOAD = compiled(
    _payload.where(
        PAYLOAD.c.stream == _stream, PAYLOAD.c.version == bindparam("of"), PAYLOAD.c.name == bindparam("called")
    )
)
PAYLOADS = compiled(
    _payload.where(PAYLOAD.c.stream == _stream, PAYLOAD.c.version >= bindparam("first")).order_by(
        PAYLOAD.c.version, PAYLOAD.c.name
    )
)

ADD_KEY = compiled(insert(DATA_KEY), columns(DATA_KEY))
_key = select(*(DATA_KEY.c[name] for name in columns(DATA_KEY)))


def _keys_of(whose: Any) -> Select[Any]:
    """Of each subject of a JSON list."""
    return _key.where(DATA_KEY.c.subject.in_(select(whose.c.value))).order_by(DATA_KEY.c.id)


_subjects: BindParameter[str] = bindparam("subjects", type_=Text)
KEYS_OF = compiled(_keys_of(json_list(_subjects)), postgres=_keys_of(json_list(_subjects, postgres=True)))
KEY_OF_ID = compiled(_key.where(DATA_KEY.c.id == bindparam("under")))
KEYS = compiled(_key.order_by(DATA_KEY.c.id))
ANY_KEY = compiled(select(DATA_KEY.c.id).limit(_limit))
A_KEY = compiled(select(DATA_KEY.c.id, DATA_KEY.c.subject, DATA_KEY.c.wrapped).limit(_limit))
SUBJECTS_WITH_KEYS = compiled(select(DATA_KEY.c.subject).distinct())
PUT_WRAPPED = compiled(update(DATA_KEY).values(wrapped=bindparam("anew")).where(DATA_KEY.c.id == bindparam("under")))
_of_subject: BindParameter[str] = bindparam("of_subject")
STREAMS_OF = compiled(
    select(CONVERSATION.c.stream)
    .where(CONVERSATION.c.subject == _of_subject)
    .union(select(PAYLOAD.c.stream).where(PAYLOAD.c.subject == _of_subject))
    .order_by("stream")
)
COUNTS_OF = compiled(
    select(PAYLOAD.c.stream, func.count()).where(PAYLOAD.c.subject == _of_subject).group_by(PAYLOAD.c.stream)
)
DROP_PAYLOADS_OF = compiled(delete(PAYLOAD).where(PAYLOAD.c.subject == _of_subject))
DROP_KEYS_OF = compiled(delete(DATA_KEY).where(DATA_KEY.c.subject == _of_subject))
DROP_PAYLOAD = compiled(
    delete(PAYLOAD).where(
        PAYLOAD.c.stream == _stream, PAYLOAD.c.version == bindparam("of"), PAYLOAD.c.name == bindparam("called")
    )
)
# A clock that was set back makes nothing older: a text is as old as the newest event up to it.
_before_it = EVENT.alias("before_it")
_newest = (
    select(func.max(_before_it.c.at))
    .where(_before_it.c.stream == PAYLOAD.c.stream, _before_it.c.version <= PAYLOAD.c.version)
    .scalar_subquery()
)


def _aged(status: ColumnElement[bool]) -> Statement:
    return compiled(
        select(
            PAYLOAD.c.stream,
            PAYLOAD.c.version,
            PAYLOAD.c.name,
            PAYLOAD.c.kind,
            PAYLOAD.c.subject,
            EVENT.c.type,
            _newest,
        )
        .join(EVENT, (EVENT.c.stream == PAYLOAD.c.stream) & (EVENT.c.version == PAYLOAD.c.version))
        .join(CONVERSATION, CONVERSATION.c.stream == PAYLOAD.c.stream)
        .where(EVENT.c.at < bindparam("before"), _newest < bindparam("before"), status)
        .order_by(PAYLOAD.c.stream, PAYLOAD.c.version, PAYLOAD.c.name)
    )


AGED_PAYLOADS = {True: _aged(CONVERSATION.c.status == "ended"), False: _aged(CONVERSATION.c.status != "ended")}
"""By whether their conversations have ended."""
CLEAR_PAYLOADS = compiled(
    select(PAYLOAD.c.stream, PAYLOAD.c.subject, *_payload.selected_columns)
    .where(PAYLOAD.c.key_id.is_(None))
    .order_by(PAYLOAD.c.stream, PAYLOAD.c.version, PAYLOAD.c.name)
    .limit(_limit)
)
CLEAR_COUNT = compiled(select(func.count()).select_from(PAYLOAD).where(PAYLOAD.c.key_id.is_(None)))
PUT_BODY = compiled(
    update(PAYLOAD)
    .values(r=null(), body=bindparam("sealed_body"), key_id=bindparam("under"), nonce=bindparam("once"))
    .where(PAYLOAD.c.stream == _stream, PAYLOAD.c.version == bindparam("of"), PAYLOAD.c.name == bindparam("called"))
)

FLOW_OF = compiled(
    select(FLOW.c.digest, FLOW.c.name, FLOW.c.version, FLOW.c.body, FLOW.c.source).where(
        FLOW.c.digest == bindparam("under")
    )
)
FLOWS = compiled(
    select(FLOW.c.digest, FLOW.c.name, FLOW.c.version, FLOW.c.body, FLOW.c.source).order_by(
        FLOW.c.name, FLOW.c.version, FLOW.c.digest
    )
)

_conversation = select(*(CONVERSATION.c[name] for name in columns(CONVERSATION)))
CONVERSATION_OF = compiled(_conversation.where(CONVERSATION.c.stream == _stream))


def _conversations(*, of_status: bool, undecided: bool) -> Statement:
    clause: Select[Any] = _conversation
    if of_status:
        clause = clause.where(CONVERSATION.c.status == bindparam("status"))
    if undecided:  # written out, so that the partial index serves
        clause = clause.where(CONVERSATION.c.undecided > literal_column("0"))
    return compiled(clause.order_by(CONVERSATION.c.updated_at.desc(), CONVERSATION.c.stream).limit(_limit))


CONVERSATIONS = {
    (of_status, undecided): _conversations(of_status=of_status, undecided=undecided)
    for of_status, undecided in product((False, True), repeat=2)
}
TIMERS_OF = compiled(select(TIMER.c.timer, TIMER.c.due).where(TIMER.c.stream == _stream).order_by(TIMER.c.timer))
BEGUN_LAST = compiled(select(CONVERSATION.c.stream).order_by(literal_column("rowid").desc()).limit(_limit))
"""SQLite numbers the rows as they come; a conversation keeps its own."""
_live = TIMER.join(CONVERSATION, TIMER.c.stream == CONVERSATION.c.stream)
DUE = compiled(
    select(TIMER.c.stream, TIMER.c.timer, TIMER.c.due)
    .select_from(_live)
    .where(CONVERSATION.c.status == "open", TIMER.c.due <= bindparam("now"))
    .order_by(TIMER.c.due, TIMER.c.stream, TIMER.c.timer)
    .limit(_limit)
)
NEXT_DUE = compiled(select(func.min(TIMER.c.due)).select_from(_live).where(CONVERSATION.c.status == "open"))
CLAIM = compiled(
    update(CONVERSATION)
    .values(owner=bindparam("new_owner"))
    .where(CONVERSATION.c.stream == _stream, CONVERSATION.c.owner == bindparam("previous"))
)
PUT_TENANT_DAY, PUT_RESERVATION = replacing(TENANT_DAY), replacing(RESERVATION)
SPENT = compiled(
    select(TENANT_DAY.c.calls, TENANT_DAY.c.tokens, TENANT_DAY.c.cost).where(
        TENANT_DAY.c.tenant == bindparam("of_tenant"), TENANT_DAY.c.day == bindparam("on_day")
    )
)
_reservation = select(*(RESERVATION.c[name] for name in columns(RESERVATION)))
_of_effect = (RESERVATION.c.stream == _stream) & (RESERVATION.c.effect == bindparam("of_effect"))
RESERVATION_OF = compiled(_reservation.where(_of_effect))
RESERVATIONS = compiled(_reservation.order_by(RESERVATION.c.stream, RESERVATION.c.effect))
DROP_RESERVATION = compiled(delete(RESERVATION).where(_of_effect))
COUNTS = {
    name: compiled(select(func.count()).select_from(table))
    for name, table in (
        ("events", EVENT),
        ("payloads", PAYLOAD),
        ("conversations", CONVERSATION),
        ("flows", FLOW),
        ("data_keys", DATA_KEY),
        ("timers", TIMER),
    )
}
OF_TEXTS = ("payloads", "data_keys")
"""Those of tables that an auditor may not read."""

# Of SQLite and Alembic themselves, so not of our tables.
TRIGGERS = Statement("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'", (), {})
REVISION = compiled(text("SELECT version_num FROM alembic_version"))

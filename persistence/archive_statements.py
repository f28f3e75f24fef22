"""Every SQL statement about archived conversations, compiled once from the tables."""

from sqlalchemy import BindParameter, bindparam, delete, insert, select

from .statements import CONVERSATION, EVENT, PAYLOAD, TIMER, columns, compiled
from .tables import METADATA

ARCHIVED = METADATA.tables["archived"]
_stream: BindParameter[str] = bindparam("in_stream")

ADD_ARCHIVED = compiled(insert(ARCHIVED), columns(ARCHIVED))
_archived = select(*(ARCHIVED.c[name] for name in columns(ARCHIVED)))
ARCHIVED_ALL = compiled(_archived.order_by(ARCHIVED.c.stream))
ARCHIVED_OF = compiled(_archived.where(ARCHIVED.c.stream == _stream))
ARCHIVED_OF_SUBJECT = compiled(
    _archived.where(ARCHIVED.c.subject == bindparam("of_subject")).order_by(ARCHIVED.c.stream)
)
DROP_TIMERS_OF = compiled(delete(TIMER).where(TIMER.c.stream == _stream))
DROP_CONVERSATION = compiled(
    delete(CONVERSATION).where(
        CONVERSATION.c.stream == _stream,
        CONVERSATION.c.length == bindparam("of_length"),
        CONVERSATION.c.status == "ended",
    )
)
DROP_PAYLOADS_IN = compiled(delete(PAYLOAD).where(PAYLOAD.c.stream == _stream))
DROP_EVENTS_IN = compiled(delete(EVENT).where(EVENT.c.stream == _stream))

"""Texts in memory of a running process go when they were erased, whichever process erased them."""

import asyncio
from collections.abc import Callable

from ..contracts.keeping import ErasureAsked, ErasureDone
from ..contracts.store import Store
from .conversations import Conversations
from .journal import Journal, is_keeping
from .texts import Texts


class Forgetting:
    """Looks at the log's records for erasures that were completed since the last look."""

    def __init__(self, store: Store, texts: Texts, conversations: Conversations) -> None:
        """A store without records has no erasures: then there is nothing to look at."""
        self._journal = Journal(store) if is_keeping(store) else None
        self._texts, self._conversations = texts, conversations
        self._seen, self._asked = 0, dict[int, str]()

    async def look(self, in_hand: Callable[[str], bool]) -> None:
        """Drop the texts of erased people, and read again what is not `in_hand`; that is read again when it moves."""
        journal = self._journal
        if journal is None:
            return
        for one in await asyncio.to_thread(lambda: list(journal.acts(self._seen))):
            self._seen = one.number + 1
            if isinstance(one.act, ErasureAsked):
                self._asked[one.number] = one.act.subject
            elif isinstance(one.act, ErasureDone):
                for stream in await asyncio.to_thread(journal.store.streams_of, self._asked.pop(one.act.request)):
                    self._texts.forget(stream)
                    if not in_hand(stream):
                        self._conversations.forget(stream)

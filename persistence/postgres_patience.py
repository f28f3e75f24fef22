"""A connection that gives up a server from which nothing comes, though nothing says that the line is cut.

A host that froze, or a firewall that forgot the connection, answers no statement and closes nothing; TCP alone would
have the caller wait for ever where something in between still acknowledges what is sent.
"""

import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.rows import TupleRow

ANSWER_SECONDS = 60.0
"""More than any statement of ours is silent for, but those that wait by intent: they are given their own time."""


class PatientConnection(psycopg.Connection[TupleRow]):
    """Raises `psycopg.OperationalError` and is closed once the server has been silent for `answer_seconds`; whether
    what was sent was done is then unknown. None: waits for as long as it takes."""

    answer_seconds: float | None = ANSWER_SECONDS

    def wait(self, gen: Any, *how: Any, **more: Any) -> Any:
        """Run a generator of the driver's, which is resumed with 0 while nothing comes."""
        return super().wait(self._while_it_speaks(gen), *how, **more)

    def _while_it_speaks(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif self.answer_seconds is not None and time.monotonic() - heard > self.answer_seconds:
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not answered for {self.answer_seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

"""Waits between two attempts: slept through by the turn that decided them, and no longer than they are wanted.

A wait is a durable timer. Where its process dies, whoever fires what is due goes on from the log; both use
the same key, so one of them does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from ..contracts.commands import CommandBody, Fire
from ..fsm.conversation import Conversation
from ..fsm.draft import CallAgent, RunTool, Wait
from .clock import Clock
from .live import Live

Pause = Callable[[float], Awaitable[Any]]
"""How this process waits so many seconds; tests give one that moves their clock."""


class Waits:
    """The waits of one process."""

    def __init__(self, clock: Clock, pause: Pause = asyncio.sleep) -> None:
        self._clock, self._pause = clock, pause
        self._sleeping: dict[tuple[str, int], asyncio.Future[Any]] = {}

    async def over(self, live: Live, wait: Wait) -> Fire:
        """Return when the wait is over, or its conversation went on without it: then nothing comes of the command."""
        seconds = (wait.until - self._clock.now()).total_seconds()
        place = (live.id, wait.effect)
        if seconds > 0 and wanted(live.conversation, wait):
            pause = asyncio.ensure_future(self._pause(seconds))
            self._sleeping[place] = pause
            try:
                await asyncio.wait({pause})
                if not pause.cancelled():
                    pause.result()
            finally:
                self._sleeping.pop(place, None)
                pause.cancel()
        return Fire(timer=wait.effect)

    def time_of(self, conversation: Conversation, body: CommandBody) -> datetime:
        """When a command is given. Of a deadline no sooner than it was due: the clock said so when it was asked, and
        may stand before it now."""
        now = self._clock.now()
        due = dict(conversation.timers).get(body.timer) if isinstance(body, Fire) else None
        return now if due is None else max(now, due)

    def look(self, conversation: Conversation) -> None:
        """After a commit: end the waits of the conversation that nobody wants any more."""
        for (stream, timer), pause in list(self._sleeping.items()):
            if stream == conversation.id and (conversation.visit.retry is None or conversation.visit.timer != timer):
                pause.cancel()


def wanted(conversation: Conversation, effect: CallAgent | RunTool | Wait) -> bool:
    """Whether the turn waits for this effect's end."""
    if isinstance(effect, Wait):
        return conversation.visit.retry is not None and conversation.visit.timer == effect.effect
    return effect.effect in conversation.pending


def timer_key(conversation: Conversation, timer: int) -> str:
    """The key of a timer's command: a deadline begins something new, a wait goes on with the turn in hand."""
    waits = conversation.visit.retry is not None and conversation.visit.timer == timer
    return f"w:{timer}" if waits else f"t:{timer}"

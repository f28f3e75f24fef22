"""The talk itself: what was typed is a message or a command; replies, states and tasks are shown as they come."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..contracts.commands import Actor
from ..contracts.errors import CallError, FlowError
from ..fsm.evolve import fold
from ..fsm.replay import Recorded
from ..service.loading import recorded
from ..service.outcome import TurnOutcome
from ..service.wiring import DEFAULT_DB, Wired
from . import timeline
from .lines import typed_lines
from .seeing import texts_seen
from .story import Told, known_words, told
from .terminal import Terminal, counted, safe

HELP = (
    ("/task DECISION", "decide the open task as the person it waits for; /DECISION is the same, /DECISION NAME who"),
    ("/state", "where the conversation stands, and what it knows"),
    ("/log", "what happened so far, event by event"),
    ("/receipt", "the log's signed promise of everything up to here, where the log is signed"),
    ("/quit", "leave; the conversation stays, and --resume goes on"),
)

FORK = "This is a fork: nothing that changes the world outside is run in it. Such a call fails, and says `forked`."


class Talk:
    """One person at one terminal, in one conversation."""

    def __init__(self, wired: Wired, path: Path) -> None:
        self.wired, self.path, self.runtime = wired, path, wired.runtime
        self.terminal = Terminal()
        self.conversation = ""
        self.typed = sys.stdin.isatty()
        self._busy = False
        self._shown = 0
        """How many events the person has been shown the outcome of."""

    async def run(self, resume: str) -> None:
        async with self.wired.running():
            await self._recover()
            await self._begin(resume)
            clock = asyncio.create_task(self._watch_deadlines())
            try:
                await self._converse()
            finally:
                clock.cancel()
        self._end()

    async def _recover(self) -> None:
        """Finish what a dead process left; what may not be repeated is named, for somebody to look."""
        for left in await self.runtime.recover():
            command = f"interlock resolve {left.conversation[:8]} {left.effect} again|done|failed"
            self.terminal.line((f"{left.tool} was begun and its end is not known: {command}", "yellow"))

    async def _begin(self, resume: str) -> None:
        flow = self.wired.project.program.flow
        self.terminal.line((f"{flow.name} v{flow.version} · {self.wired.agents.says} · /help, /quit", "dim"))
        if resume:
            self.conversation = resume
            outcome = await self.runtime.outcome(resume)
        else:
            outcome = await self.runtime.start(flow.name)
            self.conversation = outcome.conversation
        if self._is_fork():
            self.terminal.line((FORK, "yellow"))
        self._show(outcome)

    def _is_fork(self) -> bool:
        return bool(fold(self.conversation, (one.event for one in self._entries())).forks)

    def _entries(self) -> Sequence[Recorded]:
        return recorded(self.wired.store.read(self.conversation))

    async def _converse(self) -> None:
        self._prompt()
        async for line in typed_lines():
            if not self.typed:
                self.terminal.hang(self.terminal.text(("you", "bold cyan")), (safe(line), "cyan"))
            if line.strip() == "/quit":
                return
            if line.strip():
                await self._take(line)
            if (await self.runtime.outcome(self.conversation)).standing == "ended":
                return
            self._prompt()

    async def _take(self, line: str) -> None:
        """One line: a command if it begins with a slash, else a message."""
        self._busy = True
        try:
            if not line.startswith("/"):
                self._show(await self.runtime.say(self.conversation, line))
            else:
                await self._command(line[1:].split())
        except CallError as error:
            self.terminal.line((f"{error.what} {error.fix}", "yellow"), indent=4)
        finally:
            self._busy = False

    async def _command(self, words: list[str]) -> None:
        name, *rest = words or ["help"]
        standing = await self.runtime.outcome(self.conversation)
        decisions = standing.task.decisions if standing.task else ()
        meant = [one for one in decisions if one.startswith(name)]
        if name == "state":
            self._state(standing)
        elif name == "log":
            self._log()
        elif name == "receipt":
            self._receipt(standing)
        elif len(meant) == 1 or (name == "task" and rest):
            decision, *who = (meant[0], *rest) if len(meant) == 1 else rest
            await self._decide(standing, decision, who[0] if who else os.environ.get("USER", ""))
        elif name == "help":
            for command, what in HELP:
                self.terminal.hang(self.terminal.text((f"{command:<15}", "bold")), (what, "dim"), indent=4)
            if self._is_fork():
                self.terminal.line((FORK, "yellow"), indent=4)
        else:
            known = ", ".join(f"/{one}" for one in ("state", "log", "receipt", "quit", *decisions))
            self.terminal.line((f"There is no command /{safe(name, 40)}; there are {known}.", "yellow"), indent=4)

    async def _decide(self, standing: TurnOutcome, decision: str, who: str) -> None:
        if standing.task is None:
            raise CallError("No task is open.", fix="A task opens when the flow asks a person.")
        if decision not in standing.task.decisions:
            raise CallError(
                f"The task does not know {decision!r}.", fix=f"Type /{' or /'.join(standing.task.decisions)}."
            )
        name = "".join(one for one in who if one.isascii() and one.isalnum()) or "somebody"
        actor = Actor(kind="human", id=name, roles=(standing.task.role,), authn="chat")
        task = standing.task
        shown = task.shown if task.approves else None
        decided = await self.runtime.decide_task(task.conversation, task.number, decision, actor=actor, shown=shown)
        for one in self._told():
            if one.version >= standing.length and one.kind == "refused":
                self.terminal.line((one.text, "yellow"), indent=4)
        if task.conversation != self.conversation:  # a child's: what it led to is told here
            here = await self.runtime.outcome(self.conversation)
            decided = replace(here, replies=self._since(self._shown))
        self._show(decided)

    async def _watch_deadlines(self) -> None:
        """Fire deadlines, and say what came of those of this conversation."""
        while True:
            await asyncio.sleep(0.5)
            try:
                await self.runtime.fire_due()
            except FlowError:  # a conversation of a flow that is not loaded here; `interlock doctor` lists it
                continue
            outcome = await self.runtime.outcome(self.conversation)
            if outcome.length > self._shown and not self._busy:
                self.terminal.blank()
                self._show(replace(outcome, replies=self._since(self._shown)))
                if outcome.standing == "ended":
                    self.terminal.line(("The conversation has ended; press Enter.", "dim"))

    def _since(self, version: int) -> tuple[str, ...]:
        """What was replied from event `version` on."""
        return tuple(
            event.text.removeprefix("replies: ").strip("“”")
            for event in self._told()
            if event.type == "reply_sent" and event.version >= version
        )

    def _show(self, outcome: TurnOutcome) -> None:
        self._shown = outcome.length
        for reply in outcome.replies:
            self.terminal.hang(self.terminal.text(("  »", "bold")), safe(reply))
        standing = {"with_person": "with a person", "ended": "ended"}.get(outcome.standing, "")
        self.terminal.line((f"{outcome.state}{f' · {standing}' if standing else ''}", "dim"), indent=4)
        if outcome.task is not None:
            task = outcome.task
            choice = " or ".join(f"/{one}" for one in task.decisions)
            several = f" ({len(task.endorsed)} of {task.approvals} approvals)" if task.approvals > 1 else ""
            self.terminal.line((f"task {task.number} for {task.role}: {choice}{several}", "yellow"), indent=4)

    def _state(self, outcome: TurnOutcome) -> None:
        store = self.wired.store
        known = known_words(
            recorded(store.read(self.conversation)),
            self.wired.project.program.flow,
            texts_seen(store, self.conversation, "chat"),
        )
        self.terminal.line(
            (outcome.state, "bold"),
            f" · {outcome.standing.replace('_', ' ')} · {counted(outcome.length, 'event')}",
            indent=4,
        )
        for name, words in known.items():
            self.terminal.line((f"{name}: {words}", "dim"), indent=4)

    def _receipt(self, outcome: TurnOutcome) -> None:
        if outcome.receipt:
            sys.stdout.write(outcome.receipt)  # to be kept as it is, byte for byte
        else:
            says = "The log is not signed: `interlock key new` makes it a key. One that it had was changed."
            self.terminal.line((says, "yellow"), indent=4)

    def _log(self) -> None:
        timeline.show(self.terminal, self._told())

    def _told(self) -> tuple[Told, ...]:
        store = self.wired.store
        entries = recorded(store.read(self.conversation))
        return told(entries, self.wired.project.program.flow, texts_seen(store, self.conversation, "chat"))

    def _prompt(self) -> None:
        if self.typed:
            self.terminal.console.print(self.terminal.text(("you ", "bold cyan")), end="")

    def _end(self) -> None:
        if self.typed:
            self.terminal.blank()
        db = "" if str(self.path) == DEFAULT_DB else f" --db {self.path}"
        name = self.conversation[:8]
        self.terminal.line(
            ("In the log: ", "dim"),
            (f"interlock log {name} --texts{db}", "green"),
            ("  again: ", "dim"),
            (f"interlock replay {name}{db}", "green"),
        )

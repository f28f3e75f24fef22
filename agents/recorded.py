"""An agent that serves what was recorded: replays and forks run on it, and it never calls out."""

import copy
from collections import deque
from collections.abc import Iterable, Mapping

from ..contracts.agents import AgentReply, AgentRequest
from ..contracts.errors import AgentFailed, CallError

Recording = AgentReply | AgentFailed


class RecordedAgent:
    """Serves recorded replies and failures: by effect id (`stream:version`), else in order per agent name.

    Served by effect, a recording answers as often as it is asked: the same intent has the same reply. Served
    by agent, each is used once. `served` counts both.
    """

    def __init__(
        self,
        by_effect: Mapping[str, Recording] | None = None,
        *,
        by_agent: Mapping[str, Iterable[Recording]] | None = None,
        name: str = "recorded",
    ) -> None:
        self.name = name
        self.served = 0
        self._by_effect = dict(by_effect or {})
        self._by_agent = {agent: deque(recordings) for agent, recordings in (by_agent or {}).items()}

    async def run(self, request: AgentRequest) -> AgentReply:
        """The recording of this request, raised if it is a failure. Raises `CallError` if there is none."""
        recording = self._by_effect.get(request.effect)
        queue = self._by_agent.get(request.agent)
        if recording is None and queue:
            recording = queue.popleft()
        if recording is None:
            raise CallError(
                f"Nothing was recorded for effect {request.effect!r} of agent {request.agent!r}; "
                f"{self.served} recordings were served before.",
                fix="Replay against the log that the recordings come from, or run with a model.",
            )
        self.served += 1
        if isinstance(recording, AgentFailed):
            raise copy.copy(recording)
        return recording

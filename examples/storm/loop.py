"""The control: the same agents in the loop that many teams begin with. Nothing in it ever says stop."""

import json
from dataclasses import dataclass

from interlock.contracts.agents import Agent, AgentRequest, ChatMessage
from interlock.contracts.flow import AgentSpec


@dataclass(frozen=True, slots=True)
class Spent:
    """What a loop had cost after so many calls. `nano` is in billionths of the currency unit."""

    calls: int
    handoffs: int
    tokens: int
    nano: int


async def plain_loop(agent: Agent, specs: tuple[AgentSpec, ...], message: str, *, calls: int) -> tuple[Spent, ...]:
    """Ask the first agent, then whoever it names, with the whole history, until one turns to the customer.

    Returns what each call had added up to. `calls` is where we pull the plug; the loop has no end of its own.
    """
    known = {one.name: one for one in specs}
    history, speaker, spent = [ChatMessage("user", message)], specs[0].name, [Spent(0, 0, 0, 0)]
    while len(spent) <= calls:
        spec = known[speaker]
        reply = await agent.run(
            AgentRequest(
                effect=f"loop:{len(spent)}",
                agent=speaker,
                model=spec.model,
                messages=(ChatMessage("system", spec.instructions), *history),
            )
        )
        said = json.loads(reply.text)
        before = spent[-1]
        spent.append(
            Spent(
                before.calls + 1,
                before.handoffs + (said["next"] != "customer"),
                before.tokens + reply.usage.tokens,
                before.nano + spec.price.cost(reply.usage),
            )
        )
        if said["next"] == "customer":
            break
        history.append(ChatMessage("assistant", reply.text))
        speaker = said["next"]
    return tuple(spent)

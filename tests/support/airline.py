"""The code of the airline flow beside this file: its guard, its imitated systems, and its script."""

from pathlib import Path
from typing import Any

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.facts import Facts
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code
from interlock.fsm.guards import guard
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled


@guard(says="the agent asks for a person")
def agent_asks_for_a_person(facts: Facts) -> bool:
    return facts.true("needs_person")


class Told(AgentResult):
    """What the passenger is told."""

    needs_person: bool = False


@tool(says="Finds a passenger's reservation.")
def find_reservation(user_id: str = "", reservation_id: str = "") -> dict[str, Any]:
    return {"reservation": reservation_id, "of": user_id}


@tool(says="Finds flights.")
def find_flights(day: str = "") -> dict[str, Any]:
    return {"flights": ["HAT136", "HAT039"], "day": day}


@tool(consequential=True, says="Changes a flight once for each key.")
def change_flight(flight: str, context: ToolContext) -> dict[str, Any]:
    return {"changed": flight, "under": context.idempotency_key}


def program() -> Program:
    code = Code.of(
        guards=[agent_asks_for_a_person], tools=[find_reservation, find_flights, change_flight], contracts=[Told]
    )
    return compiled(read_flow(Path(__file__).with_name("airline.yaml").read_bytes(), code).flow, code)


def scripted() -> ScriptedAgent:
    """Looks flights up, changes one when told to, gives up on complaints; sometimes breaks its contract."""
    return ScriptedAgent(
        rules(
            after_tool("find_flights", then=gives(reply="There are two flights, HAT136 and HAT039.")),
            after_tool("change_flight", then=gives(reply="It is changed.")),
            when(
                "yes",
                then=lambda request: (
                    calls("change_flight", flight="HAT136") if len(request.tools) > 1 else gives(reply="Noted.")
                ),
            ),
            when(
                "flight",
                "book",
                "economy",
                then=lambda request: calls("find_flights") if request.tools else gives(reply="None today."),
            ),
            when("unacceptable", "complain", then=gives(reply="I am sorry.", needs_person=True)),
            when("passenger", then='{"outcome": "done"'),
            when("insurance", then=gives(outcome="unsure")),
            otherwise=gives(reply="Thank you, noted."),
        )
    )

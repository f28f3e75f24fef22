"""What a whole conversation may use: so many turns, each of which uses at most so much."""

from collections.abc import Mapping

from .bill import pays
from .endings import NOTHING, Cost
from .explore import connected
from .search import Search

Totals = Mapping[str, int | None]


def conversation_bill(search: Search) -> tuple[Totals, str]:
    """The most of each, None where nothing bounds it, and a sentence of what bounds it.

    Messages are bounded by `conversation_messages`. What people decide is bounded by nothing but the budgets of the
    conversation, so a way round that needs only people has as many calls as they have patience.
    """
    flow, bill = search.explored.model.flow, search.bill
    limits, most = flow.limits, bill.most
    if bill.cycle:
        totals: Totals = {"calls": None, "tools": None, "seconds": None}
        budgets = {"tokens": limits.conversation_tokens, "nano": limits.conversation_cost}
        return {**totals, **budgets}, "one turn is unbounded already: only budgets and time end it"
    if bill.unbounded:
        totals = dict.fromkeys(("calls", "tools", "tokens", "nano", "seconds"))
        return totals, "a child conversation is unbounded already: only its budgets and time end it"
    if not search.complete:
        unknown: Totals = dict.fromkeys(("calls", "tools", "tokens", "nano", "seconds"))
        return unknown, "not everything was searched: only the limits of a turn are known"
    if most == NOTHING:
        return {"calls": 0, "tools": 0, "tokens": 0, "nano": 0, "seconds": 0}, "nothing is called"
    patient, talking = _rounds(search)
    tokens, nano = limits.conversation_tokens, limits.conversation_cost
    if patient:
        why = f"a person or another system may go round {patient} without the customer, as often as they decide"
        return {"calls": None, "tools": None, "tokens": tokens, "nano": nano, "seconds": None}, why
    turns = limits.conversation_messages + 1 if talking else 1
    total = (most if talking else NOTHING).plus(_between(search, not talking)).times(turns)
    found: Totals = {
        "calls": total.calls,
        "tools": total.tools,
        "tokens": min(total.tokens, tokens),
        "nano": min(total.nano, nano),
        "seconds": total.seconds,
    }
    why = (
        f"at most {limits.conversation_messages:,} messages (conversation_messages), and conversation_tokens and "
        "conversation_cost"
        if talking
        else "no way leads round: every turn comes once"
    )
    return found, why


def _between(search: Search, every: bool) -> Cost:
    """What turns that no message begins add up to, each once (those that a message begins too, where `every`)."""
    model, spoken = search.explored.model, set()
    for index in search.explored.at():
        spoken |= {one.to for one in model.moves_of(index) if one.new_turn and "message" in one.ending.events}
    total = NOTHING
    for turn, cost in search.bill.turns.items():
        if every or (turn not in spoken and turn != model.initial):
            total = total.plus(cost)
    return total


def _rounds(search: Search) -> tuple[str, bool]:
    """The states of a way round that needs no message and calls something, and whether any leads round at all."""
    patient, talking = _way_round(search, messages=False), _way_round(search, messages=True)
    return ", ".join(patient[:6]), bool(talking)


def _way_round(search: Search, *, messages: bool) -> list[str]:
    """The states of a way round over several turns that calls something; none where there is no such way."""
    explored = search.explored
    model = explored.model
    targets: dict[int, list[int]] = {}
    paying: list[tuple[int, int]] = []
    turning: list[tuple[int, int]] = []
    for index in explored.at():
        for move in model.moves_of(index):
            if move.ending.cause == "operator" or ("message" in move.ending.events and not messages):
                continue
            targets.setdefault(index, []).append(move.target)
            if pays(move):
                paying.append((index, move.target))
            if move.new_turn:
                turning.append((index, move.target))
    for part in connected(list(targets), lambda here: targets.get(here, ())):
        inside = frozenset(part)
        if all(any(one in inside and two in inside for one, two in some) for some in (paying, turning)):
            return list(dict.fromkeys(model.locations[one].state for one in sorted(part)))
    return []

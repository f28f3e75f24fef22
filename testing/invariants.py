"""What must hold of any conversation on any flow, counted here again from the events, not taken from the runtime."""

from collections import Counter
from collections.abc import Callable, Iterator

from ..contracts.events import (
    AgentRequested,
    Event,
    InputReceived,
    IssuesDropped,
    MessageReceived,
    MessageTaken,
    RoutingDecided,
    TaskDecided,
    ToolRequested,
    TransitionTaken,
)
from ..contracts.limits import Limits
from ..fsm.decide import effects_of
from ..fsm.draft import CallAgent, RunTool
from ..fsm.policies.alphabet import NOTHING_SEEN, observed
from ..fsm.policies.judging import after, broken_among
from .coverage import reachable
from .holding import log_faults
from .talk import Talk

Invariant = Callable[[Talk], list[str]]
"""What does not hold of a conversation at rest, in words; nothing where all does."""
_NEW_TURN = (InputReceived, MessageTaken, TaskDecided)


def limits_hold(talk: Talk) -> list[str]:
    """Calls, moves, handoffs and tools of every turn stay within what the flow declares."""
    return [
        fault
        for stream in talk.streams
        for fault in _limits(talk.happened[stream], talk.program_of(stream).flow.limits)
    ]


def _limits(events: list[Event], limits: Limits) -> Iterator[str]:
    used: Counter[str] = Counter()
    messages = frames = 0
    for event in events:
        taken = isinstance(event, MessageReceived) and event.disposition in ("taken", "forwarded")
        if taken or isinstance(event, _NEW_TURN):
            used.clear()
        if isinstance(event, MessageReceived) and event.disposition != "refused":
            messages += 1
        elif isinstance(event, AgentRequested) and not event.background:
            used["agent_calls"] += 1
        elif isinstance(event, ToolRequested):
            used["tool_calls"] += 1
        elif isinstance(event, TransitionTaken):
            used["steps"] += event.on != "limit"
            frames += {"push": 1, "return": -1}.get(event.move, 0)
            frames = 0 if event.move == "leave" else frames
        for name, most in (
            ("agent_calls", limits.agent_calls),
            ("tool_calls", limits.tool_calls),
            ("steps", limits.steps),
        ):
            if most is not None and used[name] > most:
                yield f"a turn had {used[name]} {name}, more than the limit of {most}"
                used[name] = 0
        if frames > limits.digression_depth:
            yield f"{frames} digressions were open at once, more than {limits.digression_depth}"
    if messages > limits.conversation_messages:
        yield f"{messages} messages were taken, more than {limits.conversation_messages}"


def nothing_is_lost(talk: Talk) -> list[str]:
    """Every message that was sent stands in the log once, and none is left over where nothing is in hand."""
    faults = []
    expected = [f"c:{key}" for key in talk.keys]
    found = {key: talk.recorded_keys[talk.id, key] for key in expected}
    faults += [f"the message {key} stands {found[key]} times in the log" for key in expected if found[key] > 1]
    if not talk.refused and talk.at_rest:  # what got no answer yet is not promised
        faults += [f"the message {key} is not in the log" for key in expected if not found[key]]
    for stream in talk.streams:
        conversation = talk.conversation(stream)
        idle = not conversation.at_work and conversation.child is None and not talk.outside.waiting
        if conversation.inbox and conversation.status == "open" and idle and not talk.left_undecided:
            faults.append(f"{len(conversation.inbox)} messages wait though nothing is in hand")
        faults += _issues(talk, stream)
    return faults


def _issues(talk: Talk, stream: str) -> Iterator[str]:
    """Every issue that was noted is taken up, dropped with its reason, or waits still."""
    noted = taken = dropped = 0
    before = 0
    for event in talk.happened[stream]:
        if isinstance(event, RoutingDecided) and event.agent is None:
            if event.evidence.queued:
                taken += max(before - len(event.issues), 0)
            else:
                noted += max(len(event.issues) - before, 0)
                taken += max(before - len(event.issues), 0)
            before = len(event.issues)
        elif isinstance(event, IssuesDropped) and event.reason != "too_many":
            dropped += before
            before = 0
    left = len(talk.conversation(stream).issues)
    if noted != taken + dropped + left and noted > taken + dropped + left:
        yield f"{noted} issues were noted; {taken} taken up, {dropped} dropped and {left} waiting are fewer"
    conversation = talk.conversation(stream)
    if left and conversation.status == "ended":
        yield f"it ended with {left} issues that were neither taken up nor dropped"


def undecided_are_listed(talk: Talk) -> list[str]:
    """Whatever was begun and has not ended is being performed, or is listed for a person to resolve."""
    performed = talk.outside.in_hand
    listed = {f"{stream}:{effect}" for stream, effect in talk.left_undecided}
    return [
        f"effect {effect} was begun and nobody has it in hand"
        for stream in talk.streams
        if talk.conversation(stream).status == "open"
        for effect in _begun(talk, stream)
        if f"{stream}:{effect}" not in performed | listed
    ]


def _begun(talk: Talk, stream: str) -> list[int]:
    effects = effects_of(talk.conversation(stream))
    return [one.effect for one in effects if isinstance(one, CallAgent | RunTool)]


def tools_run_once(talk: Talk) -> list[str]:
    """No call is made twice but after a crash, and never with other arguments under the same key."""
    faults: list[str] = []
    arguments: dict[str, object] = {}
    times = Counter(one.key for one in talk.outside.called)
    for one in talk.outside.called:
        if arguments.setdefault(one.key, one.arguments) != one.arguments:
            faults.append(f"the tool {one.tool!r} was called twice under one key, with other arguments")
        elif times[one.key] > 1 + talk.crashes + talk.resolved_again:
            faults.append(f"the tool {one.tool!r} was called {times[one.key]} times under one key")
    return faults


def policies_hold(talk: Talk) -> list[str]:
    """No policy of the flow is broken, whether it is enforced or not; one that still waits is, at the end."""
    faults = []
    for stream in talk.streams:
        program = talk.program_of(stream)
        if not program.watches:
            continue
        states, seen = (0,) * len(program.watches), NOTHING_SEEN
        for version, event in enumerate(talk.happened[stream]):
            words, seen = observed(event, version, seen)
            states = after(program.watches, states, words)
        ended = talk.conversation(stream).status == "ended" and not seen.left
        names = [program.watches[at].name for at in broken_among(program.watches, states, ended=ended)]
        faults += [f"the policy {name!r} is broken: {says}" for name in names for says in program.says_of([name])]
    return faults


def as_the_model_says(talk: Talk) -> list[str]:
    """Every move is one that exploring the flow found, and an end or a person can still be reached."""
    faults = []
    for stream in talk.streams:
        flow = talk.program_of(stream).flow
        can = reachable(flow)
        if not can.complete:
            continue
        faults += [
            f"{one.source} → {one.target} by row {one.row + 1}: no exploring found this move"
            for one in talk.happened[stream]
            if isinstance(one, TransitionTaken) and (one.source, one.row, one.target) not in can.moves
        ]
        conversation = talk.conversation(stream)
        if conversation.status == "open" and conversation.state not in can.leads_out:
            faults.append(f"from {conversation.state!r} neither an end nor a person can be reached")
    return faults


ALWAYS: tuple[Invariant, ...] = (
    limits_hold,
    nothing_is_lost,
    undecided_are_listed,
    tools_run_once,
    policies_hold,
    as_the_model_says,
)


def faults_of(talk: Talk, more: tuple[Invariant, ...] = (), *, ended: bool = True) -> list[str]:
    """Everything that does not hold, each once. The whole log is read and decided again only where the talk has
    `ended`: that takes longer than the talk."""
    asked = (*ALWAYS, *more, *((log_faults,) if ended else ()))
    return list(dict.fromkeys(fault for one in asked for fault in one(talk)))

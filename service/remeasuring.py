"""What a new flow measures on recorded texts: taken from the record where it measured the same, else measured anew.

A threshold does not change what is measured, so trying one on a whole history reads no text at all.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from ..contracts.commands import FlowRef, Reading, Routed
from ..contracts.events import FlowChanged, MessageReceived, RoutingDecided
from ..contracts.facts import FactReading
from ..contracts.flow import AgentState, Flow, RouterSpec, RouteState
from ..contracts.payload import Payload, PayloadAt, PayloadRef, bytes_of
from ..contracts.routing import RoutingEvidence
from ..fsm.conversation import Conversation
from ..fsm.draft import Route
from ..fsm.program import Program
from ..fsm.reading import read_message
from ..fsm.route import evidence
from ..fsm.unopened import Unopened

REMEMBERED_TEXTS, REMEMBERED_CHARACTERS = 4_096, 500
"""Of what was measured, how many are kept by their texts, and of what length at most."""
Payloads = Callable[[], Mapping[PayloadAt, Payload]]
"""Reads the texts of one conversation; called at most once, and only where a text is needed."""
_MEASURED = (
    "labels", "screen", "screen_classifier", "screen_threshold", "max_characters", "escalations", "rules",
    "classifier", "several",
)  # fmt: skip
"""What of a router decides what is measured; the rest decides what follows from it."""


class Changes:
    """What two flows measure otherwise: found once for each version that a log holds."""

    def __init__(self, then: Flow | None, program: Program) -> None:
        self.then, self.program = then, program
        self.same_flow = then is not None and then.digest == program.ref.digest
        self._routers = {one.name: one for one in then.routers} if then is not None else {}
        states = then.states if then is not None else ()
        self._of_state = {one.name: one.router for one in states if isinstance(one, RouteState)}
        scopes = {one.name: one.scope for one in then.agents} if then is not None else {}
        self._of_scope = {one.name: scopes.get(one.agent) for one in states if isinstance(one, AgentState)}
        self._measures_same: dict[tuple[str, str], bool] = {}
        self.facts_same = then is not None and (then.facts, then.currency) == (
            program.flow.facts,
            program.flow.currency,
        )
        self.reads_same = then is not None and self.facts_same and self._digresses_same(then, program.flow)
        self._evidence: OrderedDict[tuple[str, str, tuple[str, ...], str | None], RoutingEvidence] = OrderedDict()

    def router_then(self, state: str) -> str:
        """The router that measured for the state; empty where the flow of then is not known."""
        return self._of_state.get(state) or self._of_scope.get(state) or ""

    def measures_same(self, then: str, now: str) -> bool:
        """Whether the router `now` of the new flow measures what the router `then` of the old one did."""
        found = self._measures_same.get((then, now))
        if found is None:
            one, other = self._routers.get(then), self.program.routers.get(now)
            found = one is not None and other is not None and _measures(one) == _measures(other)
            self._measures_same[then, now] = found
        return found

    def _digresses_same(self, then: Flow, now: Flow) -> bool:
        if then.digressions is None or now.digressions is None:
            return then.digressions == now.digressions
        return self.measures_same(then.digressions, now.digressions)

    def measured(self, effect: Route, text: str) -> RoutingEvidence:
        """What the new flow's router measures on the text. People write the same often: the latest are remembered."""
        asked = (effect.router, text, effect.candidates, effect.held)
        found = self._evidence.get(asked)
        if found is not None:
            self._evidence.move_to_end(asked)
            return found
        spec, known = self.program.routers[effect.router], self.program.code.classifiers
        found = evidence(
            spec,
            text,
            classifier=known.get(spec.classifier or ""),
            screener=known.get(spec.screen_classifier or ""),
            candidates=effect.candidates,
            held=effect.held,
        )
        if len(text) <= REMEMBERED_CHARACTERS:
            self._evidence[asked] = found
            if len(self._evidence) > REMEMBERED_TEXTS:
                self._evidence.popitem(last=False)
        return found


def _measures(spec: RouterSpec) -> tuple[object, ...]:
    return tuple(getattr(spec, name) for name in _MEASURED)


_Measured = tuple[Changes, str, bool, RoutingEvidence]


class Remeasured:
    """The `Sources` of one recorded conversation."""

    def __init__(
        self,
        changes: Changes,
        entries: Sequence[Unopened],
        payloads: Payloads,
        since: Callable[[str], Changes] | None = None,
    ) -> None:
        """`changes` are those since the flow that the conversation began on; `since` gives those of a flow that it was
        moved to, by its digest. Without, all is measured anew from there on."""
        self._changes, self._entries, self._read = changes, entries, payloads
        self._began, self._since = changes, since
        self._program = changes.program
        self._payloads: Mapping[PayloadAt, Payload] | None = None
        self._found: dict[int, list[_Measured]] | None = None

    def moved(self, flow: FlowRef) -> None:
        self._changes = self._changes_since(flow)

    def _changes_since(self, flow: FlowRef) -> Changes:
        return Changes(None, self._program) if self._since is None else self._since(flow.digest)

    def evidence(self, effect: Route, was: Routed | None) -> RoutingEvidence | None:
        """The recorded evidence where the same was measured on this message, else measured; None without its text."""
        if was is not None and self._changes.same_flow:
            return was.evidence
        spec = self._program.routers[effect.router]
        held = effect.held if effect.held in spec.labels else None
        if was is not None and was.evidence.held == held and self._measures_same(was, effect.router):
            return was.evidence
        for changes, then, bare, found in self._recorded().get(effect.message, ()):
            if bare != (not effect.candidates) and (bare or found.picked is not None):
                continue  # what the customer picked depends on what was offered
            if changes.measures_same(then, effect.router):
                return found if found.held == held else found.changed(held=held)
        text = self._text(effect.message)
        if text is None:
            return None
        return self._changes.measured(effect, text)

    def reading(self, event: MessageReceived, conversation: Conversation) -> Reading | None:
        """The recorded reading where the same rules read it, else read anew; None without its text."""
        if self._changes.same_flow or (self._changes.reads_same and event.disposition != "refused"):
            return event.reading
        flow, code, question = self._program.flow, self._program.code, conversation.visit.question
        too_long = event.message.length > flow.limits.message_bytes
        if too_long or conversation.status != "open" or (question is None and not flow.facts):
            return Reading()
        if self._changes.facts_same and event.disposition != "refused":
            return self._digressing(event.reading, question is not None, conversation.version)
        text = self._text(conversation.version)
        if text is None:
            return None
        found = read_message(
            flow,
            code,
            text,
            asking=question.fact if question else None,
            confirming=question is not None and question.fact is None,
            known=conversation.facts,
        )
        refs = {one.name: one.payload for one in event.reading.facts if one.payload is not None}
        facts = tuple(
            FactReading(name=one.name, value=one.value, answers=one.answers)
            if one.text is None
            else FactReading(
                name=one.name, payload=_sealed(refs.get(one.name), one.name, one.text), answers=one.answers
            )
            for one in found.facts
        )
        reading = Reading(control=found.control, facts=facts, unreadable=found.unreadable)
        return self._digressing(reading, question is not None, conversation.version)

    def _digressing(self, reading: Reading, asking: bool, message: int) -> Reading | None:
        """The reading with what the new flow's router for digressions measures on an answer; None without its text."""
        router = self._program.flow.digressions
        found: RoutingEvidence | None = None
        if asking and router is not None:
            found = self.evidence(Route("", router, message, ()), None)
            if found is None:
                return None
        return reading if found == reading.digression else reading.changed(digression=found)

    def _measures_same(self, was: Routed, router: str) -> bool:
        return self._changes.measures_same(self._changes.router_then(was.state), router)

    def _recorded(self) -> dict[int, list[_Measured]]:
        """What was measured on each message: under which flow, by which router, and whether nothing was offered to pick
        from."""
        if self._found is None:
            self._found = {}
            changes = self._began
            for version, one in enumerate(self._entries):
                if one.type not in ("routing_decided", "message_received", "flow_changed"):
                    continue
                event = one.event
                if isinstance(event, FlowChanged):
                    changes = self._changes_since(event.flow)
                elif isinstance(event, RoutingDecided):
                    if event.evidence.modelled is None and not event.evidence.queued:
                        router, bare = changes.router_then(event.state), event.agent is not None
                        self._found.setdefault(event.message, []).append((changes, router, bare, event.evidence))
                elif isinstance(event, MessageReceived) and event.reading.digression is not None:
                    router = (changes.then.digressions or "") if changes.then else ""
                    self._found.setdefault(version, []).append((changes, router, True, event.reading.digression))
        return self._found

    def _text(self, message: int) -> str | None:
        """What the customer wrote; empty where no message was in hand, None where it was erased."""
        if not message:
            return ""
        if self._payloads is None:
            self._payloads = self._read()
        payload = self._payloads.get(PayloadAt(version=message, name="message"))
        return None if payload is None else payload.text


def _sealed(recorded: PayloadRef | None, name: str, text: str) -> PayloadRef:
    """What the envelope would say of the text; of one that was not recorded, a commitment to it that nobody keeps."""
    if recorded is not None:
        return recorded
    return Payload(name=f"fact_{name}", kind="fact", r=bytes(32), plaintext=bytes_of(text)).ref

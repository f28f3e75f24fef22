"""A flow as a Promela model, for the model checker SPIN: a second opinion that shares nothing with our own search.

It reads the flow by itself: each attempt at a model, each tool call and each round is a step, and every limit of a
turn is counted, each as `docs/limits.md` tells it. What is a choice of the world is a choice of the model. Policies
over time are in it as far as it has their words; the head of the file names those that are not.

    interlock check FLOW --promela flow.pml
    spin -a flow.pml && cc -DNOREDUCE -DSAFETY -o pan pan.c && ./pan

`pan` names lines that are never reached (rows that are never taken), an *invalid end state* (a dead end), and a broken
assertion: more model calls in a turn than `CALLS`, or a policy that the rows do not keep by themselves. With `-DLOOPS`
given to spin, and without `-DSAFETY`, `./pan -a` finds an *acceptance cycle*: a loop that calls something and needs no
input, no person and no limit.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product

from ...contracts.flow import ANY, RETURN, CollectState, Flow, State, WaitState
from .openings import looked_at, openings, visits_asked
from .promela_policies import macros
from .promela_visits import LIMIT, Visits

HEAD = """#ifndef CALLS
#define CALLS 32000
#endif
#ifndef CALLED
#define CALLED skip
#endif
#ifndef SEEN
#define SEEN(place) skip
#endif
#ifndef BROKEN
#define BROKEN(policy) assert(!policy)
#endif
#ifdef LOOPS
#define NEW !going
#define PAYS(place) if :: going -> accept_ ## place: skip :: else fi
#else
#define NEW true
#define PAYS(place) skip
#endif
"""


@dataclass
class Export(Visits):
    """One flow as one process."""

    def text(self, process: str = "active proctype conversation") -> str:
        """The process, without `HEAD`."""
        body = [*self._declared(), "  do"]
        for state in self.flow.states:
            body += [f"  :: on == 0 && state == {self.s(state.name)} ->", "    if"]
            options = [*self._options(state)]
            body += [f"    :: {one}" for one in options] or ["    :: false"]
            body += ["    fi"]
        body += ["  :: on != 0 ->", *self._settled(), "  od;", "over: skip"]
        text = "\n".join((*self._names(), *macros(self.watchers, self.words), f"{process}() {{", *body, "}", ""))
        sites = count(self.number * 10_000)
        return re.sub("@", lambda _: str(next(sites)), text)  # each is a label of its own

    def _names(self) -> Iterator[str]:
        for place, state in enumerate(self.states):
            yield f"#define {self.s(state)} {place}"
        for place, on in enumerate(dict.fromkeys((LIMIT, *self.ons)), start=1):
            yield f"#define {self.on(on)} {place}"

    def _declared(self) -> Iterator[str]:
        yield f"  byte state = {self.s(self.flow.initial)}; byte on = 0;"
        yield f"  byte depth = 0; byte frame[{max(1, self.flow.limits.digression_depth)}];"
        yield "  byte attempt = 0, rounds = 0, fallback = 0, asked = 0, again = 0; bit early = 1; bit heard = 0;"
        yield "  byte last = 0; short steps = 0, calls = 0, tools = 0, handoffs = 0, own = 0;"
        yield f"  byte pair[{max(1, len(self.agents)) ** 2}];"
        for state in self.visits:
            yield f"  byte seen_{state} = {int(state == self.flow.initial and self.visits[state] >= 0)};"
        yield "#ifdef LOOPS"
        yield "  bit going = 0;"
        yield "#endif"
        for one in self.watchers:
            yield from one.declared()
        yield f"  {self.seen('state', self.flow.initial)}; {self.said(f'enter:{self.flow.initial}')}skip;"

    def _settled(self) -> Iterator[str]:
        yield "    if"
        limit = self.on(LIMIT)
        if "steps" in self.counted:
            most = self.counted["steps"]
            yield f"    :: on != {limit} && steps >= {most} -> on = {limit}"
            below = f"(on == {limit} || steps < {most}) && "
            if self.flow.limits.repeats is not None:
                yield f"    :: on != {limit} && steps >= {self.flow.limits.repeats} -> on = {limit}"
        else:
            below = ""
        for state in self.flow.states:
            for on in dict.fromkeys((LIMIT, *self.ons)) if state.kind != "final" else ():
                for condition, index in self._opened(state.name, on):
                    yield (
                        f"    :: {below}state == {self.s(state.name)} && on == {self.on(on)}{condition} ->\n"
                        f"       {self._row(state, index)}"
                    )
        yield "    fi"

    def _opened(self, state: str, on: str) -> Iterator[tuple[str, int]]:
        """Every row that may be taken, and on what of the turn that depends."""
        rows = self.rows(state, on)
        asked = visits_asked(self.flow, rows)
        for deep in (False, True):
            for numbers in product(*(range(most + 2) for most in asked.values())):
                condition = f" && depth {'>' if deep else '=='} 0"
                for name, number in zip(asked, numbers, strict=True):
                    last = number == asked[name] + 1
                    condition += f" && seen_{name} {'>=' if last else '=='} {number}"
                for index in openings(self.flow, rows, deep, tuple(zip(asked, numbers, strict=True))):
                    yield condition, index

    def _row(self, state: State, index: int) -> str:
        row = self.flow.transitions[index]
        clear = "attempt = 0; rounds = 0; fallback = 0; asked = 0; again = 0; on = 0"
        clear += "; heard = 0" if looked_at(self.flow, row.guard) else ""
        most_steps = self.counted.get("steps")
        step = "skip" if most_steps is None else f"if :: steps < {most_steps} -> steps++ :: else fi"
        if row.push and isinstance(state, WaitState | CollectState):
            most = self.flow.limits.digression_depth
            entered = self._entered(row.target)
            pushed = f"frame[depth] = {self.s(state.name)}; depth++; {entered}; {step}; {clear}"
            return (
                f"if :: depth < {most} -> {self.seen('row', str(index))}; {pushed} :: else -> on = {self.on(LIMIT)} fi"
            )
        taken = f"{self.seen('row', str(index))}; {step}; {clear}; "
        if row.target == RETURN:
            words = ((name, self.said(f"enter:{name}")) for name in self.states)
            back = "".join(f" :: state == {self.s(name)} -> {said}skip" for name, said in words if said)
            return f"{taken}depth--; state = frame[depth]; frame[depth] = 0{f'; if{back} :: else fi' if back else ''}"
        gone = row.source == ANY or self.states[row.target].kind in ("human", "final")
        frames = "".join(f"frame[{place}] = 0; " for place in range(max(1, self.flow.limits.digression_depth)))
        return f"{taken}{f'depth = 0; {frames}' if gone else ''}{self._entered(row.target)}"

    def _entered(self, target: str) -> str:
        counted = ""
        if target in self.visits:
            most = self.visits[target] + 1
            counted = f"; if :: seen_{target} < {most} -> seen_{target}++ :: else fi"
        ended = (f"end:{target}",) if self.states[target].kind == "final" else ()
        said = self.said(f"enter:{target}", *ended)
        return f"state = {self.s(target)}; {self.seen('state', target)}{counted}{f'; {said}skip' if said else ''}"


def promela(flow: Flow) -> str:
    """The whole model of one flow."""
    export = Export(flow)
    text = export.text()
    told = "".join(f" * SEEN({number}) {kind} {name}\n" for number, (kind, name) in enumerate(export.places))
    named = {one.policy.name: one.number for one in export.watchers}
    told += "".join(f" * broken_{number} policy {name}\n" for name, number in named.items())
    told += "".join(f" * not in this model: policy {one.name}\n" for one in flow.policies if one.name not in named)
    return f"/* {flow.name} v{flow.version}, {flow.digest}\n{told} */\n{HEAD}{text}"


__all__ = ["HEAD", "Export", "promela"]

"""The walk over all recorded dialogues, with its controls, as the tables of docs/procedures.md.

`python tests/support/star_report.py` prints them.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support.star_charts import ChartFlow, chart_flow, charts
from support.star_dialogues import Act, Dialogue, Message, dialogues
from support.star_walk import ACCEPTED, GENERIC, Verdict, walked


@dataclass(frozen=True)
class Walked:
    """All verdicts of one way of walking, with the dialogues they are from."""

    verdicts: tuple[tuple[Dialogue, Verdict], ...]
    free: int

    def of(self, wanted: Callable[[Dialogue, Verdict], bool]) -> tuple[Verdict, ...]:
        return tuple(verdict for dialogue, verdict in self.verdicts if wanted(dialogue, verdict))

    @property
    def all(self) -> tuple[Verdict, ...]:
        return self.of(lambda _, verdict: True)

    @property
    def of_the_task(self) -> tuple[Verdict, ...]:
        """Without what every task has: greetings, "anything else?", out of scope."""
        return self.of(lambda _, verdict: verdict.action not in GENERIC)

    @property
    def compared(self) -> tuple[Verdict, ...]:
        return self.of(lambda _, verdict: verdict.compared)


@cache
def flows() -> dict[str, ChartFlow]:
    return {chart.task: chart_flow(chart) for chart in charts()}


def accepted(verdicts: Sequence[Verdict]) -> float:
    return sum(one.accepted for one in verdicts) / max(len(verdicts), 1)


def others(verdicts: Sequence[Verdict]) -> float:
    """How much of the chart's other actions would have been accepted in the same places."""
    return sum(one.others for one in verdicts) / max(len(verdicts), 1)


def straight(verdicts: Sequence[Verdict]) -> float:
    return sum(one.straight for one in verdicts) / max(len(verdicts), 1)


@cache
def recorded() -> Walked:
    """Each dialogue as it was, through the flow of its task."""
    return _walk(lambda dialogue: (dialogue.task, dialogue))


@cache
def read_literally() -> Walked:
    """As recorded, with no fact in a message but those whose words stand in it."""
    return _walk(lambda dialogue: (dialogue.task, dialogue), literally=True)


@cache
def with_shuffled_actions() -> Walked:
    """A control: the wizard's actions of each dialogue in another order, the person's messages where they were."""
    return _walk(lambda dialogue: (dialogue.task, shuffled(dialogue)))


@cache
def through_another_task() -> Walked:
    """A control: each dialogue through the flow of the task half the list away."""
    tasks = list(flows())
    return _walk(lambda dialogue: (tasks[(tasks.index(dialogue.task) + len(tasks) // 2) % len(tasks)], dialogue))


def shuffled(dialogue: Dialogue) -> Dialogue:
    acts = [step for step in dialogue.steps if isinstance(step, Act)]
    random.Random(dialogue.name).shuffle(acts)
    left = iter(acts)
    return replace(dialogue, steps=tuple(step if isinstance(step, Message) else next(left) for step in dialogue.steps))


def _walk(chosen: Callable[[Dialogue], tuple[str, Dialogue]], *, literally: bool = False) -> Walked:
    verdicts: list[tuple[Dialogue, Verdict]] = []
    free = 0
    for dialogue in dialogues(charts(), literally=literally):
        task, changed = chosen(dialogue)
        walk = walked(flows()[task], changed)
        verdicts += [(dialogue, verdict) for verdict in walk.verdicts]
        free += walk.free
    return Walked(tuple(verdicts), free)


def tables() -> Iterator[str]:
    """The lines of the report."""
    real = recorded()
    yield "| what is walked | steps | accepted | of the chart's other actions, in the same places |"
    yield "|---|---|---|---|"
    rows: Iterable[tuple[str, Sequence[Verdict]]] = (
        ("recorded: every labelled action", real.all),
        ("recorded: actions of the task alone", real.of_the_task),
        ("recorded: counted as for strict arrows", real.compared),
        ("recorded, facts only where their words stand", read_literally().all),
        ("control: actions shuffled, all", with_shuffled_actions().all),
        ("control: actions shuffled, of the task", with_shuffled_actions().of_the_task),
        ("control: the flow of another task, all", through_another_task().all),
        ("control: the flow of another task, of the task", through_another_task().of_the_task),
    )
    for name, verdicts in rows:
        yield f"| {name} | {len(verdicts):,} | {accepted(verdicts):.1%} | {others(verdicts):.1%} |"
    yield ""
    yield f"Strict arrows accept {straight(real.compared):.1%} of the {len(real.compared)} steps counted as for them."
    yield f"{real.free} times the wizard wrote free words, which are no action and are not judged."
    yield ""
    yield from _by_kind(real.all)
    yield ""
    yield from _by_task(real)


def _by_kind(verdicts: Sequence[Verdict]) -> Iterator[str]:
    counted = Counter(one.how for one in verdicts)
    yield "| what the wizard did | steps | share |"
    yield "|---|---|---|"
    for how, number in counted.most_common():
        word = "accepted" if how in ACCEPTED else "not accepted"
        yield f"| {word}: {how} | {number} | {number / len(verdicts):.1%} |"


def _by_task(real: Walked) -> Iterator[str]:
    yield "| task | dialogues | steps | accepted | followed | skipped | repeated | back | digression | not accepted |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for task in flows():
        some = real.of(lambda dialogue, _, task=task: dialogue.task == task)  # type: ignore[misc]
        number = len({dialogue.name for dialogue, _ in real.verdicts if dialogue.task == task})
        counted = Counter(one.how for one in some)
        cells = " | ".join(str(counted[how]) for how in ACCEPTED)
        missed = sum(not one.accepted for one in some)
        yield f"| {task} | {number} | {len(some)} | {accepted(some):.0%} | {cells} | {missed} |"


if __name__ == "__main__":
    print("\n".join(tables()))

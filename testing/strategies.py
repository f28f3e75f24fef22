"""Hypothesis strategies derived from a flow: messages, scores, answers, results, delays and decisions.

Each draws the plain values that `interlock.testing.possible` knows most of the time, and anything else besides.
"""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from ..agents.strict_json import written
from ..contracts.flow import HumanState, RouterSpec
from ..fsm.program import Program
from ..fsm.thresholds import MILLION, six, threshold_of
from ..service.acts import Act, AgentAnswers, Crashes, Decides, Passes, ToolAnswers, Writes
from .outside import Asked
from .possible import possible_by_kind, vocabulary
from .talk import Talk
from .values import broken_json, json_values

ODD_TEXTS = ("", " ", "\x00", "\ud800", "é" * 500, "😀", "\u202eabc", "yes no", "{amount}", "'; DROP TABLE event; --")
SLOW = (1.0, 59.0, 600.0, 4_000.0, 90_000.0)
_FAILURES = ("server_error", "rate_limited", "context_too_long", "connection")


def messages(program: Program, label: str = "") -> st.SearchStrategy[Writes]:
    """What customers write: for each label of each router (or one), around the thresholds, and anything at all."""
    known = [one.act() for one in vocabulary(program).messages]
    if label:
        known = [one for one in known if label in (one.scores or {}) or one.text.endswith(f" {label}")] or known
        return st.sampled_from(known)
    return st.one_of(
        st.sampled_from(known), st.sampled_from(known), st.sampled_from(ODD_TEXTS).map(Writes), _any_text()
    )


def _any_text() -> st.SearchStrategy[Writes]:
    return st.text(max_size=60).map(Writes)


def scores(router: RouterSpec) -> st.SearchStrategy[Mapping[str, str]]:
    """What a classifier may say: scores at each label's threshold, just below it, or anywhere."""

    def near(label: str) -> st.SearchStrategy[tuple[str, int]]:
        least = min(threshold_of(router, label), MILLION)
        return st.one_of(
            st.sampled_from(sorted({least, max(least - 1, 0), min(least + 1, MILLION), 0, MILLION})),
            st.integers(0, MILLION),
        ).map(lambda score: (label, score))

    return (
        st.lists(st.sampled_from(sorted(router.labels)), min_size=1, max_size=3, unique=True)
        .flatmap(lambda labels: st.tuples(*(near(one) for one in labels)))
        .map(lambda found: {label: six(score) for label, score in sorted(found, key=lambda one: -one[1])})
    )


def results(schema: Mapping[str, Any], facts: Mapping[str, tuple[Any, ...]] | None = None) -> st.SearchStrategy[Any]:
    """Values that keep a contract's JSON Schema: the plain ones, and objects with several of them at once."""
    plain = json_values(schema, facts or {})
    objects: list[dict[str, Any]] = [one for one in plain if isinstance(one, dict)]
    if not objects:
        return st.sampled_from(plain or (None,))
    by_name: dict[str, list[Any]] = {}
    for one in objects:
        for name, value in one.items():
            found = by_name.setdefault(name, [])
            if value not in found:
                found.append(value)
    mixed = st.fixed_dictionaries(
        {name: st.sampled_from(by_name[name]) for name in objects[0]},
        optional={name: st.sampled_from(values) for name, values in by_name.items() if name not in objects[0]},
    )
    return st.one_of(st.sampled_from(objects), mixed)


def broken_results(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Texts that break the contract."""
    return st.one_of(st.sampled_from(broken_json(schema)), st.text(max_size=30).filter(lambda text: "{" not in text))


def agent_answers(program: Program, asked: Asked, nth: int = 0) -> st.SearchStrategy[Act]:
    """Every way in which a model that was asked may end: results that keep or break its contract, tools, failures."""
    name, schema = asked.name, asked.request.contract if asked.request is not None else None
    usage = st.sampled_from((None, None, None, (10, 5), (5_000, 900)))
    fails: st.SearchStrategy[Act] = st.builds(
        AgentAnswers,
        st.just(name),
        fails=st.sampled_from(("failed", "timeout", "refused", "invalid")),
        reason=st.sampled_from(_FAILURES),
        retry_after_seconds=st.sampled_from((None, None, 5)),
        nth=st.just(nth),
    )
    if schema is None:
        texts: st.SearchStrategy[str] = st.sampled_from(("All right.", "", "No.", *ODD_TEXTS[:6]))
        return st.one_of(st.builds(AgentAnswers, st.just(name), texts, usage=usage, nth=st.just(nth)), fails)
    good = st.builds(
        AgentAnswers,
        st.just(name),
        results(schema, vocabulary(program).values).map(written),
        usage=usage,
        nth=st.just(nth),
    )
    bad = st.builds(AgentAnswers, st.just(name), broken_results(schema), nth=st.just(nth))
    found: list[st.SearchStrategy[Act]] = [good, good, bad, fails]
    return st.one_of(found)


def tool_answers(program: Program, state: str, tool: str, nth: int = 0) -> st.SearchStrategy[Act]:
    """What a tool may return, and errors that it may raise."""
    plain = [ToolAnswers(tool, one, nth=nth) for one in vocabulary(program).tool_results(state)]
    fails = [ToolAnswers(tool, fails=one, nth=nth) for one in ("RuntimeError", "OSError", "KeyError")]
    values: tuple[Any, ...] = ("", 0, [], {"unknown": "x"}, None)
    odd = [ToolAnswers(tool, one, nth=nth) for one in values]
    return st.sampled_from((*plain, *plain, *fails, *odd))


def decisions(program: Program) -> st.SearchStrategy[Act]:
    """What people may decide, with and without the role, twice by one person or by two."""
    words = sorted({one for state in program.flow.states if isinstance(state, HumanState) for one in state.decisions})
    return st.builds(
        Decides,
        st.sampled_from(words or ["nothing"]),
        st.sampled_from(("colleague", "colleague_2", "customer")),
        st.sampled_from((None, None, None, ("visitor",))),
    )


def delays() -> st.SearchStrategy[Act]:
    """The next deadline, or any time."""
    return st.one_of(st.just(Passes()), st.sampled_from(SLOW).map(Passes))


def kills() -> st.SearchStrategy[Act]:
    """The process dies now, or in the middle of what comes next."""
    return st.sampled_from((Crashes(), Crashes(1), Crashes(2), Crashes(3)))


def acts(talk: Talk) -> st.SearchStrategy[Act]:
    """Anything that can be done to the talk as it stands."""
    found = [act for kind in possible_by_kind(talk).values() for act in kind]
    return st.sampled_from(found) if found else st.nothing()

"""Random policies: every pattern in every scope, over a few words."""

from hypothesis import strategies as st

from interlock.contracts.policies import Policy

NAMES = ("ask", "pay", "approve", "close")
WORDS = ("message", "enter:ask", "tool:pay", "enter:pay", "done:pay", "decided:ask.yes", "enter:approve", "end:close")
_word = st.sampled_from((*NAMES, *WORDS))
_some = st.lists(_word, min_size=1, max_size=2, unique=True).map(tuple)
_none = st.just(())


def policies(words: st.SearchStrategy[str] = _word) -> st.SearchStrategy[Policy]:
    some = st.lists(words, min_size=1, max_size=2, unique=True).map(tuple)
    patterns = st.one_of(
        st.fixed_dictionaries({"never": some}),
        st.fixed_dictionaries(
            {"never": some, "unless_before": st.lists(some, min_size=1, max_size=3).map(tuple), "each": st.booleans()}
        ),
        st.fixed_dictionaries({"must": some}),
        st.fixed_dictionaries({"at_most": st.dictionaries(words, st.integers(1, 3), min_size=1, max_size=2)}),
        st.fixed_dictionaries({"every": some, "then": some}),
    )
    scopes = st.one_of(
        st.just({}),
        *(st.fixed_dictionaries({one: some}) for one in ("after", "before", "until")),
        *(st.fixed_dictionaries({"after": some, one: some}) for one in ("before", "until")),
    )
    return st.builds(
        lambda pattern, scope: Policy.model_validate({"name": "rule", "says": "A rule.", **pattern, **scope}),
        patterns,
        scopes,
    )


traces = st.lists(st.sampled_from((*WORDS, "tool:approve", "enter:other")), max_size=14)

"""Laws of templates: filling is total and loses nothing, and the bound is never under the real length."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.errors import FlowError
from interlock.contracts.facts import Facts, KnownFact
from interlock.contracts.flow import FactSpec
from interlock.contracts.payload import PayloadAt, bytes_of
from interlock.contracts.values import MAX_SAFE_INTEGER
from interlock.fsm.render import ERASED, bound_of, escaped, filled, places_in, said

anything = st.text(st.characters(codec=None, categories=None), max_size=60)
names = st.sampled_from(("amount", "day", "cabin", "agreed", "full_name", "bags", "unknown"))
parts = st.lists(st.tuples(st.just(""), names) | st.tuples(anything, st.just("")), max_size=8)
braces = st.sampled_from(("{", "}", "{{", "}}", "{amount}", "{full_name}", "{x y}"))
templates = st.lists(anything | braces, max_size=8).map("".join)
values = st.dictionaries(names, anything)

SPECS = {
    "amount": FactSpec(name="amount", type="money"),
    "day": FactSpec(name="day", type="date"),
    "cabin": FactSpec(name="cabin", type="choice", choices=("a",)),
    "agreed": FactSpec(name="agreed", type="yes_no"),
    "bags": FactSpec(name="bags", type="integer"),
}
long_names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,63}", fullmatch=True)
integers = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)


@given(parts, values)
def test_filling_puts_each_value_in_its_place_and_keeps_the_rest(
    written: list[tuple[str, str]],
    told: dict[str, str],
) -> None:
    template = "".join(f"{{{name}}}" if name else escaped(text) for text, name in written)
    assert places_in(template) == tuple(name for _, name in written if name)
    assert filled(template, told) == "".join(told.get(name, "") if name else text for text, name in written)


@given(anything)
def test_an_escaped_text_says_itself(text: str) -> None:
    assert filled(escaped(text), {}) == text
    assert places_in(escaped(text)) == ()


@given(templates, values)
def test_filling_never_fails_and_a_sound_template_has_only_declared_places(
    template: str,
    told: dict[str, str],
) -> None:
    result = filled(template, told)
    try:
        places = places_in(template)
    except FlowError:
        return
    assert filled(template, {name: told.get(name, "") for name in places}) == result


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Facts, dict[str, str]]:
    """Facts as the core sees them, and the words that the shell will fill in for them."""
    open_values: dict[str, bool | int | str] = {
        "amount": draw(integers),
        "bags": draw(integers),
        "day": str(draw(st.dates())),
        "cabin": draw(long_names),
        "agreed": draw(st.booleans()),
    }
    currency = draw(st.sampled_from(("EUR", "INR", "JPY", "KWD", "CHF")))
    told = draw(anything)
    known = {name: KnownFact(name=name, value=value) for name, value in open_values.items() if draw(st.booleans())}
    words = {name: said(SPECS[name], fact.value, currency) for name, fact in known.items() if fact.value is not None}
    if draw(st.booleans()):
        known["full_name"] = KnownFact(
            name="full_name", sealed=PayloadAt(version=1, name="n"), length=len(bytes_of(told))
        )
        words["full_name"] = draw(st.sampled_from((told, ERASED)))
    return Facts(known_facts=known), words


@given(templates, conversations())
def test_the_bound_is_never_under_the_real_length(template: str, conversation: tuple[Facts, dict[str, str]]) -> None:
    facts, words = conversation
    assert len(bytes_of(filled(template, words))) <= bound_of(template, facts)

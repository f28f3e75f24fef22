"""The table of prices in a flow: what models cost, each with its month, for agents without a price of their own."""

import pytest

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import Flow
from interlock.contracts.limits import Price
from interlock.fsm.build import flow
from interlock.fsm.describe import described
from interlock.fsm.load import read_flow
from interlock.fsm.prove.proof import proved
from interlock.fsm.written import written_yaml
from support.broken import CODE, MENDED, program_of

PRICES = """prices:
  llama3:8b:            {input: "0.10", output: "0.20", dated: 2026-11}
  openai/gpt-4.1-mini:  {input: "0.40", output: "1.60", dated: 2026-10}
"""
OWN = ', price: {input: "2.50", output: "10.00", dated: 2026-11}'
TABLE = MENDED.replace("agents:\n", f"{PRICES}agents:\n").replace(
    f"Answer{OWN}", "Answer, model: openai/gpt-4.1-mini", 1
)
MINI = Price(input_nano=400, output_nano=1_600, dated="2026-10")


def read(text: str) -> Flow:
    return read_flow(text, CODE).flow


def test_an_agent_without_a_price_has_that_of_its_model() -> None:
    """The other has its own, whatever the table says of its model."""
    found = read(TABLE.replace(f"Answer{OWN}", f"Answer, model: llama3:8b{OWN}"))
    orders, billing = found.agents
    assert orders.price == MINI
    assert billing.price == Price(input_nano=2_500, output_nano=10_000, dated="2026-11")
    assert found.prices["llama3:8b"] == Price(input_nano=100, output_nano=200, dated="2026-11")


def test_the_table_is_what_the_bill_counts_with() -> None:
    """The same as with the price at the agent."""
    table = TABLE.replace(OWN, ", model: openai/gpt-4.1-mini")
    plain = MENDED.replace('"2.50", output: "10.00", dated: 2026-11', '"0.40", output: "1.60", dated: 2026-10')
    bills = [proved(program_of(text)).bills for text in (table, plain, MENDED)]
    assert bills[0].turn.most == bills[1].turn.most
    assert bills[0].turn.most.nano < bills[2].turn.most.nano


def test_a_flow_without_a_table_has_the_digest_that_it_had() -> None:
    """And one with a table reads back from what is written of it."""
    assert b'"prices"' not in read(MENDED).canonical_bytes()
    found = read(TABLE)
    assert read(written_yaml(found)).digest == found.digest
    assert written_yaml(found).count("price: ") == 1
    assert "  openai/gpt-4.1-mini: {input: 0.4, output: 1.6, dated: 2026-10}" in written_yaml(found).replace('"', "")


def test_the_table_is_said() -> None:
    english = described(read(TABLE))
    assert "Known are the prices of llama3:8b (2026-11) and openai/gpt-4.1-mini (2026-10)." in english
    assert "EUR 0.4 in and 1.6 out per million tokens as of 2026-10" in english


def test_a_flow_in_python_has_the_same_table() -> None:
    one = read(TABLE)
    orders, billing = one.agents
    built = flow(
        **{name: getattr(one, name) for name in ("name", "version", "owner", "initial", "states", "transitions")},
        facts=one.facts,
        limits=one.limits,
        agents=(orders.changed(price=Price()), billing),
        prices=one.prices,
        code=CODE,
    )
    assert built.digest == one.digest


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        (", dated: 2026-10", "", "R202 'prices.openai/gpt-4.1-mini' has no 'dated'."),
        ("2026-10", "2026-13", "R211 '2026-13' is not a month. Fix: Write the month that the price is from"),
        ("2026-10", "soon", "R211 'soon' is not a month."),
        ('input: "0.40"', "input: lots", "R207 "),
        ("llama3:8b:", "'a b':", "R211 'a b' is not the name of a model."),
        ("output", "outputs", "R201 The key 'outputs' is unknown here."),
        (PRICES, "prices: 3\n", "R203 "),
    ],
)
def test_a_table_that_does_not_fit_is_a_fault_of_the_flow(was: str, now: str, says: str) -> None:
    """With its line."""
    text = TABLE.replace(was, now, 1)
    with pytest.raises(FlowError) as refused:
        read(text)
    (line,) = {fault.line for fault in refused.value.faults}
    assert PRICES.splitlines()[0].startswith("prices:")
    assert says in str(refused.value)
    assert text.splitlines()[line - 1].strip().startswith(("llama3", "openai", "'a b'", "prices"))

"""What a flow costs at worst: models without a price, prices from a table, and the way to each figure."""

from pathlib import Path
from typing import Any

import pytest

from interlock.cli.proving import amounts
from interlock.fsm.prove.proof import proved
from interlock.service.project import load_project
from support.broken import MENDED, program_of

TABLE = 'dated: 2026-12\ncurrency: EUR\nmodels:\n  gpt-4.1-mini: {input: "0.80", output: "3.20"}\n'


def test_a_model_without_a_price_costs_nothing_that_is_known(run: Any) -> None:
    """It is not free: the agent is named, and no amount is shown."""
    ran = run("check", "patterns/single_agent")
    assert "EUR no price known no price known" in ran.words
    assert "no price known for 'helper': give `price:` in the flow, or --prices" in ran.words
    assert run("check", "patterns/single_agent", "--json").json["proof"]["bill"]["no_price"] == ["helper"]
    assert "no price known" not in run("check", "bank").words


def test_where_one_of_several_has_no_price_there_is_more() -> None:

    text = MENDED.replace('price: {input: "2.50", output: "10.00", dated: 2026-11}', "", 1).replace(
        "Answer, }", "Answer}"
    )
    program = program_of(text)
    assert amounts(program.flow, proved(program).bills)["EUR"][0].endswith(" and more")


def test_prices_of_a_table_stand_in_place_of_the_flows(run: Any, tmp_path: Path) -> None:
    """Twice the price is twice the bill between two inputs, up to the budget of the turn."""
    file = tmp_path / "prices.yaml"
    file.write_text(TABLE, "utf-8")
    before = run("check", "bank", "--json").json["proof"]["bill"]["turn"]
    after = run("check", "bank", "--json", "--prices", file).json["proof"]["bill"]["turn"]
    assert after["nano"] == 2 * before["nano"]
    assert {**after, "nano": 0} == {**before, "nano": 0}
    file.write_text(TABLE.replace("0.80", "800.00"), "utf-8")
    dear = run("check", "bank", "--json", "--prices", file).json["proof"]["bill"]["turn"]
    assert dear["nano"] == load_project("bank").program.flow.limits.turn_cost


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: 3\n", "The file has no table `models`."),
        (TABLE.replace("EUR", "USD"), "The prices are in 'USD', and the flow counts in 'EUR'."),
        (TABLE.replace('"0.80"', "lots"), "The model 'gpt-4.1-mini' has a price that is no amount"),
        (TABLE.replace('"0.80"', '"-1"'), "The model 'gpt-4.1-mini' has a price that is no amount"),
        (TABLE.replace('"0.80"', '"NaN"'), "The model 'gpt-4.1-mini' has a price that is no amount"),
        (TABLE.replace(', output: "3.20"', ""), "The model 'gpt-4.1-mini' needs `input` and `output`"),
        ("models: [", "line 1"),
    ],
)
def test_a_table_that_does_not_fit_is_a_wrong_call(run: Any, tmp_path: Path, text: str, says: str) -> None:
    """With its line and how to write it."""
    file = tmp_path / "prices.yaml"
    file.write_text(text, "utf-8")
    ran = run("check", "bank", "--prices", file)
    assert ran.code == 2
    assert says in ran.words
    assert "line" in ran.words


def test_every_figure_has_its_way() -> None:
    """The way to the most tokens need not be that to the most tools."""
    program = program_of(MENDED)
    bills = proved(program).bills
    assert set(bills.ways) == {"calls", "tools", "tokens", "nano", "seconds"}
    assert [one.target for one in bills.ways["calls"]][:4] == ["asking", "invoices", "asking", "invoices"]
    assert "paying" in [one.state for one in bills.ways["tools"]]


def test_a_table_beside_the_flow_goes_before_the_flows(run: Any, tmp_path: Path) -> None:
    """`--prices` is asked for on the spot: it stands in place of the flow's table and of its agents' prices."""
    (tmp_path / "flow.yaml").write_text(
        "flow: small\nversion: 1\nowner: tests\ninitial: asked\n"
        'prices:\n  mini: {input: "1.00", output: "1.00", dated: 2026-11}\n'
        "agents:\n  helper: {instructions: Help., model: mini}\n"
        "states:\n  asked: {kind: wait, say: Yes, deadline: 1h}\n  working: {kind: agent, agent: helper}\n"
        "  desk: {kind: human, role: clerk, decisions: [closed], deadline: 4h}\n  over: {kind: final}\n"
        "transitions:\n  - [asked, message, otherwise, working, A-1]\n  - [working, done, otherwise, asked, A-1]\n"
        "  - [desk, closed, otherwise, over, A-1]\n"
        + "".join(
            f"  - [any, {on}, otherwise, desk, A-2]\n"
            for on in ("failed", "timeout", "invalid", "unsure", "refused", "over_budget", "limit")
        )
        + "  - [any, expired, otherwise, over, A-2]\n",
        "utf-8",
    )
    prices = tmp_path / "prices.yaml"
    prices.write_text('models:\n  mini: {input: "3.00", output: "3.00"}\n', "utf-8")
    before = run("check", tmp_path / "flow.yaml", "--json").json["proof"]["bill"]["turn"]
    after = run("check", tmp_path / "flow.yaml", "--json", "--prices", prices).json["proof"]["bill"]["turn"]
    assert after["nano"] == 3 * before["nano"] > 0

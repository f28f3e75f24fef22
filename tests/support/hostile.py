"""Input that nobody means well with, for every edge where something comes in."""

import json

from hypothesis import strategies as st

from interlock.contracts.agents import AgentReply, ToolCall
from interlock.contracts.limits import Usage

DEEP = "[" * 100_000 + "]" * 100_000
TEXTS = {
    "empty": "",
    "blank": " \t\n",
    "nul": "\x00",
    "nul inside": "help\x00me",
    "lone surrogate": "help \ud800",
    "backwards surrogates": "\udc00\ud800 help",
    "half an emoji": "help \ud83d",
    "controls": "".join(map(chr, range(32))),
    "right to left": "\u202ehelp\u202c مساعدة עזרה",
    "zero width": "he\u200bl\u200dp",
    "combining": "e" + "\u0301" * 5_000,
    "nested JSON": DEEP,
    "nested objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "duplicate keys": '{"outcome":"done","outcome":"refused","reply":"a","reply":"b"}',
    "a large integer": str(2**53 + 1),
    "a huge integer": "9" * 100_000,
    "minus": "-" * 10_000,
    "an exponent": "1e999999999",
    "infinity": "Infinity NaN -Infinity",
    "a template": "{first_choice} {reference} {0} {} {{ }} %s %(x)s ${x}",
    "SQL": "'; DROP TABLE event; --",
    "markup": "<script>alert(1)</script>",
    "ANSI": "\x1b[2J\x1b[31mred",
    "YAML": "!!python/object/apply:os.system ['true']",
    "format": "\ufeff\ufffe\uffff",
    "spaces": " " * 15_000,
    "one long word": "a" * 15_000,
    "many words": "help " * 3_000,
    "many numbers": "1 " * 7_000,
    "many dates": "2026-11-21 " * 1_400,
    "many amounts": "12,50 € " * 1_800,
    "regex bait": "a" * 5_000 + "!",
    "dashes": "--" * 7_000 + ">",
    "an e-mail": "a@" * 7_000,
    "private use": "\ue000\U0010ffff",
}
"""Messages, by what is wrong with them."""

LARGE = "x" * 10_000_000

any_text = st.one_of(
    st.text(max_size=60), st.text(st.characters(), max_size=60), st.sampled_from(sorted(TEXTS.values()))
)
"""Any Python string, lone surrogates and NUL included."""

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(st.characters(), max_size=10)
    ),
    lambda parts: st.one_of(
        st.lists(parts, max_size=4), st.dictionaries(st.text(st.characters(), max_size=8), parts, max_size=4)
    ),
    max_leaves=12,
)
answers = st.one_of(
    any_text,
    json_values.map(json.dumps),
    st.fixed_dictionaries(
        {},
        optional={
            "outcome": st.sampled_from(("done", "unsure", "refused", "other", 5)),
            "reply": any_text,
            "city": any_text,
            "amount": json_values,
        },
    ).map(json.dumps),
)
"""What a model may write: anything, JSON of any shape, and nearly the contract."""
NAMES = ("look_up", "pay", "pay_unkeyed", "erase_everything", "no_such_tool", "", "\ud800", "pay ", "PAY", "__class__")
tool_calls = st.builds(
    ToolCall,
    call_id=st.text(max_size=5),
    name=st.sampled_from(NAMES) | st.text(st.characters(), max_size=8),
    arguments=st.one_of(answers, st.sampled_from(('{"what":"x"}', '{"amount":1}', "{}", ""))),
)
usages = st.one_of(
    st.just(Usage(measured=False)),
    st.builds(Usage, input_tokens=st.integers(0, 2**53 - 1), output_tokens=st.integers(0, 2**53 - 1)),
)
replies = st.one_of(
    st.builds(AgentReply, text=answers, refused=st.booleans(), usage=usages, model=any_text, request_id=any_text),
    st.builds(
        AgentReply, text=answers, tool_calls=st.lists(tool_calls, min_size=1, max_size=5).map(tuple), usage=usages
    ),
)
"""Whatever an adapter may hand over that has the right shape."""


def cyclic() -> dict[str, object]:
    found: dict[str, object] = {}
    found["self"] = found
    return found

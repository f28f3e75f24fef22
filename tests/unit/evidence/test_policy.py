"""The policy file: quorums of witnesses, and what cannot be read."""

import pytest

from interlock.contracts.errors import CallError
from interlock.persistence.evidence.keys import cosigned, signed
from interlock.persistence.evidence.notes import COSIGNATURE, Checkpoint, Note
from interlock.persistence.evidence.policy import policy_of
from support.evidence import ORIGIN, TestKey

WITNESSES = {name: TestKey(f"w.example/{name}", seed, COSIGNATURE) for seed, name in enumerate(("X1", "X2", "Y1"), 10)}
LINES = [f"witness {name} {key.verifier()}" for name, key in WITNESSES.items()]
POLICY = "\n".join(
    [
        f"# a comment\n\n log\t{TestKey().verifier()} https://log.example",
        *LINES,
        "group X any X1 X2",
        "group both all X Y1",
        "quorum both",
        "",
    ]
)
HEAD = Checkpoint(ORIGIN, 7, bytes(32))


@pytest.mark.parametrize(
    ("seen", "enough"),
    [((), False), (("X1",), False), (("X1", "X2"), False), (("X2", "Y1"), True), (("X1", "X2", "Y1"), True)],
)
def test_the_quorum_counts_who_has_signed(seen, enough):
    """Groups of groups, as c2sp.org/tlog-policy says."""
    policy = policy_of(POLICY)
    lines = tuple(cosigned(HEAD.text, WITNESSES[name], 5) for name in seen)
    note = Note(HEAD.text, (*signed(HEAD.text, TestKey()).signatures, *lines))
    assert policy.cosigned(note) == dict.fromkeys(seen, 5)
    assert policy.has_quorum(policy.cosigned(note)) is enough


def test_a_policy_is_written_as_it_was_read():
    policy = policy_of(POLICY)
    assert policy_of(str(policy)) == policy
    assert (len(policy.logs), policy.quorum) == (1, "both")


def test_nobody_is_no_quorum():
    """`quorum none` asks for no witness, so no checkpoint is called witnessed for it."""
    assert not policy_of("quorum none\n").has_quorum({"X1": 1})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "The policy has no quorum line."),
        ("quorum W\n", "'W' is not defined above"),
        ("quorum none\nquorum none\n", "there are two quorum lines"),
        ("hello\n", "'hello' is none of its lines"),
        (f"log {WITNESSES['X1'].verifier()}\n", "is of type 4, not 1 or 6"),
        (f"witness W {TestKey().verifier()}\n", "is of type 1, not 4 or 6"),
        (LINES[0] + "\n" + LINES[0] + "\n", "the name 'X1' is taken"),
        (LINES[0] + "\n" + LINES[0].replace(" X1 ", " Z ") + "\n", "is there already"),
        (LINES[0] + "\ngroup G 2 X1\n", "'2' of 1 members cannot be"),
        (LINES[0] + "\ngroup G all X1\ngroup H all X1\n", "'X1' is in two groups"),
        ("group G all Z\n", "'Z' is not defined above"),
        ("witness none nonsense\n", "the name 'none' is taken"),
        ("log nonsense\n", "is no verifier key"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text, says):
    with pytest.raises(CallError, match="policy") as refused:
        policy_of(text)
    assert says in refused.value.what

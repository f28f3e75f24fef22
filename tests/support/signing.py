"""A flow in which two people sign for a payment."""

from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled

FLOW = b"""
flow: signing
version: 1
owner: tests
initial: start
facts:
  amount: {type: money, ask: "How much?", says: the amount, minimum: "0.01", maximum: "9000.00"}
states:
  start:    {kind: wait, say: "Hello.", deadline: 30m, inputs: [new_amount]}
  approval: {kind: human, role: clerk, decisions: [approved, rejected, again], approves: approved, approvals: 2,
             signed: true, shows: [amount], deadline: 4h}
  paid:     {kind: final, say: "Paid."}
  refused:  {kind: final, say: "No."}
transitions:
  - [start,    message,    otherwise, approval, A-1]
  - [start,    new_amount, otherwise, approval, A-1]
  - [start,    expired,    otherwise, refused,  A-1]
  - [approval, approved,   otherwise, paid,     A-2]
  - [approval, rejected,   otherwise, refused,  A-2]
  - [approval, again,      otherwise, start,    A-2]
  - [approval, expired,    otherwise, refused,  A-2]
  - [any,      limit,      otherwise, refused,  A-3]
"""
PROGRAM = compiled(read_flow(FLOW, Code()).flow, Code())

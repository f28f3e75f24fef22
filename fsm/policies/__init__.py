"""Policies: what can be observed of a conversation, and small automata that judge it. Pure; no clock and no I/O."""

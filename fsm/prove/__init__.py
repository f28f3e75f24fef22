"""Proof: what a flow can do, explored before it runs. Pure; it reads the flow alone and runs nothing of it."""

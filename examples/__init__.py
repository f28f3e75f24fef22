"""Flows that run as they are, and that tests play."""

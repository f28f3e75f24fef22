"""Adapters to what is uncertain: models, tools, classifiers, guardrails, people."""

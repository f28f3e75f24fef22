"""The field's patterns as flows: one page of YAML each, the code it names beside it, and a script that plays it."""

"""A retail bank's customer service: `flow.yaml` is the program, `code.py` the Python it names."""

"""The vocabulary: frozen shapes and pure checks. Imports nothing of ours."""

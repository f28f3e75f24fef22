"""The real runtime, driven along a way that was named beforehand: what surrounds it does what each step says."""

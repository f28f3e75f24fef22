"""The imperative shell: runtime loop, timers and wiring."""

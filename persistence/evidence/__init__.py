"""What others can hold against the log: signed checkpoints, witnesses, anchors, and bundles that prove themselves."""

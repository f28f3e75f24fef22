"""For users' own tests: strategies, scenarios and doubles that ship with the package."""

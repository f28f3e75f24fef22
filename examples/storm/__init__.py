"""Two incidents that started it all: agents that hand a customer back and forth, and one that hands to itself."""

"""A retail bank's customer service: cards, transfers, top-ups, identity, refunds and disputes."""

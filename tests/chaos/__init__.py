"""Real processes harmed at random, and a ledger that must come out even."""

"""Bringing files in: objects of another system, or of another Counterfoil, with their own ids, balances and times."""

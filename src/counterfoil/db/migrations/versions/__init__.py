"""The migrations in order; each names the one before it."""

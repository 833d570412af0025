"""Measuring Counterfoil against its peers on the same rows: `python -m bench`, or `make bench ROWS=…`."""

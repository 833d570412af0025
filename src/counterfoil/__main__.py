"""`python -m counterfoil` is the `counterfoil` command."""

from __future__ import annotations

from counterfoil.cli import main

main()

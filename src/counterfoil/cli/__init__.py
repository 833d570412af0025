"""The `counterfoil` command. Each command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

from counterfoil.cli.root import main

__all__ = ["main"]

"""Counterfoil: a loyalty and gift-card ledger whose exports are fast, exact and provable."""

from __future__ import annotations

__version__ = "0.1.0"

"""Two sizes of search for the encoders: every run, and `scripts/fuzz_csv` (--hypothesis-profile=fuzz)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("fuzz", max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))

"""Two sizes of search for the encoders: every run, and `scripts/fuzz_csv` (--hypothesis-profile=fuzz)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("COUNTERFOIL_FUZZ_EXAMPLES") or 1_000)

settings.register_profile("fuzz", max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

"""`counterfoil keys`: make credentials, show the key that signs manifests. Works beside a running server."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import msgspec

from counterfoil import settings as settings_table
from counterfoil.clock import SystemClock
from counterfoil.dataplane.signature import Signer
from counterfoil.db.engine import Database
from counterfoil.db.migrate import prepare
from counterfoil.services.access import Access


def create(given: dict[str, Any], project: str, app_id: str | None, app_token: str | None, scopes: str | None) -> None:
    """Print one JSON object with project, app_id, app_token and altcraft_token."""
    settings = settings_table.load(given)
    database = Database(settings.database_url)
    prepare(database)
    wanted = [s.strip() for s in scopes.split(",") if s.strip()] if scopes else None
    keys = Access(database, SystemClock()).create_keys(project, app_id=app_id, app_token=app_token, scopes=wanted)
    sys.stdout.write(msgspec.json.encode(dataclasses.asdict(keys)).decode() + "\n")
    database.dispose()


def signing(given: dict[str, Any]) -> None:
    """Print fingerprint and public key of the key in the home folder that signs manifests; it is made if there is none."""
    signer = Signer.of_home(settings_table.load(given).home_path)
    shown = {"fingerprint": signer.fingerprint, "public_key": signer.public_key}
    sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")

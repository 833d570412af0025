"""The manifest of an export: what was asked, what was made of it, what was proved; signed, and linked to the one before.

Canonical JSON: UTF-8, members in the order of their names, no spaces; every number we put in is whole. The signature
is over the document without its `signature` member; the hash in the chain is over the whole file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

import counterfoil
from counterfoil.dataplane.assemble import MadeFile
from counterfoil.dataplane.parts import Part
from counterfoil.dataplane.signature import Signer
from counterfoil.dataplane.tally import Totals
from counterfoil.plan.task import Plan

FORMAT = "counterfoil-manifest/1"


@dataclass(frozen=True, slots=True)
class Link:
    """The manifest before this one in the project: its number and the SHA-256 of its file."""

    no: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The export that the manifest is about. request: as stored on its row. engine: the database's kind. made_at,
    created_at: ms since the epoch."""

    project: str
    export_id: str
    attempt: int
    dialect: str
    created_at: int
    made_at: int
    seq_max: int
    request: Mapping[str, Any]
    engine: str
    executor: str


@dataclass(frozen=True, slots=True)
class Made:
    """What the attempt has made. parts: how the content is divided among tasks; empty when it was one stream."""

    files: Sequence[MadeFile]
    parts: Sequence[Part]
    totals: Totals
    proof: Mapping[str, Any]


def write_manifest(
    subject: Subject, plan: Plan, made: Made, previous: Link | None, signer: Signer
) -> tuple[int, bytes]:
    """The number and the bytes of the manifest that follows `previous`."""
    no = 1 if previous is None else previous.no + 1
    document = {
        "format": FORMAT,
        "no": no,
        "previous": None if previous is None else {"no": previous.no, "sha256": previous.sha256},
        "project": subject.project,
        "export": {
            "id": subject.export_id,
            "attempt": subject.attempt,
            "dialect": subject.dialect,
            "object": plan.selection.object,
            "created_at": subject.created_at,
            "request": dict(subject.request),
        },
        "as_of": {"seq": subject.seq_max},
        "made": {
            "at": subject.made_at,
            "by": f"counterfoil {counterfoil.__version__}",
            "engine": subject.engine,
            "executor": subject.executor,
            "path": plan.path,
            "reason": plan.reason,
        },
        "columns": msgspec.to_builtins(plan.selection.columns),
        "order": msgspec.to_builtins(plan.selection.order),
        "file_format": plan.selection.format,
        "files": [file.to_json() for file in made.files],
        "parts": [
            {"no": part.no, "rows": part.rows, "bytes": part.size_bytes, "sha256": part.sha256} for part in made.parts
        ],
        "totals": _shown(made.totals),
        "proof": dict(made.proof),
    }
    signature = {
        "algorithm": "Ed25519",
        "public_key": signer.public_key,
        "fingerprint": signer.fingerprint,
        "value": signer.sign(canonical(document)),
    }
    return no, canonical({**document, "signature": signature})


def canonical(document: Any) -> bytes:
    """The one way to write a document of plain JSON values."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def file_hash(data: bytes) -> str:
    """How a manifest is named in the chain: the SHA-256 of its file, hex."""
    return hashlib.sha256(data).hexdigest()


def _shown(totals: Totals) -> dict[str, Any]:
    shown = totals.to_json()
    del shown["last"]
    return shown

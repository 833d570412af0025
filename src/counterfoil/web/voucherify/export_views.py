"""The export object as Voucherify shows it (facts 1.2), with what we add: progress, error, digests, manifest.

The vendor's clients know four states only, so CANCELED and EXPIRED are shown as ERROR with an `error` that says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from counterfoil.db.exports import Export
from counterfoil.web.voucherify.views import instant

_STATES = {"CANCELED": "ERROR", "EXPIRED": "ERROR"}
_EXPIRED = {
    "code": "export_expired",
    "message": "The file was removed at the end of its retention; ask for the export again",
}
_CANCELED = {"code": "export_canceled", "message": "The export was canceled before it was finished"}

DIALECT = "voucherify"
PYTHON_CLIENT = "Python-SDK"
"""What the vendor's Python client says of itself in X-Voucherify-Channel. Its models refuse some documented answers."""


def created(export: Export, channel: str | None = None) -> dict[str, Any]:
    """The answer to a create: the vendor's clients accept no state but SCHEDULED there, and no result. channel: what the
    caller says of itself."""
    return {
        "id": export.id,
        "object": "export",
        "created_at": instant(export.created_at),
        "status": "SCHEDULED",
        "channel": export.channel,
        "exported_object": export.object,
        "parameters": _tolerated(export.echo) if channel == PYTHON_CLIENT else export.echo,
        "result": None,
        "user_id": export.user_id,
    }


def shown(export: Export, base_url: str, token: Callable[[int], str], channel: str | None = None) -> dict[str, Any]:
    """An export as get and list show it. token: gives a fresh one for the link of each of its files, by number."""
    body = created(export, channel)
    body["status"] = _STATES.get(export.status, export.status)
    body["progress"] = _progress(export)
    body["updated_at"] = instant(export.finished_at or export.started_at or export.created_at)
    if export.status == "DONE" and export.result is not None:
        body["result"] = _result(export.result, f"{base_url}/v1/exports/{export.id}", token)
        body["file_expires_at"] = instant(export.file_expires_at)
    elif export.status == "EXPIRED":
        body["error"] = _EXPIRED
    elif export.status == "CANCELED":
        body["error"] = _CANCELED
    elif export.status == "ERROR":
        body["error"] = {"code": export.error_code, "message": export.error_message}
    return body


def _progress(export: Export) -> dict[str, Any]:
    """rows_total is the most that there can be until the rows were counted; None, with percent, while nobody knows."""
    unknown = export.rows_total is None and not export.final
    percent = None if unknown else export.percent
    return {"rows_done": export.rows_done, "rows_total": export.rows_total, "percent": percent}


def _tolerated(echo: dict[str, Any]) -> dict[str, Any]:
    """The echo without what the Python client's models refuse: a field `metadata.NAME` is shown as `metadata`. One such
    export, whoever made it, would keep that client from listing any (facts 6.1)."""
    if "fields" not in echo:
        return echo
    plain = [name.partition(".")[0] for name in echo["fields"]]
    return {**echo, "fields": list(dict.fromkeys(plain))}


def _result(result: dict[str, Any], url: str, token: Callable[[int], str]) -> dict[str, Any]:
    """The vendor knows `url` alone. Of an export in several files it is the first one's, and `parts` has them all."""
    files = result["files"]
    shown_result: dict[str, Any] = {
        "url": f"{url}?token={token(0)}",
        "rows": result["rows"],
        "bytes": result["bytes"],
        "sha256": files[0]["sha256"],
        "manifest": f"{url}/manifest",
    }
    if len(files) > 1:
        shown_result["parts"] = [
            {
                "url": f"{url}?token={token(no)}",
                "rows": file["rows"],
                "bytes": file["bytes"],
                "sha256": file["sha256"],
            }
            for no, file in enumerate(files)
        ]
    return shown_result

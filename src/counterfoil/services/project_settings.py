"""A project's own choices, in one table: name, what is allowed, and why. They hold where a request is silent.

Stored as one document in the projects table, only what was set; what is not there is the server's own default. A server
that runs sees a change within the few seconds that it remembers keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from counterfoil.errors import InvalidInput, did_you_mean
from counterfoil.plan.request import ExportRequest
from counterfoil.settings import Row, checked

TABLE: tuple[Row, ...] = (
    Row(
        "header_style",
        str,
        "names",
        "Header of exported files: the names of the fields, or the titles that the vendor's dashboard shows",
        allowed=("names", "titles"),
    ),
    Row("split_rows", int, None, "Rows in one file of an export before the next begins; unset: one file", 1, 10**9),
    Row(
        "split_bytes",
        int,
        None,
        "Bytes in one file of an export before the next begins, before compression; unset: one file",
        1024,
        10**13,
    ),
    Row(
        "executor",
        str,
        None,
        "Where the project's exports run; unset: as the server's own setting says",
        allowed=("local", "spark"),
    ),
)
NAMES = tuple(row.name for row in TABLE)
_SPLITS = ("split_rows", "split_bytes")


def changed(settings: Mapping[str, Any], given: Mapping[str, str | None]) -> dict[str, Any]:
    """The settings with what was given; None or an empty text unsets one.

    Raises InvalidInput that names the setting, the value and what is allowed; then nothing is changed.
    """
    rows = {row.name: row for row in TABLE}
    result = dict(settings)
    for name, value in given.items():
        row = rows.get(name)
        if row is None:
            raise InvalidInput(
                "unknown_setting",
                f"A project has no setting {name!r}{did_you_mean(name, NAMES)}; there are {', '.join(NAMES)}",
                field=name,
                value=value,
                allowed=NAMES,
            )
        if value is None or value == "":
            result.pop(name, None)
        else:
            result[name] = checked(row, value, name)
    return result


def with_settings(request: ExportRequest, settings: Mapping[str, Any], *, cuts_bytes: bool = True) -> ExportRequest:
    """The request with the project's choices where it is silent.

    A request that says how it is cut is cut so and no other way; 0 says one file. A batch (a request with a limit) is
    one file, whatever the project likes. cuts_bytes: whether the format can be cut by bytes; what the project likes is
    left aside where it cannot, what the request asks for is refused with InvalidInput.
    """
    if request.split_bytes and not cuts_bytes:
        raise InvalidInput(
            "invalid_export_params",
            f"Files of {request.format} cannot be cut by bytes; use split_rows",
            field="split_bytes",
            value=request.split_bytes,
        )
    silent = [name for name in ("header_style", "executor") if getattr(request, name) is None]
    if request.limit_rows is None and all(getattr(request, name) is None for name in _SPLITS):
        silent += _SPLITS if cuts_bytes else ("split_rows",)
    chosen = {name: settings[name] for name in silent if name in settings}
    return replace(request, **{name: getattr(request, name) or None for name in _SPLITS} | chosen)

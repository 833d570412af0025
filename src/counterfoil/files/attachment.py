"""How a file is offered for saving, by us or by the store's own link."""

from __future__ import annotations

from urllib.parse import quote


def attachment(file_name: str) -> str:
    """The header Content-Disposition that offers a file for saving under `file_name` (RFC 6266, section 5)."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in file_name)
    if plain == file_name:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"

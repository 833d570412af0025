"""Keys: the names of files in a store, and the folders they lie in.

A key is a relative POSIX path (`exports/<project>/<export>/<attempt>/part-00000.csv`). Its alphabet is what both a
disk and S3 take as it is: any text but control characters and backslashes (some S3 servers read `\\` as `/`).
"""

from __future__ import annotations

from counterfoil.errors import InvalidInput

KEY_BYTES_MAX = 800
"""S3 takes 1,024 bytes of UTF-8 (Amazon S3: Naming Amazon S3 objects); the rest is left to the store's prefix."""

SEGMENT_BYTES_MAX = 200
"""Linux takes 255 bytes a name; the rest is left to the mark of a file that is being written."""

STAGED_MARK = ".staged-"
"""What the name of a file that is being written starts with on a disk; no key may hold such a segment."""


def check_key(key: str) -> str:
    """Return `key` when it names a file that every store can hold; raises InvalidInput('invalid_key') when not."""
    if not key:
        raise _invalid(key, "is empty")
    _check_path(key)
    return key


def folder_of(prefix: str) -> str:
    """A folder as the start its keys share: `a/b` and `a/b/` are `a/b/`, and the whole store is the empty text.

    Raises InvalidInput('invalid_key') for what is no folder.
    """
    folder = prefix.removesuffix("/")
    if not folder:
        if prefix:
            raise _invalid(prefix, "starts with '/'")
        return ""
    _check_path(folder)
    return folder + "/"


def _check_path(path: str) -> None:
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError:
        raise _invalid(path, "is not text that UTF-8 can hold") from None
    if size_bytes > KEY_BYTES_MAX:
        raise _invalid(path, f"is longer than {KEY_BYTES_MAX} bytes")
    if "\\" in path or any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in path):
        raise _invalid(path, "holds a backslash or a control character")
    for segment in path.split("/"):
        if segment in ("", ".", ".."):
            raise _invalid(path, "has an empty segment, '.' or '..'")
        if len(segment.encode()) > SEGMENT_BYTES_MAX:
            raise _invalid(path, f"has a segment longer than {SEGMENT_BYTES_MAX} bytes")
        if segment.startswith(STAGED_MARK):
            raise _invalid(path, f"has a segment that starts with {STAGED_MARK!r}, which marks unsealed files")


def _invalid(path: str, reason: str) -> InvalidInput:
    return InvalidInput("invalid_key", f"The key {path[:200]!r} {reason}", field="key", value=path)

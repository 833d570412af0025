"""Keys: what is let through can be a file name anywhere; what is not is refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import InvalidInput
from counterfoil.files.key import KEY_BYTES_MAX, SEGMENT_BYTES_MAX, STAGED_MARK, check_key, folder_of


@given(st.text(alphabet=st.sampled_from("ab./\\\n\x7f\ud800é🐎 "), max_size=12))
def test_a_key_that_passes_stays_below_its_root(key: str) -> None:
    try:
        check_key(key)
    except InvalidInput:
        return
    assert all(segment not in ("", ".", "..") for segment in key.split("/"))
    assert not set(key) & set("\\\n\x7f\ud800")
    assert folder_of(key) == folder_of(f"{key}/") == f"{key}/"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "is empty"),
        ("/etc/passwd", "empty segment"),
        ("a/../../etc/passwd", r"'\.\.'"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("a\\b", "backslash"),
        ("a\x00b", "control character"),
        ("a\x85b", "control character"),
        ("a\ud800", "UTF-8"),
        ("é" * (SEGMENT_BYTES_MAX // 2 + 1), "segment longer"),
        ("/".join(["x" * 100] * 9), f"longer than {KEY_BYTES_MAX} bytes"),
        (f"a/{STAGED_MARK}b", "marks unsealed files"),
    ],
)
def test_why_a_key_is_refused(key: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as error:
        check_key(key)
    assert (error.value.code, error.value.field) == ("invalid_key", "key")


def test_keys_of_the_full_length_pass() -> None:
    key = "/".join(["é" * (SEGMENT_BYTES_MAX // 2)] * 3 + ["x" * (KEY_BYTES_MAX - 3 * SEGMENT_BYTES_MAX - 3)])
    assert len(check_key(key).encode()) == KEY_BYTES_MAX


def test_folders() -> None:
    assert folder_of("") == ""
    assert folder_of("a/b") == folder_of("a/b/") == "a/b/"
    for wrong in ("/", "//", "/a", "a//", "..", "a/../b"):
        with pytest.raises(InvalidInput):
            folder_of(wrong)

"""Voucher codes: how a campaign's code_config becomes codes (Voucherify: Code Config).

A configuration has a fixed number of possible codes, and each of them has a number from 0 on. Whoever makes codes
draws numbers; nothing here draws anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.errors import InvalidInput

CHARSET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTH = 8
CODE_LENGTH_MAX = 256
PLACEHOLDER = "#"


@dataclass(frozen=True, slots=True)
class CodeShape:
    """What a code looks like: fixed text with one character of the charset at each placeholder (`#`) of the pattern."""

    charset: str = CHARSET
    pattern: str = PLACEHOLDER * LENGTH
    prefix: str = ""
    postfix: str = ""

    @property
    def capacity(self) -> int:
        """How many different codes there are."""
        return len(self.charset) ** self.pattern.count(PLACEHOLDER)

    def code(self, number: int) -> str:
        """The code of that number, 0 <= number < capacity; different numbers give different codes."""
        assert 0 <= number < self.capacity
        size = len(self.charset)
        letters: list[str] = []
        for sign in self.pattern:
            if sign == PLACEHOLDER:
                number, digit = divmod(number, size)
                letters.append(self.charset[digit])
            else:
                letters.append(sign)
        return f"{self.prefix}{''.join(letters)}{self.postfix}"


DEFAULT_SHAPE = CodeShape()


def code_shape(config: Mapping[str, Any] | None, field: str = "code_config") -> CodeShape:
    """The shape a code_config {length, charset, pattern, prefix, postfix} asks for; what it leaves out is the default.

    `pattern` overrides `length`. Raises InvalidInput (invalid_code_config), naming the field, when it makes no codes.
    """
    if not config:
        return DEFAULT_SHAPE
    charset = "".join(dict.fromkeys(_text(config, "charset", field) or CHARSET))
    if not charset.isprintable() or " " in charset:
        raise _invalid(f"{field}.charset", charset, "must hold printable characters and no blank")
    length = LENGTH if config.get("length") is None else config["length"]
    if isinstance(length, float) and length.is_integer():
        length = int(length)
    if isinstance(length, bool) or not isinstance(length, int):
        raise _invalid(f"{field}.length", length, "must be a whole number")
    pattern = _text(config, "pattern", field)
    if not pattern and not 1 <= length <= CODE_LENGTH_MAX:
        raise _invalid(f"{field}.length", length, f"must lie between 1 and {CODE_LENGTH_MAX}")
    pattern = pattern or PLACEHOLDER * length
    if PLACEHOLDER not in pattern:
        raise _invalid(f"{field}.pattern", pattern, "must hold at least one # to be replaced with a random character")
    shape = CodeShape(charset, pattern, _text(config, "prefix", field), _text(config, "postfix", field))
    if len(shape.code(0)) > CODE_LENGTH_MAX:
        raise _invalid(field, len(shape.code(0)), f"makes codes longer than {CODE_LENGTH_MAX} characters")
    check_code(shape.code(0), field, "invalid_code_config")
    return shape


def check_code(code: str, field: str, error_code: str = "invalid_voucher") -> str:
    """The code itself, or InvalidInput when it is empty, too long, or holds control characters or outer blanks."""
    if not code or len(code) > CODE_LENGTH_MAX or not code.isprintable() or code != code.strip():
        raise InvalidInput(
            error_code, f"A code has 1 to {CODE_LENGTH_MAX} printable characters, none of them a blank at its ends",
            field=field, value=code,
        )  # fmt: skip
    return code


def _text(config: Mapping[str, Any], name: str, field: str) -> str:
    value = config.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(f"{field}.{name}", value, "must be string")
    return value


def _invalid(field: str, value: object, rule: str) -> InvalidInput:
    return InvalidInput("invalid_code_config", f"Property .{field} {rule}", field=field, value=value)

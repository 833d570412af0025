"""Amounts: integers in minor units, checked once, shown with a scale."""

from __future__ import annotations

from counterfoil.errors import InvalidInput

# What every JSON reader holds exactly; a thousand such amounts still add up within 64 bits, as summaries and totals do.
AMOUNT_MAX = 2**53 - 1
SUM_MAX = 2**62
"""How far sums over many amounts are kept, such as what a customer spent: half of what 64 bits hold."""


def checked(amount: int, field: str = "amount", most: int = AMOUNT_MAX) -> int:
    """The amount itself, or InvalidInput when its size is beyond `most`: what the ledger holds (2**53 - 1)."""
    if not -most <= amount <= most:
        raise InvalidInput("invalid_amount", f"Amount must lie between -{most} and {most}", field=field, value=amount)
    return amount


def decimal_text(amount: int, scale: int) -> str:
    """An amount in minor units as a decimal with `scale` digits: (1050, 2) is `10.50`, (-5, 2) is `-0.05`."""
    if scale == 0:
        return str(amount)
    whole, part = divmod(abs(amount), 10**scale)
    return f"{'-' if amount < 0 else ''}{whole}.{part:0{scale}d}"


def parse_decimal(text: str, scale: int, field: str = "amount") -> int:
    """Read a decimal such as `10.5` into minor units. More digits than the scale holds are refused, never rounded."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, part = digits.partition(".")
    plain = whole.isascii() and whole.isdigit() and (part == "" or (part.isascii() and part.isdigit()))
    if not plain or (digits.endswith(".")) or len(part.rstrip("0")) > scale:
        raise InvalidInput(
            "invalid_amount",
            f"Amount must be a decimal number with at most {scale} digits after the point",
            field=field,
            value=text,
        )
    return checked(sign * int(whole + part.rstrip("0").ljust(scale, "0")), field)

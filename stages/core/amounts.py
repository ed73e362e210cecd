"""How many images: a count, a share of the pool such as 0.5 or 1/16, or all that are left."""

from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

MOST = 10**9  # beyond it a count is a slip, and products of counts would overflow


def _amount(value: Any) -> Any:
    """An image count, a share of the pool such as 0.5 or "1/16", or "full"."""
    if isinstance(value, bool):
        raise PydanticCustomError("amount", _AMOUNT)
    if isinstance(value, int) and 0 <= value <= MOST:
        return value
    if value == "full":
        return value
    try:
        share = Fraction(value) if isinstance(value, (float, str)) else None
    except (ValueError, ZeroDivisionError, OverflowError):
        share = None
    if share is None or not 0 < share <= 1:
        raise PydanticCustomError("amount", _AMOUNT)
    return value


_AMOUNT = 'an image count such as 5000, a share of the pool such as 0.5 or 1/16, or "full"'
Amount = Annotated[int | float | str, BeforeValidator(_amount)]


def images_of(amount: int | float | str, pool: int) -> int | None:
    """How many of `pool` images an amount means; None for "full" (all that are left)."""
    if amount == "full":
        return None
    if isinstance(amount, int):
        return amount
    return int(Fraction(amount).limit_denominator(10**9) * pool)

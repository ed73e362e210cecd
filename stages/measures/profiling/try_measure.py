"""Why a figure is missing, in one short sentence, so that one failed cell leaves the others stand.

Covers failures of the machine and its libraries while measuring. Interrupts and the user's own
mistakes are no such failures and pass through.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from stages.core.errors import UserError

T = TypeVar("T")
LONGEST = 200


class Unmeasured(Exception):  # noqa: N818 — not a defect: a figure that cannot be had here
    """A figure cannot be measured; the message says why."""


def try_measure(measure: Callable[[], T]) -> tuple[T | None, str | None]:
    """The measured value and no reason, or no value and the reason."""
    try:
        return measure(), None
    except UserError:
        raise
    except Exception as error:
        return None, why(error)


def why(error: BaseException) -> str:
    """An exception of PyTorch, an exporter or a runtime in at most 200 characters."""
    text = " ".join(str(error).split())
    kind = type(error)
    if isinstance(error, Unmeasured):
        return text
    if isinstance(error, MemoryError) or re.search(r"out of memory|can't allocate memory", text):
        return _shortened(f"out of memory: {text}" if text else "out of memory")
    absent = isinstance(error, NotImplementedError) or "not implemented" in text
    if absent and (operator := re.search(r"aten::\w+", text)):
        return f"the operator {operator[0]} is not implemented on this backend"
    if kind.__module__.startswith(("torch._dynamo", "torch._inductor")):
        return _shortened(f"compilation failed ({kind.__name__}): {text}")
    if kind.__module__.startswith("torch.onnx"):
        return _shortened(f"export failed ({kind.__name__}): {text}")
    return _shortened(f"{kind.__name__}: {text}")


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"

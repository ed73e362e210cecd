"""Throughput: images per second when batches follow one another without waiting.

The device is synchronised at the ends of a block of calls alone, so work may queue up as it does in
use.
"""

import logging
from collections.abc import Sequence

from stages.measures.profiling.timing import Call, Clock

# A call that takes more of the time than this fills its block alone: queueing gains nothing.
LONG = 0.25


def images_per_second(
    call: Call, calls: Sequence[float], batch_size: int, clock: Clock, seconds: float, threads: int
) -> float:
    """Images per second over blocks of calls that fill about `seconds`.

    `calls` are the seconds of single calls taken just before. Long calls are not made again for
    the block; their own times are used.
    """
    # The Timer can time C++ too, and its import warns where a CUDA toolkit has no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    mean = sum(calls) / len(calls)
    if mean > LONG * seconds:
        return batch_size / mean
    timer = Timer("call()", globals={"call": call}, timer=clock, num_threads=threads)
    return float(batch_size / timer.blocked_autorange(min_run_time=seconds).mean)


def best_batch(rates: dict[int, float]) -> tuple[int, float]:
    """The batch size with the highest throughput and that throughput; `rates` is not empty."""
    batch_size = max(rates, key=lambda size: rates[size])
    return batch_size, rates[batch_size]

"""PyTorch's torchrun for `training.distributed`: a signal ends it without a traceback."""

import logging
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.run import main

if __name__ == "__main__":
    for name in ("agent.server.api", "multiprocessing.api"):  # they tell which signal they pass on
        logging.getLogger(f"torch.distributed.elastic.{name}").setLevel(logging.ERROR)
    try:
        main()
    except SignalException as stopped:  # the processes are gone, and have said so themselves
        sys.exit(128 + stopped.sigval)

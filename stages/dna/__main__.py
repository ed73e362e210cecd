"""The probes by hand: `python -m stages.dna [--audit | --write-references]`.

Without an option, prints this machine's readings. `--audit` runs the suite under every switch
that is known to change bits, and every one known not to, in processes of their own, and says how
many probes each changed. `--write-references` computes the float64 references anew.
"""

import argparse
import inspect
import sys
from typing import Any

from stages.core.cli import reporting_errors


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run; the exit status."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.dna",
        description=inspect.getdoc(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--audit", action="store_true", help="try every switch")
    group.add_argument("--write-references", action="store_true", help="replace the references")
    arguments = parser.parse_args(argv)

    def work() -> int:
        if arguments.write_references:
            from stages.dna.references import write_references

            write_references()
            return 0
        if arguments.audit:
            from stages.dna.audit import audit_switches

            return audit_switches(_say)
        _print_readings()
        return 0

    return reporting_errors(work)


def _print_readings() -> None:
    import torch

    from stages.dna.numerics import digest, measure_suite

    device = torch.device("cpu")
    readings = measure_suite(device)
    for name, reading in readings.items():
        _say(f"{name:36} {reading.bits or reading.refusal or 'varies':10} "
             f"{_number(reading.max_error):>10} {_number(reading.mean_ulp):>8}")  # fmt: skip
    _say(f"digest {digest(readings, device)}")


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:g}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())

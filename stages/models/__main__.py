"""List the models that `model:` can name: parameters in millions at 10 classes, native input
side in pixels, and paper. `timm/<id>` and `torchvision/<id>` can be named besides; --match also
searches those.
"""

import argparse
import sys

from stages.models import MODELS


def main(argv: list[str] | None = None) -> int:
    """Print the table; with `--match TEXT` only names that contain it, the libraries' included."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.models", description=__doc__.replace("\n", " ")
    )
    parser.add_argument("--match", metavar="TEXT", default="", help="only names that contain TEXT")
    wanted = parser.parse_args(argv).match.lower()
    print(f"{'name':<20} {'params (M)':>10} {'native px':>9}  paper")
    for spec in MODELS.values():
        if wanted in spec.name:
            print(f"{spec.name:<20} {spec.params / 1e6:>10.2f} {spec.native_px:>9}  {spec.paper}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

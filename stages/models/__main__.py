"""List the models that the key `model` can name.

Parameters are in millions at 10 classes, the native input is the side in pixels. Any `timm/<id>`
and `torchvision/<id>` can be named besides; --match TEXT searches those too.
"""

import argparse
import sys

from stages.models import MODELS
from stages.models.libraries import library_names


def main(argv: list[str] | None = None) -> int:
    """Print the table, or with `--match TEXT` all names that contain the text; 1 if none does."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.models", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--match", metavar="TEXT", help="names that contain TEXT in any case, in all libraries"
    )
    text = parser.parse_args(argv).match
    lines = [f"{'name':<20} {'params (M)':>10} {'native px':>9}  paper"] if text is None else []
    for spec in MODELS.values():
        if text is None:
            size = f"{(spec.params or 0) / 1e6:>10.2f} {spec.native_px:>9}"
            lines.append(f"{spec.name:<20} {size}  {spec.paper}")
        elif text.lower() in spec.name:
            lines.append(spec.name)
    if text is not None:
        lines += [name for name in library_names() if text.lower() in name.lower()]
    if not lines:
        sys.stderr.write(
            f"No name contains {text!r}, of this project's models as of timm's and torchvision's. "
            "`python -m stages.models` lists the project's own.\n"
        )
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Set up the page of `dvc plots show` and `dvc plots diff` so that it draws without internet.

DVC's own page loads Vega from the web. This writes `.dvc/plots.html`, a template with Vega,
Vega-Lite and Vega-Embed inside (they come with vl-convert-python), and names it in
`.dvc/config.local`. Both are git-ignored; `make` runs this once at set-up.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from stages.core.cli import reporting_errors

PAGE = Path(__file__).parent / "templates" / "plots.html"
TEMPLATE = Path(".dvc/plots.html")
SCRIPT = "/* vega */"
SNIPPET = "window.vegaEmbed = vegaEmbed;"  # the one name that DVC's charts call


def plots_page(script: str) -> str:
    """The template with `script` inside; DVC fills in its own placeholders later."""
    return PAGE.read_text(encoding="utf-8").replace(SCRIPT, script)


def set_up() -> int:
    """Write the template and name it in DVC's local configuration.

    Raises RunError where there is no DVC project, OSError as the file system does.
    """
    from vl_convert import get_vegalite_versions, javascript_bundle

    from stages.core.errors import RunError
    from stages.core.files import write_text

    if not TEMPLATE.parent.is_dir():
        raise RunError(
            "There is no folder .dvc here, so there is nothing to set up. Run this from the root "
            "of the repository; if this is a fresh copy without git, run `dvc init --no-scm` first."
        )
    versions = [version for version in get_vegalite_versions() if version.startswith("5.")]
    write_text(TEMPLATE, plots_page(javascript_bundle(SNIPPET, versions[-1])))
    # DVC reads a relative path from its own folder.
    subprocess.run(
        [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", TEMPLATE.name],
        check=True,
    )
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; it takes no options."""
    argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.plots_template",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(argv)
    return reporting_errors(set_up)


if __name__ == "__main__":
    sys.exit(main())

"""Studies: grids of runs in `studies/NAME`, filled by DVC and shown on one page.

  fingerprint NAME   who is computing (a stage of the study's pipeline)
  pictures NAME      list the pictures that the cells choose from (a stage)
  run NAME …         one cell (a stage per cell)
  verify NAME        repeat a few cells, drawn by chance, and hold them against their records
  plan NAME          which cells there are, which exist for this machine, and the time left
  submit NAME …      run the cells that are missing as jobs of Slurm, or several at once here
  status NAME        how far they are
  gather NAME        put what they left into the study, and cells of branches (--from REVISION)
  keep NAME          keep this machine's cells in git, beside those of others (--from REVISION)
  page NAME          studies/NAME/report.html and report.md from the cells that exist
  wire NAME          write its dvc.yaml from the grids of its params.yaml
  new NAME …         a study of your own pictures: models × sizes × seeds, or with --trained
                     which trained backbones suit them

NAME/small is the small form of a study. The studies are a DVC project of their own, in `studies/`:
`dvc --cd studies repro NAME/dvc.yaml` runs what is missing. The work is in `stages.studies`.
"""

import argparse
import sys
from pathlib import Path

from stages.core.cli import reporting_errors

UNTRAINED = "mobilenet_v3_small,resnet18,vit_2l_2h_128"


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and do as it says; return the exit status."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    if more and arguments.command != "submit":
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    arguments.sbatch = more
    commands = {
        "fingerprint": _fingerprint, "pictures": _pictures, "run": _run, "verify": _verify,
        "plan": _plan, "submit": _submit, "status": _status, "gather": _gather,
        "keep": _keep, "page": _page, "wire": _wire, "new": _new,
    }  # fmt: skip
    return reporting_errors(lambda: commands[arguments.command](arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stages.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ("fingerprint", "pictures", "run", "verify", "plan", "submit", "status", "gather",
                 "keep", "page", "wire", "new"):  # fmt: skip
        command = commands.add_parser(name, allow_abbrev=name != "submit")
        command.add_argument("study", metavar="NAME", help="a folder below studies/")
        if name == "run":
            for key in ("model", "size", "recipe"):
                command.add_argument(f"--{key}", required=True)
            command.add_argument("--seed", type=int, required=True)
        if name == "verify":
            command.add_argument(
                "--cells", type=int, default=3, metavar="N", help="how many (default: %(default)s)"
            )
            command.add_argument(
                "--seed", type=int, help="of the draw (default: another one each time, and said)"
            )
        if name == "submit":
            _add_jobs(command)
        if name == "gather":
            command.add_argument("--wait", action="store_true", help="until no job is left")
            command.add_argument(
                "--from", dest="revisions", action="append", default=[], metavar="REVISION",
                help="also take the cells of this branch or experiment that are missing here",
            )  # fmt: skip
        if name == "plan":
            command.add_argument(
                "--hours",
                type=float,
                metavar="H",
                help="also say which cells fit, and in which order",
            )
        if name == "keep":
            command.add_argument(
                "--from", dest="revision", metavar="REVISION",
                help="keep the cells of this branch or experiment instead",
            )  # fmt: skip
        if name == "page":
            command.add_argument(
                "--with", dest="revisions", action="append", default=[], metavar="REVISION",
                help="also show the cells of this branch or experiment, e.g. machine/mac",
            )  # fmt: skip
        if name == "new":
            _add_grid(command)
    return parser


def _count(text: str) -> int:
    """A number of jobs, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number of jobs; 1 is the least")
    return number


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.epilog = (
        "All other options are sbatch's: --partition gpu --gres gpu:1 --constraint a100 --time "
        "4:00:00 --exclusive"
    )
    command.add_argument("--on", choices=("slurm", "local"), default="slurm")
    command.add_argument("--jobs", type=_count, metavar="N", help="run no more than N at once")
    command.add_argument(
        "--push", metavar="REMOTE",
        help="for nodes that do not see this disk: they clone this git remote and push results",
    )  # fmt: skip
    command.add_argument("--dry-run", action="store_true", help="print the script for sbatch alone")


def _add_grid(command: argparse.ArgumentParser) -> None:
    command.add_argument("--folder", type=Path, required=True, help="<class>/* or a .zip of it")
    command.add_argument(
        "--labels", metavar="TABLE",
        help="a table in the folder with the columns file, label and maybe split",
    )  # fmt: skip
    command.add_argument(
        "--models",
        help=f"names from `python -m stages.models` (default: {UNTRAINED}; with --trained all "
        "backbones whose weights are at hand)",
    )
    command.add_argument(
        "--trained", action="store_true",
        help="compare trained backbones by their frozen features, in minutes",
    )  # fmt: skip
    command.add_argument(
        "--weights", action="append", default=[], metavar="MODEL=PATH",
        help="with --trained: also the trained weights in this file",
    )  # fmt: skip
    command.add_argument(
        "--sizes",
        default="500,1000,full",
        help="training images: counts, shares or full (default: %(default)s)",
    )
    command.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    command.add_argument(
        "--epochs", type=int, default=20, help="of each run (default: %(default)s)"
    )
    command.add_argument("--px", type=int, help="input size (default: 32; with --trained 128)")


def _fingerprint(arguments: argparse.Namespace) -> int:
    from stages.studies.run.machine import fingerprint
    from stages.studies.spec.study_config import load_study_config

    return _log(f"hardware DNA {fingerprint(load_study_config(arguments.study))}")


def _pictures(arguments: argparse.Namespace) -> int:
    from stages.studies.run.pictures import list_pictures
    from stages.studies.spec.study_config import load_study_config

    return _log("\n".join(list_pictures(load_study_config(arguments.study))))


def _run(arguments: argparse.Namespace) -> int:
    from stages.studies.run.cell import run_cell
    from stages.studies.spec.study_config import load_study_config

    form = load_study_config(arguments.study)
    cell = form.find(arguments.model, arguments.size, arguments.recipe, arguments.seed)
    run_cell(form, cell, _say)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from stages.studies.run.verify import verify
    from stages.studies.spec.study_config import load_study_config

    return verify(load_study_config(arguments.study), arguments.cells, arguments.seed, _say)


def _plan(arguments: argparse.Namespace) -> int:
    from stages.studies.run.plan import plan_of
    from stages.studies.spec.study_config import load_study_config

    def tell(line: str) -> None:
        sys.stderr.write(line + "\n")

    plan = plan_of(load_study_config(arguments.study), tell)
    _say(plan.text())
    if arguments.hours is not None:
        from stages.studies.run.budget import proposal

        _say(proposal(plan, arguments.hours))
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from stages.studies.jobs.submit import Wish, submit
    from stages.studies.spec.study_config import load_study_config

    told = (arguments.on, arguments.jobs, arguments.push, arguments.sbatch, arguments.dry_run)
    return _log(submit(load_study_config(arguments.study), Wish(*told), _say))


def _status(arguments: argparse.Namespace) -> int:
    from stages.studies.jobs.status import status
    from stages.studies.spec.study_config import load_study_config

    return _log(status(load_study_config(arguments.study)))


def _gather(arguments: argparse.Namespace) -> int:
    from stages.studies.jobs.gather import gather, wait
    from stages.studies.spec.study_config import load_study_config

    form = load_study_config(arguments.study)
    if arguments.wait:
        wait(form)
    return _log(gather(form, arguments.revisions))


def _keep(arguments: argparse.Namespace) -> int:
    from stages.studies.run.keep import keep_cells
    from stages.studies.spec.study_config import load_study_config

    return _log(keep_cells(load_study_config(arguments.study), arguments.revision))


def _page(arguments: argparse.Namespace) -> int:
    from stages.studies.page.page import write_page

    return _log(write_page(arguments.study, arguments.revisions))


def _wire(arguments: argparse.Namespace) -> int:
    from stages.core.files import write_text
    from stages.studies.spec.pipeline_file import pipeline
    from stages.studies.spec.study_config import load_study_config

    form = load_study_config(arguments.study)
    write_text(form.folder / "dvc.yaml", pipeline(form))
    return _log(f"wrote {form.folder / 'dvc.yaml'}")


def _new(arguments: argparse.Namespace) -> int:
    from stages.studies.spec.new_study import new_study
    from stages.studies.spec.trained_study import new_trained_study

    models = arguments.models or (None if arguments.trained else UNTRAINED)
    grid = {
        "models": models.split(",") if models else None,
        "sizes": [int(size) if size.isdigit() else size for size in arguments.sizes.split(",")],
        "seeds": list(range(arguments.seeds)),
    }
    place = arguments.study, arguments.folder, grid
    if arguments.trained:
        given, px = arguments.weights, arguments.px or 128
        return _log(new_trained_study(*place, given, px, arguments.labels))
    return _log(new_study(*place, arguments.epochs, arguments.px or 32, arguments.labels))


def _log(line: str) -> int:
    _say(line)
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

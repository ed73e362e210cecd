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
import os
import sys
from typing import TYPE_CHECKING, TextIO

from stages.core.cli import reporting_errors
from stages.studies.spec.new_options import add_options, study_asked_for

if TYPE_CHECKING:
    from stages.studies.spec.study_config import StudyConfig


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and do as it says; return the exit status."""
    parser = _parser()
    arguments, more = parser.parse_known_args(argv)
    if more and (arguments.command != "submit" or not more[0].startswith("-")):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    arguments.sbatch = more
    return reporting_errors(lambda: COMMANDS[arguments.command](arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    added = {name: commands.add_parser(name, allow_abbrev=False) for name in COMMANDS}
    for command in added.values():
        command.add_argument("study", metavar="NAME", help="a folder below studies/")
    for key in ("model", "size", "recipe"):
        added["run"].add_argument(f"--{key}", required=True)
    added["run"].add_argument("--seed", type=int, required=True)
    added["verify"].add_argument(
        "--cells", type=int, default=3, metavar="N", help="how many (default: %(default)s)"
    )
    added["verify"].add_argument(
        "--seed", type=int, help="of the draw (default: another one each time, and said)"
    )
    added["plan"].add_argument(
        "--hours", type=float, metavar="H", help="also say which cells fit, and in which order"
    )
    _add_jobs(added["submit"])
    added["gather"].add_argument("--wait", action="store_true", help="until no job is left")
    _add_revisions(added["gather"], "--from", "also take the cells of {} that are missing here")
    _add_revisions(added["keep"], "--from", "keep the cells of {} instead")
    _add_revisions(added["page"], "--with", "also show the cells of {}, e.g. machine/mac")
    add_options(added["new"])
    return parser


def _add_revisions(command: argparse.ArgumentParser, option: str, does: str) -> None:
    command.add_argument(
        option, dest="revisions", action="append", default=[], metavar="REVISION",
        help=does.format("this branch or experiment"),
    )  # fmt: skip


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.usage = f"{command.prog} NAME [--on WHERE] [--jobs N] [--push REMOTE] [--dry-run] …"
    command.epilog = "Others, after NAME, are sbatch's: --partition gpu --gres gpu:1 --time 4:00:00"
    command.add_argument("--on", choices=("slurm", "local"), default="slurm")
    command.add_argument("--jobs", type=int, metavar="N", help="run no more than N at once")
    pushing = "for nodes that do not see this disk: they clone this git remote and push results"
    command.add_argument("--push", metavar="REMOTE", help=pushing)
    command.add_argument("--dry-run", action="store_true", help="print what would be done alone")


def _form(arguments: argparse.Namespace) -> "StudyConfig":
    from stages.studies.spec.study_config import load_study_config

    return load_study_config(arguments.study)


def _fingerprint(arguments: argparse.Namespace) -> int:
    from stages.studies.run.machine import fingerprint

    return _log(f"hardware DNA {fingerprint(_form(arguments))}")


def _pictures(arguments: argparse.Namespace) -> int:
    from stages.studies.run.losses import require_pictures_of_outdated
    from stages.studies.run.pictures import list_pictures

    form = _form(arguments)
    told = list_pictures(form)
    require_pictures_of_outdated(form)
    return _log("\n".join(told))


def _run(arguments: argparse.Namespace) -> int:
    from stages.studies.run.cell import run_cell

    form = _form(arguments)
    cell = form.find(arguments.model, arguments.size, arguments.recipe, arguments.seed)
    run_cell(form, cell, _say)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from stages.studies.run.verify import verify

    return verify(_form(arguments), arguments.cells, arguments.seed, _say)


def _plan(arguments: argparse.Namespace) -> int:
    from stages.studies.run.budget import proposal, require_hours
    from stages.studies.run.plan import plan_of

    require_hours(arguments.hours)
    plan = plan_of(_form(arguments), lambda line: _say(line, sys.stderr))
    _say(plan.text())
    if arguments.hours is not None and plan.missing and not plan.refused:
        _say(proposal(plan, arguments.hours))
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from stages.studies.jobs.submit import Wish, submit

    told = (arguments.on, arguments.jobs, arguments.push, arguments.sbatch, arguments.dry_run)
    return _log(submit(_form(arguments), Wish(*told), _say))


def _status(arguments: argparse.Namespace) -> int:
    from stages.studies.jobs.status import status

    return _log(status(_form(arguments)))


def _gather(arguments: argparse.Namespace) -> int:
    from stages.studies.jobs.gather import gather

    return _log(gather(_form(arguments), arguments.revisions, arguments.wait))


def _keep(arguments: argparse.Namespace) -> int:
    from stages.studies.run.keep import keep_cells

    form = _form(arguments)
    return _log("\n".join(keep_cells(form, name) for name in arguments.revisions or [None]))


def _page(arguments: argparse.Namespace) -> int:
    from stages.studies.page.page import choose_study, write_page
    from stages.studies.run.machine import about_weights
    from stages.studies.run.picture_cautions import about_pictures

    _say(write_page(arguments.study, arguments.revisions))
    form = choose_study(arguments.study)
    for note in [*about_pictures(form), *about_weights(form)]:
        _say(note, sys.stderr)
    return 0


def _wire(arguments: argparse.Namespace) -> int:
    from stages.core.files import write_text
    from stages.studies.spec.pipeline_file import pipeline

    form = _form(arguments)
    write_text(form.folder / "dvc.yaml", pipeline(form))
    return _log(f"wrote {form.folder / 'dvc.yaml'}")


def _new(arguments: argparse.Namespace) -> int:
    return _log(study_asked_for(arguments))


def _log(line: str) -> int:
    _say(line)
    return 0


def _say(line: str, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(line + "\n")
    stream.flush()


COMMANDS = {
    "fingerprint": _fingerprint, "pictures": _pictures, "run": _run, "verify": _verify,
    "plan": _plan, "submit": _submit, "status": _status, "gather": _gather,
    "keep": _keep, "page": _page, "wire": _wire, "new": _new,
}  # fmt: skip

if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        status = 1
    os._exit(status)  # all is closed; taking PyTorch's modules apart would cost a cell 1.5 s

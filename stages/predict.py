"""Ask a trained model which class pictures show, with the preprocessing of its run.

A PICTURE is a file, a folder with all pictures below it, or a zip of one. The model is that of the
workspace or of `--run`: a git revision, a branch, an experiment from `dvc exp list`, or a folder.
The probabilities are those that evaluation gave. Pictures that cannot be read are named at the end
and make the exit status 1; the others are answered.

  python -m stages.predict kitten.jpg holiday.zip
  python -m stages.predict pictures/ --run exp-mobile --top 1 --csv > answers.csv
"""

import argparse
import gc
import inspect
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from stages.core.cli import reporting_errors

if TYPE_CHECKING:
    from stages.datasets.reading import Unreadable
    from stages.deployment.answers import Answer

SHOWN = 20  # unreadable pictures that are named


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, answer, and return the exit status."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m stages.predict",
        description=inspect.getdoc(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file, folder or zip")
    parser.add_argument(
        "--run", default="workspace", metavar="REVISION", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="classes (default: %(default)s)"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps (default: %(default)s)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="a row per picture and class")
    form.add_argument("--json", action="store_true", help="one document with the model's facts")
    arguments = parser.parse_args(argv)
    if arguments.top < 1:
        parser.error(f"--top is {arguments.top}; at least one class can be shown")
    return reporting_errors(lambda: predict(arguments))


def predict(arguments: argparse.Namespace) -> int:
    """Answer and print. Raises UserError subclasses, also for pictures that cannot be read."""
    from stages.core.errors import DataError
    from stages.deployment.pictures import find_pictures
    from stages.runs.sources import open_source

    pictures = find_pictures(arguments.pictures)
    source = open_source(arguments.run)
    gc.disable()  # a fifth of the seconds that torch and timm take to load
    from stages.deployment.answers import Answer, answers
    from stages.deployment.run_model import model_of_run

    model = model_of_run(source, arguments.device)
    gc.enable()
    unreadable: list[Unreadable] = []

    def readable() -> Iterator[Answer]:
        for one in answers(model, pictures, arguments.top):
            if isinstance(one, Answer):
                yield one
            else:
                unreadable.append(one)

    if arguments.json:
        about = {"run": source.name, **model.about.model_dump(mode="json")}
        _print_json(about, readable())
    else:
        _print_lines(_as_csv(readable()) if arguments.csv else map(_as_text, readable()))
    for note in pictures.notes:
        sys.stderr.write(f"{note}\n")
    if pictures.left_out:
        counts = ", ".join(f"{len(names)} {why}" for why, names in pictures.left_out.items())
        sys.stderr.write(f"not taken for pictures: {counts}\n")
    if unreadable:
        raise DataError(_complaint(unreadable, len(pictures.names)))
    return 0


def _as_text(answer: "Answer") -> str:
    from stages.datasets.listing import IN_SIGHT

    shares = [f"{name} {100 * share:.1f} %" for name, share in answer.best]
    return f"{answer.name.translate(IN_SIGHT)}: {', '.join(shares)}\n"


def _as_csv(answers: "Iterable[Answer]") -> Iterator[str]:
    import csv
    import io

    def row(*values: object) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue()

    yield row("picture", "rank", "class", "probability")
    for answer in answers:
        for rank, (name, share) in enumerate(answer.best, start=1):
            yield row(answer.name, rank, name, share)


def _print_lines(lines: Iterable[str]) -> None:
    """Each as soon as it is known, above the bar of progress where there is one."""
    from tqdm import tqdm

    for line in lines:
        tqdm.write(line, end="")


def _print_json(about: dict[str, object], answers: "Iterable[Answer]") -> None:
    import json

    found = [
        {
            "picture": answer.name,
            "answers": [{"class": name, "probability": share} for name, share in answer.best],
        }
        for answer in answers
    ]
    sys.stdout.write(json.dumps({"model": about, "pictures": found}, indent=2) + "\n")


def _complaint(unreadable: "list[Unreadable]", pictures: int) -> str:
    from stages.datasets.listing import IN_SIGHT

    named = [f"{one.name.translate(IN_SIGHT)} ({one.reason})" for one in unreadable[:SHOWN]]
    if len(unreadable) > SHOWN:
        named.append(f"and {len(unreadable) - SHOWN} more")
    rest = " The others are answered." if len(unreadable) < pictures else ""
    return (
        f"{len(unreadable)} of {pictures} pictures cannot be read: {'; '.join(named)}.{rest} "
        "Replace them, or leave them out."
    )


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` reads no further
    sys.exit(main())

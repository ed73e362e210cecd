"""Whether a difference matters, arranged for reading: accuracy, churn, seeds, classes.

The figures come from `statistics` and `seeds`.
"""

from stages.comparison.analysis.compare_runs import Comparison, other_question
from stages.comparison.analysis.findings import Rung
from stages.comparison.analysis.statistics import Paired, points
from stages.comparison.page.needed import needed_of_seeds
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.values import heads
from stages.comparison.page.wording import side_in_words
from stages.core.counts import counted
from stages.measures.evaluation.unequal import BALANCED


def matters(found: Comparison) -> Section:
    """The answers to the test images side by side; of the figures only those that differ."""
    answers = found.answers
    if answers is None:
        return Section("matters", "Whether it matters", (_lacking(found), *_seeds(found)))
    sentences = [_accuracy(found, answers), *_mcnemar(found, answers), _churn(found, answers)]
    return Section(
        "matters",
        "Whether it matters",
        (*sentences, *_seeds(found)),
        (*_figures(found), *_classes(found)),
    )


def _lacking(found: Comparison) -> str:
    other = other_question(found.a, found.b)
    if other:
        return f"The runs answer other questions: {other}."
    return "Without the predictions of both runs, or without shared images, it is not known."


def _accuracy(found: Comparison, answers: Paired) -> str:
    if found.verdict.rung is Rung.BIT_IDENTICAL:
        return (
            f"Both give the same answers to {counted(answers.images, 'image')}, of which "
            f"{answers.top1_a:.2%} are right."
        )
    held = "within" if answers.equivalent else "not shown to be within"
    return (
        f"On {counted(answers.images, 'image')} the accuracy is {answers.top1_a:.2%} for "
        f"{found.a.name} and {answers.top1_b:.2%} for {found.b.name}: a difference of "
        f"{points(answers.difference, True)} points (95 % interval {points(answers.low, True)} to "
        f"{points(answers.high, True)}), {held} ±{points(answers.margin)} points (TOST p "
        f"{answers.tost_p:.2g})."
    )


def _mcnemar(found: Comparison, answers: Paired) -> list[str]:
    """Nothing where both have the same images right."""
    if answers.only_a == answers.only_b == 0:
        return []
    doubt = ", which shows no difference and no equality" if answers.mcnemar_p > 0.05 else ""
    return [
        f"{counted(answers.only_a, 'image')} only {found.a.name} has right, {answers.only_b} only "
        f"{found.b.name}: exact McNemar p {answers.mcnemar_p:.2g}{doubt}."
    ]


def _churn(found: Comparison, answers: Paired) -> str:
    beside = found.perturbed_answers
    ulp = "" if beside is None else f"; one ULP changes {beside.churn:.2%}"
    return (
        f"Churn: {answers.churn:.2%} of the answers differ (95 % interval "
        f"{answers.churn_low:.2%} to {answers.churn_high:.2%}){ulp}."
    )


def _seeds(found: Comparison) -> list[str]:
    seeds, rung = found.seeds, found.verdict.rung
    if seeds is None or rung is Rung.BIT_IDENTICAL:
        return []
    held = "within" if seeds.equivalent else "not shown to be within"
    sentence = (
        f"Over {counted(seeds.seeds, 'seed')} {side_in_words(rung)} the accuracy, second run minus "
        f"first, is {points(seeds.difference, True)} points (95 % interval "
        f"{points(seeds.low, True)} to {points(seeds.high, True)}), {held} ±{points(seeds.margin)} "
        f"points (TOST p {seeds.tost_p:.2g}); seeds of one side spread by "
        f"{points(seeds.sd_within)} points."
    )
    needed = "" if rung is Rung.INPUTS_DIFFER else needed_of_seeds(seeds)
    return [sentence, f"{needed[0].upper()}{needed[1:]}."] if needed else [sentence]


def _figures(found: Comparison) -> tuple[Grid, ...]:
    rows = []
    named = BALANCED | {
        "test_loss": "test loss", "ece": "calibration error (ECE)", "int8_top1": "accuracy in int8",
    }  # fmt: skip
    for key, name in named.items():
        one, other = found.a.evaluate.get(key), found.b.evaluate.get(key)
        if one is not None and other is not None and f"{one:.4g}" != f"{other:.4g}":
            rows.append((name, f"{one:.4g}", f"{other:.4g}"))
    if not rows:
        return ()
    return (Grid(("", *heads(found.a.name, found.b.name)), tuple(rows), (1, 2)),)


def _classes(found: Comparison) -> tuple[Grid, ...]:
    """The classes that differ most; all that differ beyond chance are among them."""
    table = found.classes
    if table is None or not (table["difference"] != 0).any():
        return ()
    size = table["difference"].abs()
    telling = (table["difference"] != 0) & (
        (table["p_adjusted"] < 0.05) | (size.rank(ascending=False, method="first") <= 5)
    )
    shown = table[telling].sort_values("difference", key=abs, ascending=False)
    rows = tuple(
        (row["label"], str(row["images"]), f"{row['top1_a']:.1%}",
         f"{row['top1_b']:.1%}", points(row["difference"], True), f"{row['p_adjusted']:.2g}")
        for row in shown.to_dict(orient="records")
    )  # fmt: skip
    head = ("class", "images", *heads(found.a.name, found.b.name), "points", "p, adjusted")
    return (Grid(head, rows, (1, 2, 3, 4, 5), title="Classes that differ most"),)

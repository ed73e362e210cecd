"""A comparison arranged for reading: titled sections of paragraphs and tables, without a form.

`text` gives them the form of Markdown, `page` that of HTML. The numbers come from `together`.
"""

from dataclasses import dataclass

from stages.comparison.causes import MEANINGS, from_settings
from stages.comparison.record import Record
from stages.comparison.setup import Difference
from stages.comparison.statistics import points
from stages.comparison.together import Comparison, class_names, other_question
from stages.comparison.verdict import where_bits_part

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Grid:
    """A table of text. `numeric` are the columns of figures; a `folded` one is of less interest."""

    head: tuple[str, ...]
    rows: Rows
    numeric: tuple[int, ...] = ()
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, sentences and tables. `anchor` names it in a page."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()


def sections_of(found: Comparison) -> list[Section]:
    """Everything about two runs in the order of the questions; empty sections are left out."""
    made = [_setup(found), _numerics(found), _parting(found), _matters(found), _cost(found)]
    return [section for section in made if section.sentences or section.grids]


def _setup(found: Comparison) -> Section:
    decisive = [d for d in found.differences if d.kind != "neutral"]
    neutral = [d for d in found.differences if d.kind == "neutral"]
    head = ("", found.a.name, found.b.name)
    grids = []
    if decisive:
        grids.append(Grid((*head, "kind"), _pairs(decisive, kinds=True), title="Can decide bits"))
    if neutral:
        grids.append(Grid(head, _pairs(neutral), title="Decides nothing", folded=True))
    sentences = [] if found.differences else ["Parameters, data, code and machine are the same."]
    sentences += [f"{name} lacks {', '.join(files)}." for name, files in found.missing.items()]
    if any(file.startswith("data/") for files in found.missing.values() for file in files):
        sentences.append(
            "What lies in `data` is kept by DVC: `dvc push` on the machine that made it, then "
            "`dvc fetch --all-branches` here."
        )
    return Section("setup", "What differs in the set-up", tuple(sentences), tuple(grids))


def _pairs(differences: list[Difference], kinds: bool = False) -> Rows:
    return tuple((d.key, said(d.a), said(d.b), *([d.kind] if kinds else [])) for d in differences)


def said(value: object) -> str:
    """A value as text; what a run does not say is a dash."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numerics(found: Comparison) -> Section:
    numerics = found.numerics
    sentences = []
    grids: tuple[Grid, ...] = ()
    if numerics is None:
        sentences.append("One run or both have no metrics/numerics.json: nothing was measured.")
    elif numerics.count == 0:
        sentences.append(f"All {numerics.compared} probes have the same bits on both machines.")
    else:
        sentences.append(f"{numerics.count} of {numerics.compared} probes have other bits.")
        if numerics.worst:
            name, error = numerics.worst
            sentences.append(f"The largest error among them is {error:.1e} of the values ({name}).")
        rows = tuple(
            (group, str(len(names)), MEANINGS.get(group, "any of the above"), _few(names))
            for group, names in numerics.changed.items()
        )
        grids = (Grid(("operations", "probes", "points to", "which"), rows, (1,)),)
    if numerics:
        for name, text in numerics.not_repeatable.items():
            sentences.append(f"Not repeatable on {name} without deterministic algorithms: {text}.")
    if causes := from_settings(found.a, found.b):
        sentences.append(f"What can cause it: {'; '.join(causes)}.")
    return Section("numerics", "Numeric DNA", tuple(sentences), grids)


def _few(names: list[str], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _parting(found: Comparison) -> Section:
    parting, sentences = found.parting, []
    if parting is None:
        sentences.append("Without a trace of both runs it is not known where they part.")
    elif parting.step is None:
        traced = (
            f"All {parting.compared} traced steps agree" if parting.compared else "Weights agree"
        )
        sentences.append(f"{traced} to the bit, up to step {parting.after}.")
    else:
        words = where_bits_part(found.a, found.b)
        sentences.append(f"{words[0].upper()}{words[1:]}.")
        if parting.tensors:
            sentences.append(f"{len(parting.tensors)} of {parting.of} parameters differ there.")
    if found.first_step_apart:
        sentences.append(
            f"At the first step the gradients are {found.first_step_apart:.1e} apart, relative to "
            "their norm."
        )
    return Section("parting", "Where they part", tuple(sentences), _growth(found))


def _growth(found: Comparison) -> tuple[Grid, ...]:
    """Weight distance at a few steps: as many as fit a table, the last among them."""
    growth, twin = found.growth, found.twin_growth
    if growth is None or not any(growth.apart):
        return ()
    beside = dict(zip(twin.steps, twin.apart, strict=True)) if twin else {}
    last = len(growth.steps) - 1
    places = sorted({round(index * last / 8) for index in range(9)})
    rows = []
    for index in places:
        step = growth.steps[index]
        row = [str(step), f"{growth.apart[index]:.0e}"]
        if twin:
            row.append(f"{beside[step]:.0e}" if step in beside else "–")
        rows.append(tuple(row))
    head = ("after step", "weights apart", *(["one-ULP twin"] if twin else []))
    return (
        Grid(head, tuple(rows), (0, 1, 2), title="Distance of the weights relative to their norm"),
    )


def _matters(found: Comparison) -> Section:
    answers = found.answers
    if answers is None:
        other = other_question(found.a, found.b)
        lacking = (
            f"The runs answer other questions: {other}."
            if other
            else "Without the predictions of both runs, or without shared images, it is not known."
        )
        return Section("matters", "Whether it matters", (lacking,))
    held = "within" if answers.equivalent else "not shown to be within"
    sentences = [
        f"On {answers.images:,} images the accuracy differs by {points(answers.difference, True)} "
        f"points (95 % interval {points(answers.low, True)} to {points(answers.high, True)}); it "
        f"is {held} ±{points(answers.margin)} points (TOST p {answers.tost_p:.2g}).",
        f"{answers.only_a} images only {found.a.name} has right, {answers.only_b} only "
        f"{found.b.name}: exact McNemar p {answers.mcnemar_p:.2g}"
        + (", which shows no difference and no equality." if answers.mcnemar_p > 0.05 else "."),
        f"Churn: {answers.churn:.2%} of the answers differ (95 % interval "
        f"{answers.churn_low:.2%} to {answers.churn_high:.2%})"
        + (f"; one ULP changes {found.twin_churn:.2%}." if found.twin_churn is not None else "."),
    ]
    sentences += _seeds(found)
    return Section(
        "matters", "Whether it matters", tuple(sentences), (_figures(found), *_classes(found))
    )


def _seeds(found: Comparison) -> list[str]:
    seeds = found.seeds
    if seeds is None:
        return []
    held = "within" if seeds.equivalent else "not shown to be within"
    sentence = (
        f"Over {seeds.seeds} seeds on each machine the accuracy differs by "
        f"{points(seeds.difference, True)} points (95 % interval {points(seeds.low, True)} to "
        f"{points(seeds.high, True)}), {held} ±{points(seeds.margin)} points (TOST p "
        f"{seeds.tost_p:.2g}); seeds on one machine spread by {points(seeds.sd_within)} points."
    )
    if seeds.equivalent or seeds.needed is None:
        return [sentence]
    return [sentence, f"To show equivalence takes about {seeds.needed:,} seeds per machine."]


def _figures(found: Comparison) -> Grid:
    rows = [("top-1 on the shared images", *(f"{v:.2%}" for v in _top1(found)))]
    for name, key in (("test loss", "test_loss"), ("calibration error (ECE)", "ece")):
        one, other = found.a.evaluate.get(key), found.b.evaluate.get(key)
        if one is not None and other is not None:
            rows.append((name, f"{one:.4f}", f"{other:.4f}"))
    return Grid(("", found.a.name, found.b.name), tuple(rows), (1, 2))


def _top1(found: Comparison) -> tuple[float, float]:
    return (found.answers.top1_a, found.answers.top1_b) if found.answers else (0.0, 0.0)


def _classes(found: Comparison) -> tuple[Grid, ...]:
    """The classes that differ most; all that differ beyond chance are among them."""
    table = found.classes
    if table is None or not (table["difference"] != 0).any():
        return ()
    names = class_names(found.a)
    size = table["difference"].abs()
    telling = (table["difference"] != 0) & (
        (table["p_adjusted"] < 0.05) | (size.rank(ascending=False, method="first") <= 5)
    )
    shown = table[telling].sort_values("difference", key=abs, ascending=False)
    rows = tuple(
        (str(names.get(row["label"], row["label"])), str(row["images"]), f"{row['top1_a']:.1%}",
         f"{row['top1_b']:.1%}", points(row["difference"], True), f"{row['p_adjusted']:.2g}")
        for row in shown.to_dict(orient="records")
    )  # fmt: skip
    head = ("class", "images", found.a.name, found.b.name, "points", "p, adjusted")
    return (Grid(head, rows, (1, 2, 3, 4, 5), title="Classes that differ most"),)


def _cost(found: Comparison) -> Section:
    rows = tuple(
        (cost.name, f"{cost.a:.4g}", f"{cost.b:.4g}", ratio_in_words(cost.times_better))
        for cost in found.costs
    )
    if not rows:
        return Section("cost", "What it costs")
    head = ("", found.a.name, found.b.name, f"{found.b.name} is")
    return Section("cost", "What it costs", (), (Grid(head, rows, (1, 2)),))


def ratio_in_words(times_better: float) -> str:
    """A cost ratio as people say it: 4.5× better, 1.3× worse."""
    if 0.995 < times_better < 1.005:
        return "the same"
    if times_better > 1:
        return f"{times_better:.2f}× better"
    return f"{1 / times_better:.2f}× worse"


def title_of(a: Record, b: Record) -> str:
    """The heading of a comparison."""
    return f"{b.name} against {a.name}"

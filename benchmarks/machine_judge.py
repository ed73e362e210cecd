"""What `compare` says of one trial of `across_machines`, and whether that is right.

Which trials there are is in `machine_trials`; counting them is left to `across_machines`.
"""

from dataclasses import replace
from pathlib import Path

from benchmarks.held_out_faults import HELD_OUT
from benchmarks.later_faults import LATER_FAULTS
from benchmarks.machine_runs import begin_of
from benchmarks.machine_trials import HERE, Trial
from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.evaluation import confidence_gap, same_weights
from stages.comparison.analysis.findings import Fault, Verdict
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.outcome import BY_ANSWERS, with_replay
from stages.comparison.rerun.replay import replay
from stages.runs.run import Run, read_run
from stages.runs.sources import open_source
from stages.studies.run.cell import TRACED_STEPS

ALL_FAULTS = LATER_FAULTS | HELD_OUT
ONE_CODE = dict.fromkeys(("train", "evaluate"), "of all trials")
"""As `dvc.lock` tells it of runs by `dvc repro`; a fault is one that no code tells of."""


class Judge:
    """Verdicts on the runs of a folder; each run is read once."""

    def __init__(self, folder: Path, replays: bool = False, cells: bool = False) -> None:
        self.folder, self.replays, self.cells = folder, replays, cells
        self._runs: dict[str, Run] = {}

    def has(self, trial: Trial) -> bool:
        """Whether the run and the honest ones to hold it against are there."""
        needed = (trial, *(Trial(m, trial.family, trial.seed) for m in (HERE, trial.machine)))
        return all((self.folder / t.folder / "metrics/evaluate.json").exists() for t in needed)

    def run(self, trial: Trial) -> Run:
        """The record of a trial."""
        if trial.folder not in self._runs:
            run = read_run(open_source(str(self.folder / trial.folder)))
            run = replace(run, code=ONE_CODE)
            self._runs[trial.folder] = _as_cell(run) if self.cells else run
        return self._runs[trial.folder]

    def verdict(self, trial: Trial) -> Verdict:
        """The trial's run held against the honest one on this machine, and computed again here.

        It is computed again only where `replays` says so and could change the verdict.
        """
        first, run = self.run(Trial(HERE, trial.family, trial.seed)), self.run(trial)
        found = compare_runs(first, run).verdict
        if not self.replays or (found.rung.exit_status == 1 and not _may_be_rounding(found.fault)):
            return found
        again = replay(open_source(run.name), run, other=first)
        if again.tied:
            found = compare_runs(first, run, tied=True).verdict
        return with_replay(found, again.fault, again.covers_all)

    def outcome(self, trial: Trial) -> str:
        """What became of a fault; the sentence of docs/comparing.md explains the words."""
        plain = self.run(Trial(trial.machine, trial.family, trial.seed))
        run, verdict = self.run(trial), self.verdict(trial)
        answers = [each.predictions for each in (plain, run)]
        if same_weights(plain, run) and answers[0] is not None and answers[0].equals(answers[1]):
            return "no change"
        if verdict.rung.exit_status == 1:
            return "caught" if _is_right(trial, verdict) else "caught, other place"
        if self._effect(plain, run) <= 2 * self._rounding(trial):
            return "below rounding"
        return "called equivalent" if verdict.rung.exit_status == 0 else "not decided"

    def _effect(self, a: Run, b: Run) -> float:
        """How far two runs end apart: weights or confidences, whichever is more."""
        growth = weight_growth(a, b)
        return max(growth.distance[-1] if growth else 0.0, confidence_gap(a, b) or 0.0)

    def _rounding(self, trial: Trial) -> float:
        """The same between the honest runs of this machine and of another one."""
        other = trial.machine if trial.machine != HERE else "AVX2"
        pair = [Trial(machine, trial.family, trial.seed) for machine in (HERE, other)]
        if not all(map(self.has, pair)):
            return 0.0
        return self._effect(*map(self.run, pair))


def _may_be_rounding(fault: Fault | None) -> bool:
    """Whether a replay can take the fault back: a choice that rounding makes, or answers alone."""
    if fault is None:
        return False
    return fault.where.part == "gradient" or fault.kind in BY_ANSWERS


def _as_cell(run: Run) -> Run:
    """What a study's cell keeps of a run: nothing from inside, and a few traced steps."""
    assert run.trace is not None
    few = run.trace[run.trace["step"].isin(TRACED_STEPS)].reset_index(drop=True)
    return replace(run, trace=few, inside=None, tensors=None, numerics={})


def _is_right(trial: Trial, verdict: Verdict) -> bool:
    """Whether the place is the fault's; of a replay, its interval tells as well."""
    where, fault = verdict.where, ALL_FAULTS[trial.fault]
    if where is None:
        return False
    interval = where.first is not None and where.last is not None
    if verdict.fault and verdict.fault.here and interval and trial.begins != "evaluation":
        return where.first <= begin_of(trial.begins) + 1 <= where.last  # type: ignore[operator]
    return bool({where.part, *PARTS_OF.get(where.part, ())} & {*fault.places})


PARTS_OF = {"forward": ("module", "target", "loss"), "backward": ("gradient",)}
"""What the trace of steps tells as one, where the inside of a step was not recorded."""

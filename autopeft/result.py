"""A study folder -> its result: front, best, verdict, report, export."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from autopeft.base.errors import AutopeftError
from autopeft.base.files import made_folder
from autopeft.configuration import Configuration
from autopeft.front import BestWithin, Front, FrontPoint, Verdict, front_of, per_budget, verdict
from autopeft.space import parse_budget
from autopeft.study.folder import StudyFolder
from autopeft.study.records import StudyResult
from autopeft.study.spec import StudySpec

if TYPE_CHECKING:
    from autopeft.export import Case, Exported


@dataclass(frozen=True)
class Result:
    """What a search found. `front` is the answer; `best` and `choose` pick from it; `export` takes it away.

    Attributes:
        data: everything that the study folder holds.
        interrupted: Ctrl-C ended the search before it was done.

    Example:
        >>> import autopeft
        >>> result = autopeft.Result.open("runs/small")  # the study of the example of `autopeft.search`
        >>> result.best("0.5%").trainable <= 112_826
        True
        >>> result.export(to="peft", out="exported").verdict
        'lossless'
    """

    data: StudyResult
    interrupted: bool = False

    @classmethod
    def open(cls, folder: str | Path, interrupted: bool = False, margin: float | None = None) -> "Result":
        """Read a study folder.

        Args:
            folder: of the study.
            interrupted: Ctrl-C ended the search before it was done.
            margin: the largest gap that equivalent configurations may have (default: the study's).

        Raises:
            AutopeftError: it holds no study or one of another version.
        """
        from autopeft.study.reading import read_study

        data = read_study(folder)
        if margin is not None:
            if not 0 < margin < inf:
                raise AutopeftError(f"The margin is {margin}: give a number above zero, such as 0.01 for one point.")
            data = replace(data, spec={**data.spec, "margin": margin})
        return cls(data, interrupted)

    @cached_property
    def front(self) -> Front:
        """The Pareto front over the study's objectives, by validation."""
        return front_of(self.data)

    @cached_property
    def verdict(self) -> Verdict:
        """Which configuration to take, what it gains, and the leanest that holds up against uniform LoRA."""
        return verdict(self.data)

    @cached_property
    def per_budget(self) -> tuple[BestWithin, ...]:
        """What `best` says of the full budget, a third, a tenth ... of it, and what that gains."""
        return per_budget(self.data)

    def best(self, budget: str | int | None = None) -> FrontPoint:
        """The best point of the front by validation within a budget ("0.2%", "50k", a count; None: the study's own)."""
        limit = parse_budget(budget, self.data.shapes.backbone_parameters)
        point = self.front.best(limit)
        if point is None:
            raise AutopeftError(
                f"No point of the front in {self.data.folder} has {limit:,} trainable parameters or fewer."
            )
        return point

    def choose(self, which: str = "best") -> tuple[str, Configuration]:
        """(name, configuration) of "best", "knee" or a trial's number. Raises AutopeftError if there is none."""
        if which in ("best", "knee"):
            if not self.front.points:
                raise AutopeftError(
                    f"The study in {self.data.folder} has no finished trial yet: run 'autopeft search' again to resume it."
                )
            point = self.front.best() if which == "best" else self.front.knee
            assert point is not None
            return point.name, point.configuration
        trials = {str(t.number): t.configuration for t in self.data.trials if t.configuration}
        trained = {o.name.removeprefix("trial "): o.configuration for o in self.data.outcomes if o.role == "finalist"}
        trials |= trained  # whose learning rate was tuned
        if which not in trials:
            raise AutopeftError(
                f"The study in {self.data.folder} has no trial '{which}': give best, knee or a trial's number"
                + (f" up to {max(map(int, trials))}." if trials else ".")
            )
        return f"trial {which}", trials[which]

    def case(self, which: str = "best") -> "Case":
        """What a toolkit is given of "best", "knee" or a trial's number. Raises AutopeftError if there is none."""
        from autopeft.export import Case

        return Case.of(self.data, *self.choose(which))

    def export(
        self, to: str = "peft", which: str = "best", out: str | Path | None = None, dry_run: bool = False
    ) -> "Exported":
        """Write a configuration as a toolkit's own files and say what they lose.

        Where the toolkit cannot express it nothing is written, and the verdict says why and names those that can.

        Args:
            to: a toolkit's name, such as "peft".
            which: "best", "knee" or a trial's number.
            out: the folder; below the study folder by default.
            dry_run: write nothing.

        Returns:
            What was written and what is lost.

        Raises:
            AutopeftError: there is no such toolkit or configuration.
        """
        from autopeft.export import export

        folder = Path(out) if out else Path(self.data.folder) / "export" / to
        return replace(export(to, self.case(which), folder, dry_run), caution=self.caution(which))

    def caution(self, which: str = "best") -> str:
        """That a trial was stopped early, in a sentence; of "best", "knee" and what was trained to its end nothing."""
        trial = next((t for t in self.data.trials if str(t.number) == which), None)
        if trial is None or trial.state == "complete" or f"trial {which}" in {o.name for o in self.data.outcomes}:
            return ""
        if trial.curve is None or not trial.curve.steps:
            return f"Trial {which} was never scored ({trial.reason or trial.state}): nothing says how good it is."
        return (
            f"Trial {which} was stopped at step {trial.curve.steps[-1]:,} of {self.data.spec['full_steps']:,} "
            f"({trial.state}): nothing says how good it is in full."
        )

    def write_report(self, out: str | Path | None = None) -> dict[str, Path]:
        """Write report.html, front.csv, front.json and trials.csv.

        Args:
            out: the folder, which is made if it does not exist (default: the study folder).

        Returns:
            File name -> path.

        Raises:
            AutopeftError: the folder cannot be written.
        """
        from autopeft.report.files import write_report
        from autopeft.study.optuna_study import open_to_read

        study = open_to_read(StudyFolder(self.data.folder), StudySpec(**self.data.spec), self.data.objectives)
        return write_report(self.data, made_folder(Path(out or self.data.folder)), study)

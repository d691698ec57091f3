"""Clock: what is left of the time that a search was given, and what still fits into it at the pace that it turned out to have."""

from dataclasses import dataclass, replace

from autopeft.base.steady import steady
from autopeft.study.spec import StudySpec
from autopeft.study.time_plan import Effort, Pace, stages

REPORT = 5.0  # seconds that are kept for the report


@dataclass(frozen=True)
class Clock:
    """The end of a search's time.

    Attributes:
        until: `steady()` at the end.
        effort: what was planned.
        pace: that was measured at the start.
        spec: the study.
    """

    until: float
    effort: Effort
    pace: Pace
    spec: StudySpec

    @property
    def left(self) -> float:
        """Seconds left, the report's kept back; never below 0."""
        return max(0.0, self.until - REPORT - steady())

    def trials_until(self) -> float:
        """When to ask for no more trials: what is left is split between them and the full-length runs as planned."""
        planned = stages(self.effort, self.pace, self.spec)
        share = planned["trials"] / (planned["trials"] + planned["full length"])
        return steady() + share * self.left

    def slower(self, trials: int, seconds: float) -> float:
        """How many times as long as planned so many trials took; 1 for none."""
        expected = stages(replace(self.effort, trials=trials), self.pace, self.spec)["trials"]
        return seconds / expected if expected else 1.0

    def full_length(self, slower: float = 1.0) -> tuple[int, bool]:
        """What still fits of the full-length runs, with one seed each; further seeds are raced while there is time.

        Args:
            slower: times as long as planned that the trials took.

        Returns:
            How many finalists, at least one, and whether the whole backbone is fine-tuned too.
        """
        pace = replace(self.pace, step=self.pace.step * slower)
        for ceiling in dict.fromkeys((self.effort.ceiling, False)):
            for finalists in range(self.effort.finalists, 1, -1):
                tried = replace(self.effort, finalists=finalists, ceiling=ceiling, seeds=1)
                if stages(tried, pace, self.spec)["full length"] <= self.left:
                    return finalists, ceiling
        return 1, False


def said(effort: Effort, pace: Pace, spec: StudySpec) -> str:
    """The plan in one sentence."""
    expected = stages(effort, pace, spec)
    ceiling = " and the ceiling" if effort.ceiling else ""
    return (
        f"Plan for {spec.time}, at {1000 * pace.step:.0f} ms a step: {effort.trials} trials of up to {effort.full_steps} "
        f"steps ({minutes(expected['trials'])}), then {effort.finalists} finalists, the baselines{ceiling} with up to "
        f"{effort.seeds} seed{'s' if effort.seeds > 1 else ''} ({minutes(expected['full length'])})."
    )


def minutes(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole} min {rest} s" if whole else f"{rest} s"

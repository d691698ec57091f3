"""Build a file of the benchmark of tasks, run by run; the same command resumes it.

A candidate's rates start together. Where the best at an eighth of the length is the lowest or highest, one beyond it is
tried too. At an eighth and at a quarter the best goes on, and so does every other rate that has gained enough by then. A candidate
that several others with no more parameters beat at a quarter ends there. The best third gets a second seed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers.utils import logging as transformers_logging

from autopeft.base.files import write_whole
from autopeft.base.interrupt import interrupts_noted
from autopeft.base.lock import one_writer
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.executor.order import Order
from autopeft.executor.workers import Workers
from autopeft.methods import count
from autopeft.prepare import Prepared
from autopeft.proxy.job import Job
from autopeft.resident import environment, load_resident, load_workers
from autopeft.space.relative import RelativeConfiguration
from autopeft.study.head_rate import with_head_rate
from autopeft.study.length import as_stored
from autopeft.tabular.begun import STEP, Begun, Candidate, candidates_on, parts_key
from autopeft.tabular.build import append, check_same
from autopeft.tabular.evidence import FORMAT, Evidence, EvidenceRun, json_lines

MOST_RATES = 5
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the length, after which the validation split is scored
# share of the length, and of the best rate's gain over the linear probe that a rate needs there
RULED = ((1 / 8, 0.5), (1 / 4, 0.98))
GO_ON = 2  # rates at most that go on from there
BEATEN = 4  # times that a candidate may be beaten at the last of these by one with no more parameters and still go on
TOGETHER = 16  # candidates that are trained in one go: what a kill can lose
SECOND = 1 / 3  # share of the candidates that get a second seed


def build_evidence(
    prepared: Prepared, path: Path, relatives: Sequence[RelativeConfiguration], progress: Progress
) -> Evidence:
    """Train what a file of the benchmark lacks.

    Args:
        prepared: the task and the backbone.
        path: the file, begun or resumed.
        relatives: the candidates; those that do not fit the backbone or exceed the budget are left out.
        progress: told each run.

    Raises:
        AutopeftError: the file holds another task or another length.
    """
    with interrupts_noted(), one_writer(path.with_suffix(".lock"), f"The evidence {path}"):
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        stored = next(json_lines(path), None) if path.is_file() else None
        if stored:
            prepared = replace(prepared, spec=as_stored(prepared.spec, stored["spec"]))
            check_same(prepared, stored, path)
        opened = load_resident(prepared, stored, progress)
        workers = load_workers(prepared, opened, progress)
        found = with_head_rate(prepared.spec, prepared.shapes, workers, stored, progress)
        prepared = replace(prepared, spec=found)
        if not stored:
            path.parent.mkdir(parents=True, exist_ok=True)
            spec, task, shapes = prepared.spec.model_dump(), prepared.task.summary(), prepared.shapes.to_json()
            about = {"format": FORMAT, "spec": spec, "task": task, "shapes": shapes}
            write_whole(path, json.dumps({**about, "environment": environment(opened.precision)}) + "\n")
        mend(path)
        try:
            Building(prepared, path, workers, progress).run(candidates_on(prepared, relatives))
        finally:
            workers.close()
            progress.close()
    return Evidence.read(path)


def mend(path: Path) -> None:
    """Cut off a last line that was not finished."""
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        write_whole(path, text[: text.rfind("\n") + 1])


@dataclass(frozen=True)
class Building:
    """The training of one file."""

    prepared: Prepared
    path: Path
    workers: Workers
    progress: Progress

    def run(self, candidates: Sequence[Candidate]) -> None:
        """Train every candidate, then the second seeds."""
        done = {parts_key(run) for run in self.runs()}
        left = [c for c in candidates if parts_key(c) not in done]
        self.progress.stage("candidates", len(candidates), len(candidates) - len(left))
        while left:
            size = TOGETHER if left[0].relative else 1  # the linear probe first: rates are compared with it
            together, left = left[:size], left[size:]
            self.train(together)
        self.second_seeds()

    def runs(self) -> tuple[EvidenceRun, ...]:
        """What the file holds."""
        return Evidence.read(self.path).runs

    def train(self, candidates: list[Candidate]) -> None:
        """Train several candidates and keep their runs."""
        with TemporaryDirectory(prefix=f"{self.path.stem}-", dir=self.path.parent) as states:
            trained = self.trained(candidates, Path(states))
        for i, found in trained.items():
            runs = [self.evidence(b) for b in found]
            append(self.path, "".join(json.dumps(r.to_json()) + "\n" for r in runs))
            best = max((r.curve.validation_score[-1] for r in runs if r.whole and r.curve), default=float("nan"))
            self.progress.step(f"{candidates[i].configuration}: {len(runs)} rates, validation {best:.3f}")

    def trained(self, candidates: list[Candidate], states: Path) -> dict[int, list[Begun]]:
        """Several candidates: their rates to an eighth, those beyond an end, then what is not ruled out, in full."""
        begun: dict[int, list[Begun]] = {i: [] for i in range(len(candidates))}
        asked = [(i, rate) for i, c in enumerate(candidates) for rate in c.rates]
        while asked:
            new = self.advance([Begun(candidates[i], rate) for i, rate in asked], RULED[0][0], states)
            for (i, _), run in zip(asked, new):
                begun[i].append(run)
            asked = [(i, rate) for i, found in begun.items() for rate in beyond(found)]
        for (share, gain), later in zip(RULED, (*(s for s, _ in RULED[1:]), 1.0)):
            going = [(i, b) for i, found in begun.items() for b in self.going_on(found, share, gain)]
            if later == 1:
                going = self.not_beaten(going, share)
            for (i, old), further in zip(going, self.advance([b for _, b in going], later, states)):
                begun[i][begun[i].index(old)] = further
        return begun

    def advance(self, begun: list[Begun], share: float, states: Path) -> list[Begun]:
        """Train runs on to a share of their length; in the same order."""

        def order(run: Begun) -> Order:
            kept = states / f"{run.configuration.key}-{share}.state"
            return Order(self.job(run.configuration, share), run.state, str(kept.resolve()) if share < 1 else None)

        found = dict(self.workers.run([order(run) for run in begun]))
        return [begun[i].then(found[i]) for i in range(len(begun))]

    def job(self, configuration: Configuration, share: float) -> Job:
        """A part of a run, up to a share of its length."""
        spec = self.prepared.spec
        steps = tuple(max(1, round(s * spec.steps)) for s in SHARES if s <= share)
        return Job(configuration, spec.seed, spec.steps, steps[-1], steps, test=share == 1)

    def going_on(self, begun: list[Begun], share: float, gain: float) -> list[Begun]:
        """Of the rates that came as far as `share` the best, and those that gained nearly as much over the linear probe."""
        step = max(1, round(share * self.prepared.spec.steps))
        here = [b for b in begun if b.curve and b.curve.steps[-1] == step]
        if not here:
            return []
        best = min(here, key=lambda b: b.loss)
        probe = self.probe_loss(step, best.loss)
        going = [b for b in here if b is best or probe - b.loss >= gain * (probe - best.loss) > 0]
        return sorted(going, key=lambda b: b.loss)[:GO_ON]

    def not_beaten(self, going: list[tuple[int, Begun]], share: float) -> list[tuple[int, Begun]]:
        """Those that not too many candidates, trained earlier or now, beat there with no more parameters."""
        step = max(1, round(share * self.prepared.spec.steps))
        best: dict[tuple, tuple[int, float]] = {}
        for run in [*self.runs(), *(self.evidence(b) for _, b in going)]:
            at = run.curve.at(step) if run.curve and run.role == "candidate" else None
            if run.curve and at is not None:
                key, loss = parts_key(run), run.curve.validation_loss[at]
                best[key] = min(best.get(key, (run.trainable, loss)), (run.trainable, loss))

        def beaten(b: Begun) -> int:
            own = count(b.configuration, self.prepared.shapes)
            return sum(number <= own and loss < b.loss for number, loss in best.values())

        return [(i, b) for i, b in going if b.candidate.relative is None or beaten(b) <= BEATEN]

    def probe_loss(self, step: int, otherwise: float) -> float:
        """The linear probe's loss after a step."""
        for run in self.runs():
            if run.role == "linear probe" and run.curve and (at := run.curve.at(step)) is not None:
                return run.curve.validation_loss[at]
        return otherwise

    def evidence(self, begun: Begun) -> EvidenceRun:
        """What is kept of a run."""
        candidate, seed = begun.candidate, self.prepared.spec.seed
        relative = candidate.relative.to_json() if candidate.relative else None
        number = count(begun.configuration, self.prepared.shapes)
        return EvidenceRun(candidate.role, relative, begun.configuration, number, seed, begun.curve, begun.failure)

    def second_seeds(self) -> None:
        """Train the best third of the candidates, and the linear probe, at their best rate with the next seed."""
        runs, seed = self.runs(), self.prepared.spec.seed + 1
        has = {r.configuration.key for r in runs if r.seed == seed}
        left = [r for r in best_third(runs) if r.configuration.key not in has]
        self.progress.stage("second seeds", len(left))
        for start in range(0, len(left), 4 * TOGETHER):
            some = left[start : start + 4 * TOGETHER]
            jobs = [replace(self.job(r.configuration, 1), seed=seed) for r in some]
            for number, result in self.workers.run(jobs):
                run = replace(some[number], seed=seed, curve=result.curve, failure=result.failure)
                append(self.path, json.dumps(run.to_json()) + "\n")
                self.progress.step(f"{run.configuration}, seed {seed}")


def beyond(begun: list[Begun]) -> Iterator[float]:
    """The rate beyond the end where the best of a candidate's rates lies, if it lies there and more may be tried."""
    best = min(begun, key=lambda b: b.loss)
    rates = sorted(b.rate for b in begun)
    if len(rates) < 3 or len(rates) >= MOST_RATES or best.curve is None:
        return
    if best.rate == rates[0]:
        yield rates[0] / STEP
    elif best.rate == rates[-1]:
        yield rates[-1] * STEP


def best_third(runs: Sequence[EvidenceRun]) -> list[EvidenceRun]:
    """The best run of each of the best third of the candidates by validation score, and of every baseline."""
    best: dict[tuple, EvidenceRun] = {}
    for run in (r for r in runs if r.whole):
        key = parts_key(run)
        if key not in best or score(run) > score(best[key]):
            best[key] = run
    ranked = sorted((r for r in best.values() if r.role == "candidate"), key=score, reverse=True)
    return [*(r for r in best.values() if r.role != "candidate"), *ranked[: round(SECOND * len(ranked))]]


def score(run: EvidenceRun) -> float:
    """The validation score at full length."""
    assert run.curve is not None
    return run.curve.validation_score[-1]

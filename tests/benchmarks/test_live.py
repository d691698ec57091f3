"""Which members of a front are trained again, and what is made of them; studies are made up, with known scores."""

import json
import subprocess
import sys
from dataclasses import replace

import optuna
import pytest

pytest.importorskip("accelerate")  # the Trainer's

from live import print_task, same_as_before
from live_figures import PARTS, Member, differences, figures_of, gap_text, members, text
from live_ways import COMMAND, NO_DEFAULTS, answer, by_naive, drawn, interrupted
from made_up import OUTCOMES, TRIALS, WHOLE, lora, outcome, trial

from autopeft.base.progress import Progress
from autopeft.prepare import prepare
from autopeft.space import portfolio, rates
from autopeft.study import trials
from autopeft.study.spec import StudySpec

BUDGET = 10_000
SMALL, MIDDLE, LARGE = (Member(lora(r), 384 * r, v) for r, v in ((1, 0.6), (4, 0.7), (16, 0.8)))
PROBE = outcome("linear probe", "baseline", 0, (0.50, 0.51, 0.52))


def known(*retrained):
    """A study with uniform LoRA of 3,072 parameters at .70, .71, .72 and re-trained members under their keys."""
    named = (replace(o, name=o.configuration.key) for o in retrained)
    return replace(WHOLE, outcomes=(PROBE, OUTCOMES[0], *named), budget=BUDGET, spec={**WHOLE.spec, "margin": 0.04})


def test_members_are_the_best_by_validation_at_each_budget_level():
    assert members([SMALL, MIDDLE, LARGE], BUDGET) == [LARGE, MIDDLE, SMALL]
    assert members([SMALL, MIDDLE, replace(LARGE, validation=0.65)], BUDGET) == [MIDDLE, SMALL]
    assert members([replace(SMALL, validation=0.75), MIDDLE], BUDGET) == [replace(SMALL, validation=0.75)]


def test_what_is_over_the_budget_or_trains_the_head_alone_is_no_member():
    assert members([replace(SMALL, trainable=0), LARGE], 6000) == members([], BUDGET) == []
    assert members([replace(SMALL, trainable=0, validation=0.75), MIDDLE, LARGE], BUDGET) == [LARGE], (
        "the head is better"
    )


def test_members_survive_json():
    assert Member.from_json(json.loads(json.dumps(LARGE.to_json()))) == LARGE


def test_a_way_in_figures():
    """Test scores lie .01 below those of validation; the seeds move all alike, so the hypervolume is the same with each."""
    found = figures_of(
        [LARGE, MIDDLE], known(outcome("", "", 16, (0.8, 0.81, 0.82)), outcome("", "", 4, (0.7, 0.71, 0.72)))
    )
    volume, low, high = found["hypervolume"]
    assert volume == pytest.approx(0.3 * 0.2115 + 0.2 * 0.6021, abs=1e-3) and (low, high) == pytest.approx(
        (volume, volume)
    )
    assert found["full budget"][0] == pytest.approx(0.80) and found["full budget"][1] < 0.80
    assert found["a tenth"][0] == pytest.approx(0.50), "nothing is that small: the linear probe is what is left"
    assert found["equivalent"] == found["within"] == 0.5, "1,536 of 3,072"


def test_a_way_that_found_nothing_has_the_linear_probe():
    found = figures_of([SMALL], known())  # it could not be trained again
    assert found["hypervolume"][0] == 0 and {found[part][0] for part in PARTS} == {found["a tenth"][0]}
    assert found["equivalent"] is None and found["within"] is None


def test_differences_over_tasks():
    def task(mine, its):
        return {way: {k: [x, 0, 0] for k in ("hypervolume", *PARTS)} for way, x in (("search", mine), ("random", its))}

    tasks = [
        {"ways": task(0.8, 0.7), "baselines": {"uniform LoRA": [0.75, 0, 0]}},
        {"ways": task(0.6, 0.7), "baselines": {}},
    ]
    random, uniform = differences(tasks)
    assert random["search minus"] == "random" and random["better volume"] == "1 of 2"
    assert random["hypervolume"] == random["full budget"] == gap_text([0.1, -0.1]) and "(" in random["a tenth"]
    assert uniform["full budget"] == "+0.0500" and uniform["hypervolume"] is None


def test_a_number_without_an_interval():
    nan = float("nan")
    assert text([0.5, nan, nan]) == "0.5000" and text([0.5, 0.4, 0.6]) == "0.5000 ± 0.1000"


def test_a_task_is_printed(capsys):
    way = {"trials": 3, "seconds": 480.2, "steps": 90, "members": [LARGE.to_json()]}
    way |= figures_of([LARGE], known(outcome("", "", 16, (0.8, 0.81, 0.82))))
    told = {
        "metric": "accuracy",
        "ways": {"search": way},
        "baselines": {"probe": [0.5, 0.4, 0.6]},
        "sizes": {"probe": 0},
    }
    print_task(told, "tweets")
    said = capsys.readouterr().out
    assert "search" in said and "480" in said and "0.5000 ± 0.1000" in said


def test_a_way_answers_with_its_front_or_else_with_its_trials_of_full_length():
    """Ctrl-C leaves a trial that is done among those that are running while its cohort is not."""
    assert {m.trainable for m in answer(WHOLE)} == {1536, 6144}
    running = replace(trial(5, 2, 0.65), state="running")
    short = replace(running, curve=replace(running.curve, steps=(5, 10)))
    alone = replace(WHOLE, outcomes=(), trials=(TRIALS[0], running, short, TRIALS[4]), spec={"full_steps": 20})
    assert answer(alone) == [Member(lora(1), 384, 0.6), Member(lora(2), 768, 0.65)]


def test_a_command_is_interrupted_when_its_time_is_over():
    """Also where the shell that began this has its background jobs ignore Ctrl-C."""
    wait = "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); time.sleep({})"
    assert interrupted([sys.executable, "-c", wait.format(60)], 3) == 0
    assert interrupted([sys.executable, "-c", "import sys; sys.exit(2)"], 60) == 2
    assert "signal.default_int_handler" in COMMAND


def test_what_random_search_does_without_is_still_called_so():
    assert (
        trials.first_configurations is portfolio.first_configurations and "trials.first_configurations" in NO_DEFAULTS
    )


def test_a_folder_of_other_options_is_refused(tmp_path):
    same_as_before(tmp_path / "a", {"time": "8m"})
    same_as_before(tmp_path / "a", {"time": "8m"})
    with pytest.raises(SystemExit, match="give another --out"):
        same_as_before(tmp_path / "a", {"time": "9m"})


def test_another_portfolio_reaches_the_command(tmp_path):
    """A `search` of the child process begins with it."""
    (tmp_path / "p.yaml").write_text("entries: [{method: bitfit, settings: {}, depth: 1.0}]\nmethods: [bitfit]\n")
    command = [
        sys.executable,
        "-c",
        COMMAND + "main()",
        str(tmp_path / "p.yaml"),
        str(rates.FILE),
        "space",
        "show",
        "all",  # whatever the default space holds
    ]
    done = subprocess.run([*command, "--portfolio", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["method"] == "bitfit" and portfolio.portfolio().entries[0].method != "bitfit"


def test_the_naive_loop_stops_at_its_time():
    """The first trial takes longer."""
    spec = StudySpec(
        model="minilm-l3",
        data="vader-tweets",
        train_rows=16,
        validation_rows=12,
        test_rows=12,
        full_steps=1,
        batch_size=2,
    )
    prepared = prepare(spec)  # without a budget, so that no draw is refused
    found = by_naive(replace(prepared, budget=prepared.shapes.backbone_parameters), 0.1, Progress(quiet=True))
    assert found["trials"] == 1 and found["steps"] == 1 and found["seconds"] > 0.1 and len(found["members"]) == 1


def test_the_naive_loop_draws_what_peft_can_make():
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0))
    found = [drawn(study.ask(), 6) for _ in range(20)]
    assert {c.method for c in found} == {"lora", "dora", "ia3"} and all(1e-5 <= c.learning_rate <= 1e-2 for c in found)

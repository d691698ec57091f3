"""What a study's result hands out."""

from dataclasses import replace

from made_up import OUTCOMES, WHOLE

from autopeft.result import Result


def test_a_trial_that_was_trained_in_full_has_the_rate_that_was_tuned():
    """Its trial's own rate was exported under the name of a point that had another."""
    tuned = replace(OUTCOMES[1].configuration, learning_rate=7e-4)
    outcomes = (OUTCOMES[0], replace(OUTCOMES[1], configuration=tuned), *OUTCOMES[2:])
    result = Result(replace(WHOLE, outcomes=outcomes))
    assert result.choose("1") == ("trial 1", tuned)
    assert next(p for p in result.front.points if p.name == "trial 1").configuration == tuned
    assert result.choose("3") == ("trial 3", WHOLE.trials[3].configuration)


def test_an_export_says_that_its_trial_was_stopped_early_or_failed():
    stopped = replace(WHOLE.trials[3], state="pruned")
    result = Result(replace(WHOLE, trials=(*WHOLE.trials[:3], stopped, WHOLE.trials[4])))
    assert result.caution("3") == "Trial 3 was stopped at step 20 of 300 (pruned): nothing says how good it is in full."
    assert result.caution("4") == "Trial 4 was never scored (the loss was nan): nothing says how good it is."
    assert result.export("peft", "3", dry_run=True).caution == result.caution("3")
    assert not any(result.caution(which) for which in ("best", "knee", "0", "1", "2"))


def test_what_is_exported_is_what_the_verdict_speaks_of():
    result = Result(WHOLE)
    best = result.verdict.best
    assert result.choose("best") == (best.name, best.configuration) == (result.best().name, result.best().configuration)

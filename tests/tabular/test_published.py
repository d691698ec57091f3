"""Runs that other people published."""

from pathlib import Path

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tabular.fidelity import read_and_judge
from autopeft.tabular.published import is_published, read_published

PEFT = Path(__file__).parents[2] / "studies/benchmarks/published/peft_metamathqa_runs.csv"


def test_the_published_runs_are_read_with_their_curves():
    runs = read_published(PEFT)
    assert len(runs.keys) == 63 and runs.steps[0] == 250 and runs.steps[-1] == 5000
    assert set(runs.signals) == {"train_loss", "valid_accuracy"} and -1 < runs.tested["score"].min() < -0.4


def test_a_run_that_lacks_a_rung_is_left_out(tmp_path):
    runs, curves = (tmp_path / f"x_{n}.csv" for n in ("runs", "curves"))
    runs.write_text("run,trainable,test_accuracy\n" + "".join(f"r{i},{i + 1},0.{i}\n" for i in range(5)))
    rows = [f"r{i},{s},1.0,0.{i}\n" for i in range(5) for s in (1, 2) if (i, s) != (4, 2)]
    curves.write_text("run,step,train_loss,valid_accuracy\n" + "".join(rows))
    assert read_published(runs).keys == ("r0", "r1", "r2", "r3")


def test_a_missing_column_or_partner_or_a_budget_is_one_sentence(tmp_path):
    runs, curves = (tmp_path / f"x_{n}.csv" for n in ("runs", "curves"))
    runs.write_text("run,trainable\na,1\n")
    assert not is_published(runs)
    curves.write_text("run,step,train_loss,valid_accuracy\n")
    with pytest.raises(AutopeftError, match="no column 'test_accuracy'"):
        read_published(runs)
    with pytest.raises(AutopeftError, match="leave out --budget"):
        read_and_judge(PEFT, "1%")

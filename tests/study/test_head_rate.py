"""The learning rate of the head: found with the head alone, once, and the same for everything."""

from dataclasses import replace

import pytest
from sizes import bert_shapes

from autopeft.base.progress import Progress
from autopeft.executor.order import Answer
from autopeft.prepare import prepare
from autopeft.proxy.curve import Curve
from autopeft.study.head_rate import RATES, with_head_rate
from autopeft.study.length import as_stored
from autopeft.study.spec import HEAD_SHARE, USUAL_HEAD_RATE, StudySpec

SMALL = {"model": "minilm-l6", "data": "sst2-val", "train_rows": 64, "full_steps": 80, "max_length": 16, "budget": "1%"}


class Heads:
    """Workers on which the head alone learns best at one rate, and fails at some."""

    def __init__(self, best=None, fails=()):
        self.best, self.fails, self.jobs = best, fails, []
        self.head_learning_rate = None

    def run(self, jobs):
        self.jobs += jobs
        for number, job in enumerate(jobs):
            rate = job.configuration.learning_rate
            loss = abs(RATES.index(rate) - RATES.index(self.best)) if self.best else 1.0
            curve = Curve(job.seed, (job.until,), (1.0,), (float(loss),), (0.5,), 0.1, 1)
            yield number, Answer(None, failure="nan") if rate in self.fails else Answer(curve)


@pytest.fixture(scope="module")
def prepared():
    return prepare(StudySpec.read(None, **SMALL))


def found_by(prepared, heads, stored=None):
    return with_head_rate(prepared.spec, prepared.shapes, heads, stored, Progress(quiet=True))


def test_a_third_of_what_the_head_alone_wants_after_a_quarter_of_the_length(prepared):
    heads = Heads(best=1e-2)
    found = found_by(prepared, heads)
    assert found.head_learning_rate == heads.head_learning_rate == pytest.approx(HEAD_SHARE * 1e-2, rel=1e-3)
    assert {(j.configuration.method, j.until, j.steps) for j in heads.jobs} == {("head_only", 20, 80)}


def test_a_rate_that_fails_is_not_chosen_and_where_all_fail_it_is_the_usual(prepared):
    found = found_by(prepared, Heads(best=3e-2, fails=(3e-2,)))
    assert found.head_learning_rate == pytest.approx(HEAD_SHARE * 1e-2, rel=1e-3)
    none = found_by(prepared, Heads(fails=RATES))
    assert none.head_learning_rate == USUAL_HEAD_RATE


def test_what_is_given_or_stored_stays_and_where_there_is_no_head_nothing_is_trained(prepared):
    given = replace(prepared, spec=prepared.spec.model_copy(update={"head_learning_rate": 5e-4}))
    for study, stored in ((given, None), (prepared, {"spec": {"head_learning_rate": 5e-4}})):
        heads = Heads(best=1e-2)
        assert found_by(study, heads, stored).head_learning_rate == 5e-4
        assert not heads.jobs and heads.head_learning_rate == 5e-4
    headless = replace(prepared, shapes=replace(bert_shapes(), head_modules=()))
    heads = Heads(best=1e-2)
    assert found_by(headless, heads).head_learning_rate == USUAL_HEAD_RATE
    assert not heads.jobs


def test_a_study_of_release_0_1_goes_on_with_its_rate():
    asked = StudySpec.read(None, **SMALL)
    assert as_stored(asked, {**asked.model_dump(), "head_learning_rate": 1e-3}).head_learning_rate == 1e-3

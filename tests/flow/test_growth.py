"""Nothing grows: a search's five hundredth trial needs the memory of its twentieth, and leaves no file behind."""

import gc

import numpy as np
import psutil
import pytest
from tiny import tiny_backbone

from autopeft.backbone.prefix import PrefixCache
from autopeft.executor.workers import Workers
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.trainer import Trainer
from autopeft.space import build_space, load_space
from autopeft.study.folder import StudyFolder
from autopeft.study.halving import Halving
from autopeft.study.optuna_study import open_study
from autopeft.study.rungs import rungs_of
from autopeft.study.spec import StudySpec
from autopeft.study.stored import records
from autopeft.study.trials import Trials
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

TRIALS = 500


def tokens(rows: int, seed: int) -> TokenisedSplit:
    generator = np.random.default_rng(seed)
    ids = tuple(generator.integers(2, 90, generator.integers(4, 12)).astype(np.int32) for _ in range(rows))
    return TokenisedSplit(ids, None, generator.integers(0, 3, rows), np.array([len(x) for x in ids]))


@pytest.mark.slow
def test_memory_after_500_trials_is_that_after_20(tmp_path):
    backbone = tiny_backbone("bert")
    nothing = Split((), ())
    task = Task("tiny", ("a", "b", "c"), "accuracy", nothing, nothing, nothing)
    tokenised = TokenisedTask(tokens(64, 0), tokens(30, 1), tokens(8, 2), 1, task)
    (tmp_path / "prefix").mkdir()
    prefix = PrefixCache(backbone, tokenised, 10**8, tmp_path / "prefix")
    workers = Workers(Trainer(backbone, tokenised, 8, prefix=prefix))
    folder = StudyFolder(tmp_path / "study")
    folder.create()
    spec = StudySpec(trials=TRIALS, full_steps=4, rungs="1/2", sampler="random")
    objectives = Objectives.of(spec.objectives, "accuracy")
    space = build_space("basic", load_space("basic"), backbone.shapes)
    study = open_study(folder, spec, objectives)
    memory = []

    def report(_):
        gc.collect()
        memory.append(psutil.Process().memory_info().rss)

    halving = Halving(study, objectives, rungs_of(spec.rungs, 4, 30), spec, folder)
    Trials(halving, workers, space, Limits.of_budget(backbone.shapes)).run(report)
    assert len(records(study)) == len(memory) == TRIALS
    print(f"after 20 trials {memory[19] / 1e6:.1f} MB, after {TRIALS} {memory[-1] / 1e6:.1f} MB")
    assert memory[-1] <= 1.05 * memory[19]
    assert sorted(p.name for p in folder.path.iterdir()) == ["ledger.json", "trials.journal"]

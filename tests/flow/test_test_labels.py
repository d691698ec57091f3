"""Test labels decide nothing: with others in their place, a search differs in the scores it reports and in nothing else."""

from datasets import Dataset, DatasetDict

import autopeft
from autopeft.tasks import load_task


def searched(folder, shift: int):
    """A search on film reviews whose test labels are moved on by so many rows."""
    task = load_task("rotten-tomatoes", train_rows=64, validation_rows=32, test_rows=32)
    splits = {"train": task.train, "validation": task.validation, "test": task.test}
    columns = {name: (list(split.texts), list(split.labels)) for name, split in splits.items()}
    texts, labels = columns["test"]
    columns["test"] = texts, labels[shift:] + labels[:shift]
    rows = {name: Dataset.from_dict({"text": t, "label": y}) for name, (t, y) in columns.items()}
    DatasetDict(rows).save_to_disk(str(folder / "data"))
    spec = autopeft.StudySpec(
        data=str(folder / "data"), trials=2, full_steps=3, cohort=2, max_length=16, batch_size=8, seeds=2, finalists=1,
        ceiling=False, budget="0.5%", deterministic=True, workers=1
    )  # fmt: skip
    return autopeft.search(spec, folder / "study")


def known_before(result):
    """All that a study says, but for the test split's scores."""
    said, front = result.verdict, result.front
    curves = {
        o.name: [
            (c.seed, c.steps, c.train_loss, c.validation_loss, c.validation_score, c.validation_units) for c in o.curves
        ]
        for o in result.data.outcomes
    }
    return {
        "trials": [(t.number, t.state, t.configuration, t.loss) for t in result.data.trials],
        "outcomes": {o.name: o.configuration for o in result.data.outcomes},
        "curves": curves,
        "front": [(p.name, p.configuration, p.decides) for p in front.points],
        "best": front.best().name,
        "knee": front.knee.name,
        "exported": [result.choose(which) for which in ("best", "knee")],
        "taken": said.best.name,
        "per budget": [(row.shares, row.budgets, row.point.name) for row in result.per_budget],
        "compared": {name: gain.margin for name, gain in said.gains.items()},
        "lean": [(x.objective.name, x.point.name, x.holds_up) for x in said.lean],
    }


def test_other_test_labels_change_the_reported_scores_alone(tmp_path):
    one, other = (searched(tmp_path / name, shift) for name, shift in (("one", 0), ("other", 7)))
    assert known_before(one) == known_before(other)
    assert one.verdict.best.name == one.choose("best")[0] == one.front.best().name
    scores = [[o.test_scores for o in r.data.outcomes] for r in (one, other)]
    assert scores[0] != scores[1], "the labels were others"

"""A made-up study in a folder, and its files with something changed: damaged bytes, or other content under a true checksum."""

import json
import logging
import warnings

import optuna
from hypothesis import strategies as st
from made_up import OUTCOMES, TRACE, TRIALS, WHOLE

from autopeft.base.seal import KEY, parted, sealed
from autopeft.objectives import Objectives
from autopeft.proxy.packing_file import PackingFile
from autopeft.study.folder import StudyFolder
from autopeft.study.ledger import Ledger
from autopeft.study.optuna_study import open_study
from autopeft.study.spec import StudySpec

LINES = ("trials.journal", "outcomes.jsonl", "packing.jsonl")
FILES = (*LINES, "study.json", "importance.json", "ledger.json")
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["../../x", "[/b]"])
)
ODD = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)


def write_study(path, **spec):
    """The study of `made_up.WHOLE` as a search would have left it."""
    files = StudyFolder(path)
    files.create()
    stored = StudySpec(**{**WHOLE.spec, "importance": "trace", **spec}).model_dump()
    about = {"spec": stored, "task": WHOLE.task, "shapes": WHOLE.shapes.to_json(), "budget": WHOLE.budget}
    about |= {"configurations": WHOLE.configurations, "environment": WHOLE.environment, "limits": dict(WHOLE.limits)}
    files.write({**about, "id": "made-up", "fingerprints": {"data": "d", "spec": "s", "backbone": "b"}})
    files.write_scores(TRACE)
    for o in OUTCOMES:
        for curve in o.curves:
            files.add_run(o.name, o.role, o.configuration, o.trainable, o.counted, curve)
    study = open_study(files, StudySpec(**stored), Objectives.of("parameters,metric", "accuracy"))
    for t in TRIALS:
        attrs = {"configuration": t.configuration.to_json(), "trainable": t.trainable, "counted": dict(t.counted)}
        if t.curve:
            attrs["curve"] = t.curve.to_json()
            trial = optuna.trial.create_trial(values=[3.0, t.curve.validation_score[-1]], user_attrs=attrs)
        else:
            attrs |= {"state": "failed", "reason": t.reason}
            trial = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs=attrs)
        study.add_trial(trial)
    PackingFile(path).add(TRIALS[0].configuration, 3, True, {"packed": 0.1})
    return path


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Bytes that were flipped, cut, taken out or doubled, or lines that were."""
    place, much = draw(st.integers(0, len(content))), draw(st.integers(1, 40))
    lines = content.splitlines(keepends=True)
    line = draw(st.integers(0, max(0, len(lines) - 1)))
    return draw(
        st.sampled_from(
            [
                content[:place],
                content[place:],
                content[:place] + content[place + much :],
                content[: place + much] + content[place:],
                content[:place] + bytes([draw(st.integers(0, 255))]) + content[place + 1 :],
                b"".join(lines[:line] + lines[line + 1 :]),
                b"".join(lines[: line + 1] + lines[line:]),
                b"".join(lines[:line] + lines[line + 1 :] + lines[line : line + 1]),
            ]
        )
    )


@st.composite
def changed(draw, value, most=3):
    """A JSON value with up to so many of its values changed, deleted or added, wherever they lie."""
    for _ in range(draw(st.integers(1, most))):
        value = _changed_once(draw, value)
    return value


def _changed_once(draw, value):
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(ODD)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    found = dict(value) if isinstance(value, dict) else list(value)
    what = draw(st.sampled_from(["inside", "inside", "inside", "delete", "odd"]))
    if what == "delete":
        del found[key]
    else:
        found[key] = draw(ODD) if what == "odd" else _changed_once(draw, found[key])
    return found


def rewritten(path, name: str, values: list) -> None:
    """Write a file anew from its JSON values, under checksums that are true of it."""
    lines, last = [], ""
    for value in values:
        about = value if isinstance(value, dict) else {"odd": value}
        lines.append(sealed(about, last if name in LINES[:2] else ""))
        last = parted(lines[-1].encode())[1] or ""
    (path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if name in LINES[:2]:
        Ledger(path, logging.getLogger("fuzz").debug).write(name, (len(lines), last))


def values_of(path, name: str) -> list:
    """The JSON values of a file: one, or one a line."""
    text = (path / name).read_text(encoding="utf-8")
    values = [json.loads(line) for line in text.splitlines() if line] if name in LINES else [json.loads(text)]
    return [{k: v for k, v in value.items() if k != KEY} for value in values]


def read_all(path) -> None:
    """What `autopeft report` reads and makes of a study, but for writing the page and its figures."""
    from autopeft.report.tables import csv, front_columns, front_rows, result_json, trial_columns, trial_rows
    from autopeft.result import Result

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = Result.open(path)
        json.dumps(result_json(result.data))
        csv(front_rows(result.data), front_columns(result.data.objectives))
        csv(trial_rows(result.data), trial_columns(result.data.objectives))
        if result.front.points:
            result.choose("best")

"""A search whose states lie outside the study folder: the same search, nothing of it in the folder, nothing left behind."""

from dataclasses import replace

import pytest

import autopeft
from autopeft import AutopeftError
from autopeft.executor.stored import Stored

FIELDS = {
    "trials": 2, "cohort": 2, "full_steps": 8, "rungs": "1/2", "train_rows": 32, "validation_rows": 24, "test_rows": 24,
    "max_length": 12, "seeds": 1, "finalists": 1, "ceiling": False, "deterministic": True, "workers": 1, "rates": 1,
    "budget": "0.5%", "space": "lora",
}  # fmt: skip


class Killed(BaseException):
    """In place of a signal."""


def curves(result):
    return [t.curve and replace(t.curve, seconds=0, peak_memory_bytes=0, measured={}) for t in result.data.trials]


@pytest.mark.slow
def test_a_search_is_resumed_from_where_its_artefacts_lie(tmp_path, monkeypatch):
    place = tmp_path / "shared disk"
    spec = autopeft.StudySpec(**FIELDS, artefacts=f"file://{tmp_path.as_posix()}/shared%20disk")
    written, real = [], Stored.write

    def dies(path, state):
        if len(written) == 2:
            raise Killed
        written.append(path)
        return real(path, state)

    with monkeypatch.context() as patch:
        patch.setattr(Stored, "write", dies)
        patch.setattr("autopeft.study.halving.Halving._promoted", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            autopeft.search(spec, tmp_path / "study")
    (own,) = place.iterdir()
    assert own.name.startswith("study-") and len(list(own.glob("trial-*.state"))) == 2 == len(written)
    assert not (tmp_path / "study" / "states").exists()
    for other in (None, "s3://bucket/prefix"):
        with pytest.raises(AutopeftError, match=f"made with artefacts='file:.* asks for artefacts={other!r}: give"):
            autopeft.search(spec.model_copy(update={"artefacts": other}), tmp_path / "study")
    (tmp_path / "study").rename(tmp_path / "moved")
    resumed = autopeft.search(spec, tmp_path / "moved")
    assert list(place.iterdir()) == []
    whole = autopeft.search(autopeft.StudySpec(**FIELDS), tmp_path / "whole")
    assert curves(resumed) == curves(whole)
    assert all(c.steps[0] == 4 and len(c.steps) == 1 or c.steps == (4, 8) for c in curves(resumed))

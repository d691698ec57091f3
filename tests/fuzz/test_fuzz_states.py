"""What workers, checkpoints and runs leave: states, orders, unit scores, layer scores, stored hidden states."""

import json
import logging

import numpy as np
import pytest
from fuzz_cases import result_or_sentence
from fuzzed_study import changed, damaged
from hypothesis import given
from hypothesis import strategies as st
from made_up import TRACE, curve, lora, units

from autopeft.backbone.prefix_pieces import Damaged, Layout, Piece, open_piece, write_piece
from autopeft.base.seal import sealed
from autopeft.executor.stored import Stored
from autopeft.importance.scores import LayerScores
from autopeft.proxy.checkpoint import JobFile
from autopeft.tasks.unit_scores import UnitScores
from autopeft.train.work import WorkFolder

STATE = bytes(range(256))
POINTS = [[4, 0.7, 0.6, 0.5, units(0.5)]]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "fuzzed.state"


@given(data=st.data())
def test_states(file, data):
    """A state is what was stored, or there is none."""
    stored = Stored.write(str(file), STATE)
    file.write_bytes(data.draw(damaged(file.read_bytes()) | st.binary(max_size=100)))
    found = Stored.found(str(file))
    assert found is None or found.read() == file.read_bytes().partition(b"\n")[2]
    assert result_or_sentence(stored.read) in (None, STATE)


@given(data=st.data())
def test_checkpoints_of_jobs(file, data):
    logging.disable(logging.WARNING)
    about = sealed({"points": POINTS, "seconds": 1.5, "state": Stored.write(str(file), STATE).sha256})
    file.write_bytes(data.draw(damaged(about.encode() + b"\n" + STATE)))
    found = JobFile(str(file)).read()
    assert found is None or found.state == STATE


@given(data=st.data())
def test_checkpoints_of_jobs_under_true_checksums(file, data):
    logging.disable(logging.WARNING)
    about = {"points": POINTS, "seconds": 1.5, "state": Stored.write(str(file), STATE).sha256}
    odd = data.draw(changed(about))
    file.write_bytes(sealed(odd if isinstance(odd, dict) else {"odd": odd}).encode() + b"\n" + STATE)
    found = result_or_sentence(JobFile(str(file)).read)
    assert found is None or found.state == STATE


@given(data=st.data())
def test_unit_scores(data):
    text = units(0.7).encode()
    found = result_or_sentence(UnitScores.from_text, data.draw(damaged(text)).decode("latin-1"))
    assert found is None or found.values.ndim == 1


@given(st.text(max_size=30) | st.none() | st.integers())
def test_any_unit_scores(text):
    result_or_sentence(UnitScores.from_text, text)


@given(data=st.data(), kind=st.sampled_from(["curve", "configuration", "scores"]))
def test_values_in_json(data, kind):
    """Whatever is read is of the types that it is said to be of, else a ValueError or the like."""
    whole = {"curve": curve(0.7, test=True), "configuration": lora(4), "scores": TRACE}[kind]
    odd = data.draw(changed(json.loads(json.dumps(whole.to_json()))))
    try:
        found = type(whole).from_json(odd)
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    except Exception as error:
        assert type(error).__name__ == "AutopeftError"
        return
    assert type(whole).from_json(json.loads(json.dumps(found.to_json()))) == found or "NaN" in json.dumps(
        found.to_json()
    )
    if kind == "curve":
        assert isinstance(found.loss, float)
    if kind == "scores":
        assert isinstance(found, LayerScores) and all(isinstance(x, float) for x in found.scores)


LAYOUT, LENGTHS = Layout("t", 1, 4, "float32"), np.array([2, 3, 1])


@given(data=st.data())
def test_stored_hidden_states(tmp_path_factory, data):
    """A piece is as it was written, or it is said to be damaged."""
    import torch

    folder = tmp_path_factory.getbasetemp()
    piece = Piece(np.array([0, 2]), torch.arange(12.0).view(3, 4))
    path = write_piece(folder, LAYOUT, piece)
    content = path.read_bytes()
    path.write_bytes(data.draw(damaged(content)))
    try:
        found = open_piece(path, LAYOUT, LENGTHS)
    except (Damaged, OSError, RuntimeError):  # what whoever opens pieces takes for damage
        return
    assert found.states.equal(piece.states) and (found.rows == piece.rows).all()


class Training:
    """What a work folder asks of a training."""

    overwrite = False

    def identity(self):
        return {"seed": 0}


@given(data=st.data())
def test_unfinished_trainings(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "work"
    place = folder / "checkpoint-4"
    place.mkdir(parents=True, exist_ok=True)
    whole = {"identity": {"seed": 0}, "step": 4, "losses": [0.5], "record": {"watch": "score", "patience": None,
             "evaluations": [], "best": None, "waited": 0, "peak_memory_bytes": 0, "resumed": []}}  # fmt: skip
    content = json.dumps(whole).encode()
    odd = data.draw(damaged(content) | changed(whole).map(json.dumps).map(str.encode))
    (place / "checkpoint.json").write_bytes(odd)
    (place / "run.safetensors").write_bytes(STATE)
    found = result_or_sentence(WorkFolder(folder).begin, Training(), type("One", (), {"first": False}))
    assert found is None or isinstance(found.step, int) and all(isinstance(x, float) for x in found.losses)

"""A kind of task is one object, wherever it travels; stored JSON holds its name."""

import copy
import json
import pickle

import pytest
from tiny import tiny_backbone
from tiny_lm import smollm2_tokenizer

from autopeft.backbone.shapes import BackboneShapes
from autopeft.tasks.kind import REGISTRY, get_kind, kind_of
from autopeft.tasks.kinds.classification import Classification
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import tokenise


@pytest.mark.parametrize("name", ["classification", "choice", "image-classification"])
def test_copies_and_pickles_are_the_kind_itself(name):
    kind = get_kind(name)
    assert copy.deepcopy(kind) is pickle.loads(pickle.dumps(kind)) is kind
    assert {kind: 1}[REGISTRY[name]] == 1


@pytest.mark.parametrize("model_type, name", [("t5", "seq2seq"), ("bert", "classification")])
def test_stored_shapes_hold_the_name_of_the_kind(model_type, name):
    shapes = tiny_backbone(model_type).shapes
    stored = json.loads(json.dumps(shapes.to_json()))
    assert shapes.kind is get_kind(name) and stored["task"] == name and "kind" not in stored
    assert BackboneShapes.from_json(stored) == shapes


def test_studies_older_than_kinds_are_read_as_text_classification():
    stored = tiny_backbone("bert").shapes.to_json()
    del stored["task"]
    assert BackboneShapes.from_json(stored).kind is get_kind()
    assert kind_of({"classes": ["bad", "good"]}) is get_kind("classification")
    assert kind_of({"kind": "regression", "classes": []}) is get_kind("regression")


def test_a_kind_that_is_derived_from_another_collates_its_own_batches():
    class Reviews(Classification):
        """Without a name of its own it is not registered."""

    assert get_kind() is not (reviews := Reviews()) and type(get_kind()) is Classification
    kind, tokenizer = reviews, smollm2_tokenizer()
    split = Split(("a text", "another"), (0, 1))
    task = Task("made", ("bad", "good"), "accuracy", split, split, split, kind=kind)
    assert tokenise(task, tokenizer).train.kind is kind

"""Sampling against brute force: every configuration, each once, none over budget."""

import random

import pytest
from enumeration import every_configuration
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.importance.scores import LayerScores
from autopeft.methods import count
from autopeft.objectives import Limits
from autopeft.space import SpaceFile, build_space, default_parameters, load_space


class Random:
    def __init__(self, seed):
        self._random = random.Random(seed)

    def suggest_categorical(self, name, choices, allowed, weights=None):
        return self._random.choice(allowed)

    def suggest_float(self, name, low, high):
        return low


SPACES = {
    "any": SpaceFile(
        methods={
            "lora": {"rank": [1, 2], "target_modules": ["attention", "query+value"], "rslora": [False]},
            "head_only": {},
        }
    ),
    "frozen": SpaceFile(methods={"lora": {"rank": [1, 2], "rslora": [False]}}, frozen_layers=[1, 2]),
    "suffix": SpaceFile(
        methods={"dcft": {"kernel_size": [2, 4], "rank": [1], "target_modules": ["all-linear"]}, "full": {}},
        layers="suffix",
    ),
    "one": SpaceFile(methods={"locft": {"target_modules": ["ffn_in", "ffn_out"]}}, frozen_layers=[0, 2]),
    "all": SpaceFile(methods={"vera": {"rank": [4, 8]}}, layers="all"),
    "procedures": SpaceFile(
        methods={"lora": {"rank": [1, 2], "target_modules": ["ffn"], "rslora": [False]}, "full": {}, "head_only": {}},
        procedures={
            "plain": {},
            "lisa": {"gamma": [1, 2], "interval": [5, 20]},
            "pace": {"variant": ["exact"], "sigma": [0.5, 1.0], "weight": [1.0]},  # not with full
        },
    ),
}


@pytest.mark.parametrize("name", SPACES)
def test_the_count_is_the_number_of_different_configurations(name):
    space = build_space(name, SPACES[name], bert_shapes())
    found = every_configuration(space)
    assert len(found) == len(set(found)) == space.configurations


def test_the_published_space_counts_configurations_and_assignments():
    file = SpaceFile(
        layers="bits",
        combination={
            "serial_adapter": {"bottleneck": [0, 1, 2], "placement": ["pfeiffer"]},
            "parallel_adapter": {"bottleneck": [0, 4], "scaling": [4.0]},
            "prefix_tuning": {"prefix_length": [0, 3]},
        },
    )
    space = build_space("mine", file, bert_shapes())
    found = set(every_configuration(space))
    assert space.assignments == 3 * 2 * 2 * 2**3
    assert space.configurations == (3 * 2 * 2 - 1) * (2**3 - 1) + 1
    assert len(found | {space.branches[0].configuration({}, (), 1e-3)}) == space.configurations


def test_a_combination_is_trained_in_every_way_that_each_of_its_parts_can_be():
    file = SpaceFile(
        combination={
            "serial_adapter": {"bottleneck": [0, 1], "placement": ["pfeiffer"]},
            "parallel_adapter": {"bottleneck": [0, 4], "scaling": [4.0]},
        },
        procedures={"lisa": {"gamma": [1], "interval": [5, 20]}},
    )
    space = build_space("mine", file, bert_shapes())
    found = set(every_configuration(space))
    assert space.configurations == 3 * 7 * 3 + 1
    assert len(found | {space.branches[0].configuration({}, (), 1e-3)}) == space.configurations


def test_an_unknown_procedure_or_setting_is_one_sentence():
    for procedures, sentence in (
        ({"lsia": {}}, "Unknown procedure 'lsia'. Did you mean 'lisa'"),
        ({"lisa": {"gama": [1]}}, "Unknown setting 'gama' of lisa.*Did you mean 'gamma'"),
    ):
        with pytest.raises(AutopeftError, match=sentence):
            build_space("mine", SpaceFile(methods={"lora": {}}, procedures=procedures), bert_shapes())


def test_the_bundled_autopeft_space_on_bert_base_is_the_published_one():
    space = build_space("autopeft", load_space("autopeft"), bert_shapes(layers=12, hidden=768, ffn=3072))
    assert space.assignments == 11**3 * 2**12
    assert space.configurations == (11**3 - 1) * (2**12 - 1) + 1
    assert dict(space.branches[0].choices)["serial_adapter.bottleneck"] == (0, 1, 3, 6, 12, 24, 48, 96, 192, 384, 768)


@pytest.mark.parametrize("width", [384, 768, 1024])
def test_the_published_space_divides_the_width_and_takes_prefix_lengths_from_768(width):
    """Bottlenecks are int(H // 2^k), prefixes 768 / 2^k whatever H is; 2^9 stands for 1 and 2^10 for none."""
    branch = build_space("autopeft", load_space("autopeft"), bert_shapes(hidden=width)).branches[0]
    choices = dict(branch.choices)
    bottlenecks = {0, 1, *(width // 2**k for k in range(9))}
    assert set(choices["serial_adapter.bottleneck"]) == set(choices["parallel_adapter.bottleneck"]) == bottlenecks
    assert set(choices["prefix_tuning.prefix_length"]) == {0, 1, *(768 // 2**k for k in range(9))}
    assert branch.learning_rate == (1e-3, 1e-2)  # the space's description says so


@pytest.mark.parametrize("name", ["default", "lora", "dcft", "adapters", "freeze", "autopeft", "mam", "unipelt"])
def test_no_path_leads_over_the_budget(name):
    shapes = bert_shapes(layers=4)
    space = build_space(name, load_space(name), shapes, Limits.of_budget(shapes, 1500))
    for seed in range(60):
        assert count(space.sample(Random(seed)), shapes) <= 1500


def test_a_budget_that_nothing_meets_names_the_smallest():
    space = build_space("lora", load_space("lora"), bert_shapes(), Limits.of_budget(bert_shapes(), 10))
    with pytest.raises(AutopeftError, match="smallest is lora with 128 "):
        space.affordable()


def test_scores_decide_which_layer_is_asked_for_first():
    asked = []

    class Recorder(Random):
        def suggest_categorical(self, name, choices, allowed, weights=None):
            asked.append((name, weights))
            return 0 if name == "frozen_layers" else super().suggest_categorical(name, choices, allowed, weights)

    scores = LayerScores("test", (0.1, 0.9, 0.2), cut=0)
    build_space("lora", load_space("lora"), bert_shapes(), scores=scores).sample(Recorder(0))
    bits = [(n, w) for n, w in asked if n.startswith("layer.")]
    assert [n for n, _ in bits] == ["layer.1", "layer.2"]
    assert bits[0][1][True] > bits[1][1][True] > 0
    assert all(v > 0 for v in dict(asked)["frozen_layers"].values())


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("methods: {loar: }", "Unknown method 'loar'. Did you mean 'lora'"),
        ("methods: {lora: {rnk: [1]}}", "Unknown setting 'rnk' of lora.*Did you mean 'rank'"),
        ("methds: {lora: }", "Unknown key 'methds' in .*Did you mean 'methods'"),
        ("methods: {lora: {rank: {a: 3}}}", "methods.lora.rank.0"),
        ("methods: {lora: {rank: [huge]}}", "'rank' of lora in space 'mine' is a whole number such as 8, not 'huge'"),
        ("methods: {lora: {rank: [-2]}}", "'rank' of lora in space 'mine' must be above zero, and it is -2"),
        ("methods: {lora: {rank: [0]}}", "must be above zero"),
        ("methods: {lora: {rank: [2.5]}}", "is a whole number such as 8, not '2.5'"),
        ("methods: {lora: {rank: []}}", "lists no value"),
        ("methods: {lora: {rank: [4096]}}", "'rank' of lora is 4096, and the matrices .* have rank 32 at most"),
        ("methods: {lora: {rslora: [maybe]}}", "'rslora' of lora in space 'mine' is true or false, not 'maybe'"),
        ("methods: {road: {variant: [road_3]}}", "cannot be 'road_3'. Did you mean 'road_"),
        ("methods: 3", "'methods' in .*dictionary"),
        ("methods: [lora, 3]", "'methods' in .*valid dictionary"),
        ("methods: [lora]\nprocedures: [unknown]", "Unknown procedure 'unknown'. Choose from"),
        ("methods: [lora]\nprocedures: {lisa: {gamma: [0]}}", "'gamma' of lisa in space 'mine' must be above zero"),
        ("methods: [lora]\nfrozen_layers: [99]", r"frozen_layers of space 'mine' are \[99\], and .* has layers 0 to"),
        ("methods: [lora]\nreference_hidden_size: 0", "reference_hidden_size"),
        ("- lora", "key: value"),
        ("methods: {}", "lists no methods"),
        ("methods: {lora: [}", "not valid YAML"),
    ],
)
def test_a_bad_space_file_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(AutopeftError, match=sentence) as raised:
        build_space("mine", load_space(str(path)), bert_shapes())
    assert "\n" not in str(raised.value)


ALL_RANKS = (1, 2, 4, 8, 16, 32, 64)


@pytest.mark.parametrize(
    "text, names, ranks",
    [
        ("methods: [lora, dora]", ["lora", "dora"], ALL_RANKS),
        ("methods:\n  - lora: {rank: [1, 2]}\n  - dora", ["lora", "dora"], (1, 2)),
        ("methods: lora", ["lora"], ALL_RANKS),
        ("methods: {lora: {rank: 2}}", ["lora"], (2,)),
    ],
)
def test_methods_may_be_written_as_a_list_or_a_name_and_values_as_one(tmp_path, text, names, ranks):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    space = build_space("mine", load_space(str(path)), bert_shapes())
    assert [b.name for b in space.branches] == names and dict(space.branches[0].choices)["rank"] == ranks


def test_an_unknown_space_suggests_the_nearest():
    with pytest.raises(AutopeftError, match="Did you mean 'default'"):
        load_space("defalt")


def test_default_configurations_are_the_defaults_on_every_layer_shrunk_to_the_budget():
    shapes = bert_shapes(layers=4)
    free = {a["method"]: a for a in default_parameters(build_space("default", load_space("default"), shapes))}
    assert (
        free["lora"]["lora.rank"] == 8
        and free["lora"]["frozen_layers"] == 0
        and all(free["lora"][f"layer.{i}"] for i in (1, 2, 3))
    )
    tight = build_space("default", load_space("default"), shapes, Limits.of_budget(shapes, 1500))
    assert [a["method"] for a in default_parameters(tight)] == [b.name for b in tight.affordable()]
    assert {a["method"]: a for a in default_parameters(tight)}["lora"]["lora.rank"] == 2

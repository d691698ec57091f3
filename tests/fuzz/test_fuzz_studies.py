"""Studies and search spaces as YAML texts and mappings: a study, a space, or one sentence."""

import random
from pathlib import Path

import pytest
import yaml
from fuzz_cases import NUMBERS, nearly, result_or_sentence
from hypothesis import example, given
from hypothesis import strategies as st
from sizes import bert_shapes

from autopeft.base.yaml_files import read_yaml
from autopeft.methods import REGISTRY as METHODS
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.space import SpaceFile, build_space, load_space
from autopeft.study.spec import StudySpec

SHAPES = bert_shapes()
FIELDS = list(StudySpec.model_fields)
BOMB = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(NUMBERS)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3))


class Drawn:
    """Chooses among what is allowed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def suggest_categorical(self, name, choices, allowed, weights=None):
        return self.random.choice(allowed)

    def suggest_float(self, name, low, high):
        return low


def yaml_texts(*words):
    """Texts of YAML's own marks and a file's words; whole files with a value of any kind."""
    marks = [
        ": ",
        "- ",
        "\n",
        "\n  ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "!!",
        "!!int ",
        "!!timestamp ",
        "|",
        ">",
        "? ",
        "---",
    ]
    dates = ["2024-99-99", "1:60", "0x", "0b2", "<<: "]
    return nearly(*words, *marks, *dates, *NUMBERS, most=20) | st.dictionaries(
        st.sampled_from(words) | PLAIN, VALUES, max_size=4
    ).map(lambda data: yaml.dump(data, allow_unicode=True, Dumper=yaml.SafeDumper))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "fuzzed.yaml"


def written(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    return str(file)


@given(text=yaml_texts(*FIELDS, "trials: 3", "budget: 300k"))
@example(text=BOMB + "model: *a9")
@example(text="[" * 5000)
@example(text="a: " * 3 + "{" * 5000)
@example(text="trials: 2024-99-99")
@example(text="1: 2")
@example(text=f"trials: {'9' * 5000}")
@example(text="time: !!timestamp x")
@example(text="model: !!python/object/apply:os.system [echo]")
def test_study_files(file, text):
    spec = result_or_sentence(StudySpec.read, written(file, text))
    if spec is not None:
        assert spec.name and "/" not in spec.name and spec.name.strip(".")


@given(content=st.binary(max_size=60))
def test_any_bytes_as_a_study(file, content):
    file.write_bytes(content)
    result_or_sentence(read_yaml, str(file), "studies")


@given(fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
@example(fields={"storage": "\0"})
@example(fields={"study": "a\0b"})
@example(fields={"study": "a" * 5000})
def test_fields(fields):
    spec = result_or_sentence(StudySpec.read, fields.pop("study", "quickstart"), **fields)
    assert spec is None or StudySpec(**spec.model_dump()) == spec


STATED = {**METHODS, **PROCEDURES}
NAMES = [
    "lora",
    "ia3",
    "dcft",
    "adalora",
    "full",
    "head_only",
    "prefix_tuning",
    "lora_ranks",
    "vera",
    "locft",
    "lisa",
    "pace",
]


@st.composite
def choices(draw):
    """Methods or procedures with their own choices narrowed, and now and then with something else."""
    found = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        own = STATED[name].hyperparameters
        chosen = draw(st.lists(st.sampled_from(sorted(own)), max_size=2)) if own else []
        found[name] = {s: draw(st.lists(st.sampled_from(own[s]), min_size=1, max_size=3)) for s in chosen}
    odd = draw(st.integers(0, 7))
    return draw(VALUES) if odd == 0 else {**found, draw(st.sampled_from(NAMES)): draw(VALUES)} if odd == 1 else found


def built(name: str, seed: int) -> SpaceFile:
    """A space's file, the space on a backbone, its numbers, and what it gives."""
    file = load_space(name)
    space = build_space(name, file, SHAPES)
    assert space.configurations >= 0 and space.dimensions() is not None
    space.affordable()
    for n in range(3):
        made = space.sample(Drawn(seed + n))
        assert made.learning_rate > 0 and set(made.layers) <= set(range(SHAPES.num_layers))
    return file


@given(
    data=st.fixed_dictionaries(
        {},
        optional={
            "methods": choices(),
            "combination": choices(),
            "procedures": choices(),
            "layers": st.sampled_from(["any", "bits", "suffix", "all"]) | VALUES,
            "frozen_layers": st.lists(st.integers(-2, 5), max_size=3) | VALUES,
            "reference_hidden_size": st.integers(-2, 1000) | VALUES,
        },
    ),
    seed=st.integers(0, 99),
)
@example(data={"methods": {"vera": {}}, "layers": "suffix", "frozen_layers": [5]}, seed=0)
@example(data={"methods": [None]}, seed=0)
def test_spaces(file, data, seed):
    result_or_sentence(built, written(file, yaml.dump(data, Dumper=yaml.SafeDumper)), seed)


@given(
    text=yaml_texts("methods", "combination", "procedures", "lora", "rank", "layers", "methods: {lora: {rank: [1]}}")
)
def test_space_texts(file, text):
    result_or_sentence(built, written(file, text), 0)

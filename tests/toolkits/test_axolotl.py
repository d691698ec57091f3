"""Axolotl's own parser and loaders on what is exported: what they train is what autopeft trains, and every key is in its schema."""

import pytest
from export_cases import save_toy
from kinds import KINDS, THROUGH_PEFT, asked, number, shapes_of, trained_by_autopeft, written

pytestmark = pytest.mark.toolkits
EXPRESSED = [*THROUGH_PEFT, "LoRA, a rank per module"]  # of the kinds; the others it has to refuse


@pytest.fixture(scope="module")
def found(inside, tmp_path_factory):
    """kind -> (its case, what Axolotl trains); biases on a model that has them."""
    folder = tmp_path_factory.mktemp("axolotl")
    toys = {name: save_toy(folder / name, name) for name in ("llama", "gpt2")}
    families = {kind: "gpt2" if kind == "biases" else "llama" for kind in EXPRESSED}
    cases = {kind: asked(kind, family, toys[family], causal=True) for kind, family in families.items()}
    done = written("axolotl", cases, folder)
    assert {one.verdict for one in done.values()} == {"lossless"}
    trained = inside("axolotl", *(one.folder for one in done.values()))
    return {kind: (one, trained[number(kind)]) for kind, one in cases.items()}


@pytest.mark.parametrize("kind", EXPRESSED)
def test_axolotl_trains_the_same_parameters(found, kind):
    one, trained = found[kind]
    assert shapes_of(trained) == trained_by_autopeft(one)


def test_axolotl_refuses_the_rest(tmp_path):
    for kind in set(KINDS) - set(EXPRESSED):
        one = asked(kind, "llama", {}, causal=True)
        assert written("axolotl", {kind: one}, tmp_path)[kind].verdict == "unsupported", kind
    assert not list(tmp_path.iterdir())

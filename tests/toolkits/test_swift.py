"""ms-swift's own command line, loader and tuners on what is exported: what they train is what autopeft trains, the task head included."""

import subprocess
import sys

import pytest
from export_cases import save_toy
from kinds import KINDS, THROUGH_PEFT, asked, number, shapes_of, trained_by_autopeft, written

from autopeft.export import get_toolkit

pytestmark = pytest.mark.toolkits
EXPRESSED = [*THROUGH_PEFT, "head only"]  # of the kinds; the others it has to refuse
FAMILIES = {"bert": EXPRESSED, "llama": [kind for kind in EXPRESSED if kind != "biases"]}
BOTH = [(family, kind) for family, kinds in FAMILIES.items() for kind in kinds]


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    return {family: save_toy(folder / family, family, causal=family == "llama") for family in FAMILIES}


@pytest.fixture(scope="module")
def found(inside, toys, tmp_path_factory):
    """(family, kind) -> (its case, what ms-swift trains)."""
    results = {}
    for family, kinds in FAMILIES.items():
        cases = {kind: asked(kind, family, toys[family]) for kind in kinds}
        done = written("swift", cases, tmp_path_factory.mktemp(family))
        trained = inside("swift", "tuned", *(one.folder for one in done.values()))
        results |= {(family, kind): (one, trained[number(kind)]) for kind, one in cases.items()}
    return results


@pytest.mark.parametrize("family, kind", BOTH)
def test_swift_trains_the_same_parameters(found, family, kind):
    one, trained = found[family, kind]
    assert shapes_of(trained) == trained_by_autopeft(one)


@pytest.mark.parametrize("family, kind", [("bert", "norms"), ("llama", "LoRA, some layers")])
def test_swift_trains_two_steps_on_the_rows(inside, toys, tmp_path, family, kind):
    one = asked(kind, family, toys[family])
    (done,) = written("swift", {kind: one}, tmp_path).values()
    subprocess.run([sys.executable, "data.py"], cwd=done.folder, check=True)
    assert shapes_of(inside("swift", "run", done.folder)[number(kind)]) == trained_by_autopeft(one)


def test_swift_refuses_the_rest_and_names_a_rank_that_is_lost():
    for kind in set(KINDS) - set(EXPRESSED) - {"LoRA, a rank per module"}:
        assert get_toolkit("swift").write(asked(kind, "bert", {})).verdict == "unsupported", kind
    assert "rank 4" in get_toolkit("swift").write(asked("LoRA, a rank per module", "bert", {})).nearest

"""The exported files train as autopeft does, in each toolkit itself: the final loss lies where autopeft's next seed would."""

import pytest
from training import IN_OTHER_BATCHES, SETTINGS, rows

pytestmark = [pytest.mark.toolkits, pytest.mark.slow]
ASKED = [(name, toolkit) for name, setting in SETTINGS.items() for toolkit in setting.toolkits]

HALF, BETA, DROPOUT = "half the learning rate", "beta2 = .95", "the model's dropout on"
TOLD = {  # what is wrong and seen
    "LoRA, Llama": [HALF],
    "layers in full, Llama": [HALF, BETA, "a schedule that begins at 0"],
    "LoRA, GPT-2": [HALF, DROPOUT],
    "layers in full, GPT-2": [HALF],
    "LoRA, BERT": [HALF],
    "LoRA and head at one rate, BERT": ["a schedule that begins at 0"],
    "serial adapter, BERT": [HALF],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of the models and the losses that are known already."""
    return tmp_path_factory.mktemp("training")


def distances(name: str, folder, toolkits: list[str]) -> dict:
    """what -> (half widths of the interval from its middle, verdict) of each loss."""
    found = rows(name, SETTINGS[name], folder, toolkits)
    return {what: ((one["loss"] - mean) / half, verdict) for what, verdict, one, mean, half in found if "loss" in one}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_interval_tells_a_wrong_setting(folder, name):
    found = distances(name, folder, ["none"])
    assert found["untrained"][0] > 3
    assert all(found[wrong][0] > 1 for wrong in TOLD[name])


@pytest.mark.parametrize("name, toolkit", ASKED)
def test_a_toolkit_trains_as_autopeft_does(folder, name, toolkit):
    found = distances(name, folder, [toolkit])
    if toolkit not in found:
        pytest.skip(f"{toolkit} is not set up, or does not take it")
    far, verdict = found[toolkit]
    other = found[IN_OTHER_BATCHES][0]  # alike is said up to which rows make a batch
    assert min(abs(far), abs(far - other)) <= 1 or verdict == "lossy"

import json

from autopeft.configuration import Configuration, spans


def test_two_spellings_are_one_configuration():
    one = Configuration.of("lora", {"rank": 8, "target_modules": "value+query"}, [3, 1, 3], 1e-3)
    two = Configuration.of("lora", {"target_modules": "query+value", "rank": 8}, (1, 3), 0.001)
    assert one == two and hash(one) == hash(two) and one.key == two.key


def test_a_group_equals_its_members():
    one = Configuration.of("lora", {"target_modules": "query+key+value+attention_output"}, (0,), 1e-3)
    assert one == Configuration.of("lora", {"target_modules": "attention"}, (0,), 1e-3)


def test_it_round_trips_through_json():
    both = Configuration.of("serial_adapter+lora", {"serial_adapter.bottleneck": 4, "lora.rank": 2}, (0, 2), 2e-4)
    assert both.method == "lora+serial_adapter"
    assert Configuration.from_json(json.loads(json.dumps(both.to_json()))) == both
    assert both.settings_of("lora") == {"rank": 2}


def test_the_frozen_prefix_is_what_lies_below_the_lowest_adapted_layer():
    assert Configuration.of("lora", {}, (2, 5), 1e-3).frozen_layers == 2
    assert Configuration.of("head_only", {}, (), 1e-3).frozen_layers is None


def test_layers_are_written_as_spans():
    assert spans((0, 1, 2, 5)) == "0-2,5"

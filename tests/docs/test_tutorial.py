"""docs/tutorial.md runs from top to bottom: every block, in order, in an empty folder."""

import pytest
from tutorial_page import blocks, environment, lines, run


def test_the_page_has_code_with_its_outputs():
    languages = [block.language for block in blocks()]
    assert languages.count("text") >= 5 and languages[0] == "python" and languages[-1] == "text"


@pytest.mark.slow  # a minute or two on one core; .ci/run names this file
def test_every_block_runs_and_prints_what_the_page_shows(tmp_path):
    env, folder, printed = environment(tmp_path / "bin"), tmp_path / "empty", ""
    folder.mkdir()
    for block in blocks():
        if block.language != "text":
            printed = run(block, folder, env)
        elif "for example:" in block.before.lower():
            assert printed.strip(), "the page shows an output where nothing was printed"
        else:
            assert lines(printed) == lines(block.text), "run tests/docs/tutorial_page.py to write what is printed now"
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert (folder / "exported" / "adapter_config.json").is_file()
    assert {line.split(":")[0] for line in printed.splitlines()} <= {"billing", "delivery", "technical"}

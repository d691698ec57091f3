"""The files of a study, damaged or changed under true checksums: a result or one sentence."""

import shutil

import pytest
from fuzz_cases import result_or_sentence
from fuzzed_study import FILES, changed, damaged, read_all, rewritten, values_of, write_study
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """(as it was written, a copy that is changed)."""
    folder = tmp_path_factory.mktemp("fuzz")
    return write_study(folder / "whole"), folder / "fuzzed"


def test_the_study_is_one(studies):
    read_all(studies[0])


@given(name=st.sampled_from(FILES), data=st.data())
def test_damaged_bytes(studies, name, data):
    whole, folder = studies
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    (folder / name).write_bytes(data.draw(damaged((whole / name).read_bytes())))
    result_or_sentence(read_all, folder)


@given(name=st.sampled_from(FILES), data=st.data())
def test_other_content_under_true_checksums(studies, name, data):
    """Whoever sends a study can make checksums too."""
    whole, folder = studies
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    values = data.draw(changed(values_of(whole, name)))
    rewritten(folder, name, values if isinstance(values, list) else [values])
    result_or_sentence(read_all, folder)

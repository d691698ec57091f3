import pytest

from autopeft.base.errors import AutopeftError
from autopeft.base.yaml_files import bundled_names
from autopeft.study.spec import StudySpec


@pytest.mark.parametrize("name", bundled_names("studies"))
def test_every_bundled_study_is_valid(name):
    assert StudySpec.read(name).trials > 0


def test_overrides_win_and_none_means_not_given():
    spec = StudySpec.read("quickstart", **{"budget": "0.5%", "trials": None})
    assert spec.budget == "0.5%" and spec.trials == StudySpec.read("quickstart").trials


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("budgt: 3", "Unknown key 'budgt' in study.yaml. Did you mean 'budget'"),
        ("trials: none", "'trials' in study.yaml"),
        ("trials: 0", "'trials' in study.yaml.*greater than or equal to 1"),
        ("precision: fp64", "'precision' in study.yaml"),
    ],
)
def test_a_bad_study_is_one_sentence(tmp_path, line, sentence):
    path = tmp_path / "study.yaml"
    path.write_text(line)
    with pytest.raises(AutopeftError, match=sentence):
        StudySpec.read(str(path))


def test_yaml_numbers_as_people_write_them(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("timeout: 1e2\nbudget: 3e-1%\n")
    assert StudySpec.read(str(path)).timeout == 100

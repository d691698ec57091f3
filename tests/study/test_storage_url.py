"""Passwords of storages: used, and neither shown nor kept."""

import json

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.objectives import Objectives
from autopeft.study.folder import StudyFolder
from autopeft.study.identity import check_same
from autopeft.study.optuna_study import open_study, open_to_read
from autopeft.study.spec import StudySpec
from autopeft.study.storage_url import said, without_password

SECRET = "s3cr:t/@x"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sqlite:///trials.db", "sqlite:///trials.db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (f"postgresql://me:{SECRET}@host:5432/db", "postgresql://me@host:5432/db"),
        ("mysql+pymysql://me:pw@host/db?ssl=1", "mysql+pymysql://me@host/db?ssl=1"),
        ("postgresql://host/db?user=me&password=pw&x=1", "postgresql://host/db?user=me&x=1"),
        ("postgresql://host/db?password=pw", "postgresql://host/db"),
    ],
)
def test_a_password_is_left_out(url, kept):
    assert without_password(url) == kept == without_password(kept)


def test_an_error_does_not_say_it():
    url = f"postgresql://me:{SECRET}@host/db"
    for text in (f"could not parse '{url}'", f'password "{SECRET}" is wrong\n  at host'):
        assert SECRET not in said(ValueError(text), url) and "\n" not in said(ValueError(text), url)


def test_a_study_keeps_no_password_and_is_resumed_with_and_without_it():
    asked = StudySpec(storage=f"postgresql://me:{SECRET}@host/db", trials=3)
    assert asked.storage.count(SECRET) == 1, "it is there to connect with"
    stored = json.loads(json.dumps(asked.model_dump()))
    assert SECRET not in json.dumps(stored) and SECRET not in json.dumps(asked.fixed())
    for again in (asked, StudySpec(storage="postgresql://me@host/db", trials=3)):
        check_same(again, stored, "runs/x")


@pytest.mark.parametrize("opened", [open_study, open_to_read])
def test_a_storage_that_cannot_be_opened_is_one_sentence_without_it(tmp_path, opened):
    for url in (f"nosuchdatabase://me:{SECRET}@host/db", f"://me:{SECRET}@host"):
        with pytest.raises(AutopeftError, match="cannot be opened") as error:
            opened(StudyFolder(tmp_path), StudySpec(storage=url), Objectives.of("parameters,metric", "accuracy"))
        assert SECRET not in str(error.value) and "\n" not in str(error.value)

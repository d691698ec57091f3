"""A study goes on with the space that it began with, whatever the file of that name holds by then."""

from autopeft.space import SpaceFile, load_space
from autopeft.study.kept_space import kept_space
from autopeft.tabular.learning import ALWAYS


def test_a_space_that_has_changed_since_is_kept_and_told():
    said, now = [], load_space("default")
    stored = {"spec": {"space": "default"}, "space": now.model_dump()}
    assert kept_space(stored, said.append) == now and not said
    began = SpaceFile(methods={"lora": {"rank": [1, 2]}}, layers="all")
    assert kept_space({**stored, "space": began.model_dump()}, said.append) == began
    gone = {"spec": {"space": "mine.yaml"}, "space": began.model_dump()}
    assert kept_space(gone, said.append) == began
    assert len(said) == 2 and "'default' as it was when it began" in said[0]


def test_a_study_of_release_0_1_kept_none_and_its_default_has_another_name():
    found = kept_space({"spec": {"space": "default"}}, lambda _: None)
    assert found == load_space("basic") and len(found.methods) == 10
    assert kept_space({"spec": {"space": "lora"}}, lambda _: None) == load_space("lora")


def test_the_default_space_holds_what_the_portfolio_does():
    from autopeft.space.portfolio import portfolio

    assert set(load_space("default").methods) == {e.method for e in portfolio().entries} | ALWAYS

"""Files in folders and behind fsspec URLs: whole or not at all, and every trouble in one sentence."""

import subprocess
import sys

import fsspec
import pytest

from autopeft.base.artefacts import Artefacts, checked_place, delete, read, write
from autopeft.base.errors import AutopeftError
from autopeft.executor.stored import Stored

PLACES = ["{folder}/states", "file://{folder}/a%20b/states", "local://{folder}/states", "memory://{folder}/states"]


@pytest.fixture(params=PLACES, ids=lambda place: place.partition("://")[0])
def artefacts(request, tmp_path):
    return Artefacts(request.param.format(folder=tmp_path.as_posix()))


def test_what_is_written_is_there_until_it_is_deleted(artefacts):
    path = artefacts.path("trial-1.state")
    assert read(path) is None and artefacts.names() == []
    delete(path)
    for content in (b"first", b"", bytes(range(256))):
        write(path, content)
        assert read(path) == content and artefacts.names() == ["trial-1.state"]
    artefacts.check()
    write(artefacts.path("job-2.state"), b"x")
    delete(path)
    assert artefacts.names() == ["job-2.state"] and read(path) is None
    artefacts.remove()
    artefacts.remove()
    assert artefacts.names() == []


def test_a_file_url_is_a_folder(tmp_path):
    write(Artefacts(f"file://{tmp_path.as_posix()}/a%20b").path("x"), b"x")
    assert (tmp_path / "a b" / "x").read_bytes() == b"x"


def test_a_state_elsewhere_is_missing_damaged_or_what_was_written(artefacts):
    path = artefacts.path("trial-1.state")
    assert Stored.found(path) is None
    stored = Stored.write(path, b"a state")
    assert Stored.found(path) == stored and stored.read() == b"a state"
    write(path, (read(path) or b"")[:-1])
    assert Stored.found(path) is None
    with pytest.raises(AutopeftError, match="trial-1.state is missing or damaged: run the same command again"):
        stored.read()


def test_a_write_that_is_cut_leaves_what_was_there(tmp_path, monkeypatch):
    path = Artefacts(f"local://{tmp_path.as_posix()}").path("x")
    write(path, b"whole")
    system = type(fsspec.filesystem("local"))

    def half(self, path, content, **_):
        with self.open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("the line is dead")

    monkeypatch.setattr(system, "pipe_file", half)
    with pytest.raises(AutopeftError, match=r"/x cannot be written \(the line is dead\): when"):
        write(path, b"another")
    assert read(path) == b"whole"


@pytest.mark.parametrize(
    "place",
    [
        "s3://me:not-to-be-seen@bucket/prefix",
        "sftp://me:not-to/be@seen@host/folder",
        "s3://bucket/prefix?secret=not-to-be-seen",
        "file://me:not-to-be-seen@host/folder",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_shown(place):
    from autopeft.study.spec import StudySpec

    for made in (StudySpec, StudySpec.read):
        with pytest.raises(AutopeftError, match="holds a password or a query") as error:
            made(artefacts=place)
        assert "seen" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["", "s3://", "file://folder/below", "file://"])
def test_what_names_no_place_is_refused(place):
    with pytest.raises(AutopeftError, match="give a folder, file:///FOLDER or s3://BUCKET/PREFIX"):
        checked_place(place)


@pytest.mark.parametrize("place", ["runs/states", "C:\\states", "s3://bucket/a", "sftp://me@host/a", "file:///a b"])
def test_what_names_a_place_is_taken(place):
    assert checked_place(place) == place


def test_what_cannot_be_opened_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    (tmp_path / "file").write_text("")
    for place, said in (
        ("s3://bucket/prefix", r's3:// is read by a package that is not there .*: pip install "autopeft\[s3\]"\.$'),
        ("nosuch://a/b", "nosuch://a/b.* cannot be written .*nosuch"),
        (f"{tmp_path}/file/below", "cannot be written .*Not a directory"),
    ):
        with pytest.raises(AutopeftError, match=said) as error:
            Artefacts(place).check()
        assert "\n" not in str(error.value)


def test_a_folder_loads_no_fsspec(tmp_path):
    code = (
        "import sys; from autopeft.executor.stored import Stored; from autopeft.study.spec import StudySpec;"
        f"StudySpec(artefacts='s3://bucket/prefix'); Stored.write({str(tmp_path / 'x')!r}, b'x').read();"
        "assert not {'fsspec', 's3fs'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

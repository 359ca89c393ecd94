"""The reader: the recognition network that rapidocr-onnxruntime ships."""

from __future__ import annotations

import numpy as np
from rapidocr_onnxruntime import RapidOCR


class Reader:
    """The networks, loaded."""

    def __init__(self) -> None:
        self._engine = RapidOCR()

    def read(self, pixels: np.ndarray) -> str:
        """Read one line of text, without a search for lines; that finds no more here, and takes fifty times as long."""
        lines, _ = self._engine(pixels, use_det=False, use_cls=False, use_rec=True)
        # 1.2 has no such options, but does not search in pictures this wide; its lines begin with a box
        return " ".join(str(line[-2]).strip() for line in lines or ())

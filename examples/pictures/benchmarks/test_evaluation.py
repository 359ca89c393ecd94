"""Is the line read without a fault, picture by picture?"""

import pytest
from example_pictures.pictures import make_picture
from example_pictures.reader import Reader

NUM_PICTURES = 500


@pytest.mark.evaluation(metric="accuracy", margin=0.05, looks=(0.25, 0.5, 1.0))
def test_lines(trial):
    chosen = trial.choose([f"{index:04d}" for index in range(NUM_PICTURES)])
    reader = Reader()
    pictures = [make_picture(index, seed=1) for index in chosen]
    lines = [reader.read(picture.pixels) for picture in pictures]
    trial.record_examples(
        "accuracy",
        [line == picture.text for picture, line in zip(pictures, lines, strict=True)],
        inputs=[picture.text for picture in pictures],
        outputs=lines,
    )

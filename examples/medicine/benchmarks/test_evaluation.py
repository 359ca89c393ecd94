"""Is the diagnosis right, tumour by tumour, and is a malignant one found?"""

import pytest
from example_medicine.diagnosis import diagnose


@pytest.mark.evaluation(metric="accuracy", margin=0.03)
def test_tumours(trial):
    diagnoses = diagnose(seed=0)
    trial.record_examples(
        "accuracy",
        diagnoses.found == diagnoses.predicted,
        ids=[f"tumour {index}" for index in range(len(diagnoses.found))],
        inputs=[
            f"{diagnoses.names[found]}; radius {cells[0]}, texture {cells[1]}"
            for found, cells in zip(diagnoses.found, diagnoses.cells, strict=False)
        ],
        outputs=[diagnoses.names[predicted] for predicted in diagnoses.predicted],
    )

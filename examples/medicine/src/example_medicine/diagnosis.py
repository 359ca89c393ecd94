"""Diagnoses of tumours from measurements of their cells: the Wisconsin data that scikit-learn ships."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

NUM_FOLDS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnoses:
    """Every tumour, as found and as predicted by a model that was fitted without it.

    Attributes:
        cells: (569, 30), the measurements.
        found: (569,), 0 for malignant, 1 for benign.
        predicted: (569,), likewise.
        names: Of the two.
    """

    cells: np.ndarray
    found: np.ndarray
    predicted: np.ndarray
    names: tuple[str, str]


def diagnose(*, seed: int) -> Diagnoses:
    """Fit a model on nine tenths of the data and predict the rest, ten times.

    Args:
        seed: Of the folds and of the model.
    """
    data = load_breast_cancer()
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed)
    predicted = cross_val_predict(AdaBoostClassifier(random_state=seed), data.data, data.target, cv=folds)
    malignant, benign = map(str, data.target_names)
    return Diagnoses(cells=data.data, found=data.target, predicted=predicted, names=(malignant, benign))

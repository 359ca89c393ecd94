"""scikit-learn's ``MLPClassifier``, an epoch for each call of ``partial_fit``, which keeps weights and moments.

python -m experiments.peers.sklearn_mlp --data FOLDER
"""

from __future__ import annotations

from experiments.peers.common import (
    BATCH_SIZE,
    HIDDEN_WIDTHS,
    LEARNING_RATE,
    NUM_CLASSES,
    Clock,
    parsed_options,
    scaled_mnist,
)


def main() -> None:
    """Train and print what it took."""
    options = parsed_options(__doc__)
    clock = Clock()
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    clock.imported()
    train_images, train_labels, test_images, test_labels = scaled_mnist(options.data)
    classifier = MLPClassifier(
        HIDDEN_WIDTHS,
        activation="relu",
        solver="adam",
        alpha=0,
        batch_size=BATCH_SIZE,
        learning_rate_init=LEARNING_RATE,
        random_state=np.random.RandomState(options.seed),  # a number would give every epoch the same order
    )
    clock.ready()
    for _ in range(options.epochs):
        classifier.partial_fit(train_images, train_labels, classes=np.arange(NUM_CLASSES))
        clock.epoch_done()
    clock.print_report("sklearn", float(classifier.score(test_images, test_labels)))


if __name__ == "__main__":
    main()

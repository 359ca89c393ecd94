"""Keras: ``Sequential``, ``compile`` and ``fit``.

python -m experiments.peers.keras_fit --data FOLDER
"""

from __future__ import annotations

import os

from experiments.peers.common import (
    BATCH_SIZE,
    HIDDEN_WIDTHS,
    LEARNING_RATE,
    NUM_CLASSES,
    NUM_INPUTS,
    Clock,
    parsed_options,
    scaled_mnist,
)

BACKEND = "jax"
"""Compiles its steps: one epoch took 2.7 s with it and 7.4 s with ``torch``, on two cores that were not idle."""


def main() -> None:
    """Train and print what it took; the compilation falls into the first epoch."""
    options = parsed_options(__doc__)
    os.environ["KERAS_BACKEND"] = BACKEND
    clock = Clock()
    import keras

    clock.imported()
    keras.utils.set_random_seed(options.seed)
    train_images, train_labels, test_images, test_labels = scaled_mnist(options.data)
    hidden = (keras.layers.Dense(width, activation="relu") for width in HIDDEN_WIDTHS)
    model = keras.Sequential([keras.Input((NUM_INPUTS,)), *hidden, keras.layers.Dense(NUM_CLASSES)])
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    timing = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.epoch_done())
    clock.ready()
    model.fit(train_images, train_labels, batch_size=BATCH_SIZE, epochs=options.epochs, verbose=0, callbacks=[timing])
    _, accuracy = model.evaluate(test_images, test_labels, batch_size=len(test_labels), verbose=0)
    clock.print_report("keras", float(accuracy))


if __name__ == "__main__":
    main()

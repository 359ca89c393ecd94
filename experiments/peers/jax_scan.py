"""JAX with optax: a whole epoch is one compiled function, its steps a ``lax.scan``, its arguments donated.

python -m experiments.peers.jax_scan --data FOLDER
"""

from __future__ import annotations

from typing import Any

from experiments.peers.common import (
    BATCH_SIZE,
    LEARNING_RATE,
    Clock,
    layer_widths,
    parsed_options,
    scaled_mnist,
)


def main() -> None:
    """Train and print what it took; the compilation is a part of the setup."""
    options = parsed_options(__doc__)
    clock = Clock()
    import jax
    import jax.numpy as jnp
    import optax

    clock.imported()

    def new_layer(key: Any, inputs: int, outputs: int) -> Any:
        """Weights and biases drawn as PyTorch draws them: uniform, within one over the root of the inputs."""
        bound = inputs**-0.5
        keys = jax.random.split(key)
        shapes = ((inputs, outputs), (outputs,))
        return [
            jax.random.uniform(k, shape, minval=-bound, maxval=bound) for k, shape in zip(keys, shapes, strict=True)
        ]

    def logits_of(layers: Any, images: Any) -> Any:
        *hidden, (last_weights, last_biases) = layers
        for weights, biases in hidden:
            images = jax.nn.relu(images @ weights + biases)
        return images @ last_weights + last_biases

    def loss_of(layers: Any, images: Any, labels: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits_of(layers, images), labels).mean()

    def epoch(layers: Any, moments: Any, key: Any, images: Any, labels: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            layers, moments = state
            gradients = jax.grad(loss_of)(layers, images[batch], labels[batch])
            updates, moments = adam.update(gradients, moments)
            return (optax.apply_updates(layers, updates), moments), None

        key, drawing = jax.random.split(key)
        order = jax.random.permutation(drawing, len(labels))
        num_full = len(labels) // BATCH_SIZE
        full, rest = order[: num_full * BATCH_SIZE], order[num_full * BATCH_SIZE :]
        state, _ = jax.lax.scan(step, (layers, moments), full.reshape(num_full, BATCH_SIZE))
        if len(rest):
            state, _ = step(state, rest)
        return *state, key

    train_images, train_labels, test_images, test_labels = map(jnp.asarray, scaled_mnist(options.data))
    train_labels = train_labels.astype(jnp.int32)
    key, *keys = jax.random.split(jax.random.key(options.seed), 1 + len(layer_widths()))
    layers = [new_layer(drawing, *widths) for drawing, widths in zip(keys, layer_widths(), strict=True)]
    adam = optax.adam(LEARNING_RATE)
    moments = adam.init(layers)
    compiled = (
        jax.jit(epoch, donate_argnums=(0, 1, 2)).lower(layers, moments, key, train_images, train_labels).compile()
    )
    clock.ready()
    for _ in range(options.epochs):
        layers, moments, key = jax.block_until_ready(compiled(layers, moments, key, train_images, train_labels))
        clock.epoch_done()
    accuracy = float((logits_of(layers, test_images).argmax(1) == test_labels).mean())
    clock.print_report("jax", accuracy)


if __name__ == "__main__":
    main()

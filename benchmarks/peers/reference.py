"""mainstay's own reference model: ``mnist_reference.train.train`` by the article's recipe.

python -m benchmarks.peers.reference --data FOLDER
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.peers.common import Clock, parsed_options


def main() -> None:
    """Train and print what it took."""
    options = parsed_options(__doc__)
    clock = Clock()
    from mnist_reference import data, model, recipes, train

    clock.imported()
    recipe = replace(recipes.article(), num_epochs=options.epochs)
    mnist = data.load(str(options.data))
    perceptron = model.initialised(recipe.model, seed=options.seed)
    clock.ready()
    for _ in train.train(perceptron, mnist.train, recipe, seed=options.seed):
        clock.epoch_done()
    clock.print_report("mainstay", train.score(perceptron, mnist.test).top1_accuracy)


if __name__ == "__main__":
    main()

"""mainstay's reference model by the recipe that reaches 98 % of the test images soonest; its epochs are its own.

python -m benchmarks.peers.shortest --data FOLDER
"""

from __future__ import annotations

from benchmarks.peers.common import Clock, parsed_options


def main() -> None:
    """Train and print what it took."""
    options = parsed_options(__doc__)
    clock = Clock()
    from mnist_reference import data, model, recipes, train

    clock.imported()
    recipe = recipes.mlp_98()
    mnist = data.load(str(options.data))
    perceptron = model.initialised(recipe.model, seed=options.seed)
    clock.ready()
    for _ in train.train(perceptron, mnist.train, recipe, seed=options.seed):
        clock.epoch_done()
    clock.print_report("shortest", train.score(perceptron, mnist.test).top1_accuracy)


if __name__ == "__main__":
    main()

"""mainstay's own reference model: ``mnist_reference.training.train.train`` by the article's recipe, or by another with its epochs.

python -m experiments.peers.reference --data FOLDER
python -m experiments.peers.reference --data FOLDER --recipe mlp_98
"""

from __future__ import annotations

from dataclasses import replace

from experiments.peers.common import Clock, options_parser


def main() -> None:
    """Train and print what it took."""
    parser = options_parser(__doc__)
    parser.add_argument("--recipe", help="in place of the article's; its epochs are its own")
    options = parser.parse_args()
    clock = Clock()
    from mnist_reference.data import datasets
    from mnist_reference.models import networks
    from mnist_reference.training import recipes, train

    clock.imported()
    if options.recipe:
        recipe = recipes.recipe_by_name(options.recipe)
    else:
        recipe = replace(recipes.article(), num_epochs=options.epochs)
    mnist = datasets.load(str(options.data))
    perceptron = networks.initialised(recipe.model, seed=options.seed).to(options.device)
    clock.ready()
    for _ in train.train(perceptron, mnist.train, recipe, seed=options.seed):
        clock.epoch_done()
    clock.print_report(
        "mainstay", train.score(perceptron, mnist.test.to(next(perceptron.parameters()).device)).top1_accuracy
    )


if __name__ == "__main__":
    main()

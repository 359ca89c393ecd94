"""Eight seeds of mainstay's reference model: one call of ``train_together``, or one training after another.

Their epochs are those of all eight: where they are trained one after another, its time is the sum over the seeds.

    python -m benchmarks.peers.seeds together --data FOLDER
    python -m benchmarks.peers.seeds alone --data FOLDER
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from benchmarks.peers.common import Clock, options_parser

NUM_SEEDS = 8


def main() -> None:
    """Train and print what it took; the accuracy is the mean of the eight."""
    parser = options_parser(__doc__)
    parser.add_argument("way", choices=["together", "alone"])
    options = parser.parse_args()
    clock = Clock()
    from mnist_reference import data, model, recipes, together, train

    clock.imported()
    recipe = replace(recipes.article(), num_epochs=options.epochs)
    mnist = data.load(str(options.data))
    seeds = range(options.seed, options.seed + NUM_SEEDS)
    members = [model.initialised(recipe.model, seed=seed) for seed in seeds]
    clock.ready()
    if options.way == "together":
        for _ in together.train_together(members, mnist.train, recipe, seeds=seeds):
            clock.epoch_done()
    else:
        for member, seed in zip(members, seeds, strict=True):
            for _ in train.train(member, mnist.train, recipe, seed=seed):
                clock.epoch_done()
        clock.epoch_s = [sum(clock.epoch_s[epoch :: options.epochs]) for epoch in range(options.epochs)]
    accuracy = mean(train.score(member, mnist.test).top1_accuracy for member in members)
    clock.print_report(options.way, accuracy)


if __name__ == "__main__":
    main()

"""The reference model: MNIST digits, from data to checkpoint, each part small and tested.

Read the files in this order: ``data.datasets`` (images and labels, verified), ``models.networks`` (the perceptron),
``training.recipes`` (how it is trained), ``training.train`` (the one training loop), ``models.evaluate`` (scores),
``using.checkpoint`` (how models are stored), ``__main__`` (the command line). The package does not depend on the
toolkit that gates it.
"""

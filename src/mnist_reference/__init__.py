"""The reference model: MNIST digits, from data to checkpoint, each part small and tested.

Read the files in this order: ``data`` (images and labels, verified), ``model`` (the perceptron), ``recipes`` (how it is
trained), ``train`` (the one training loop), ``evaluate`` (scores), ``checkpoint`` (what is kept), ``__main__`` (the
command line). Nothing here knows of the toolkit that gates it.
"""

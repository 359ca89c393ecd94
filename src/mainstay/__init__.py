"""Accuracy and performance regression gates with a stated error rate.

The package never imports torch or the reference model, and importing it loads nothing heavy.
"""

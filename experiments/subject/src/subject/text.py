"""A tokenizer that merges the most frequent pairs, in plain Python."""

from __future__ import annotations

import itertools
from collections import Counter


def learn_merges(text: str, num_merges: int) -> list[tuple[str, str]]:
    """The pairs of neighbouring tokens that are merged, in their order."""
    tokens = list(text)
    merges = []
    for _ in range(num_merges):
        counts = Counter(itertools.pairwise(tokens))
        pair = max(counts, key=lambda candidate: (counts[candidate], candidate))
        tokens = merge(tokens, pair)
        merges.append(pair)
    return merges


def merge(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    """Tokens with every occurrence of a pair joined."""
    merged = []
    position = 0
    while position < len(tokens):
        if tuple(tokens[position : position + 2]) == pair:
            merged.append(tokens[position] + tokens[position + 1])
            position += 2
        else:
            merged.append(tokens[position])
            position += 1
    return merged


def tokenize(text: str, merges: list[tuple[str, str]]) -> list[str]:
    """Tokens of a text."""
    tokens = list(text)
    for pair in merges:
        tokens = merge(tokens, pair)
    return tokens

"""A small classifier and what surrounds it: real work in every part, without torch."""

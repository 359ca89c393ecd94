"""The networks, ensembles of them, and their evaluation."""

"""What one GPU is asked in at most ten minutes; ``python -m experiments.gpu`` runs it."""

"""Training of a model: recipes, losses, optimisers, schedules, and the training loop."""

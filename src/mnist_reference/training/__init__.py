"""How a model is trained: recipes, losses, optimisers, schedules, and the one training loop."""

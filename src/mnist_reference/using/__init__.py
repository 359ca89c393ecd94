"""What is done with a trained model: kept, described, explained, compressed, exported, transferred."""

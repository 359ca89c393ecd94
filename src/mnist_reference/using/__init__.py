"""Use of a trained model: checkpoints, model cards, explanations, compression, export, transfer learning."""

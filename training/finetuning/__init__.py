"""Going on with a trained model on prompts and their answers."""

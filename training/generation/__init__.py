"""Text from a model: token by token with a key-value cache."""

"""One static HTML page about a corpus and the model trained on it."""

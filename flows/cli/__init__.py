"""The command `corpusmill`."""

"""`corpusmill doctor`: known traps, looked for on this machine."""

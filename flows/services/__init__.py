"""`corpusmill up`: a Prefect server, its workers and everything that is set up on it, on this machine."""

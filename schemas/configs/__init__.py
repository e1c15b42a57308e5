"""One typed config per stage."""

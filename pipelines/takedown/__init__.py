"""Taking pages down: from a corpus that holds them to the corpus that would be there without them."""

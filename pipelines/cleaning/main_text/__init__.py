"""Main text of HTML pages by a linear model over their blocks of text."""

"""Lists that the user names: URLs and domains to leave out, words to look for."""

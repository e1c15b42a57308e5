"""What `corpusmill demo` brings along: a web site to crawl, made of the Python that runs it."""

"""The clean stage: raw items become documents, or rows that say why not."""

"""Personal data in text: found by kind, replaced by placeholders."""

"""From a training token to the record that it came from, and back."""

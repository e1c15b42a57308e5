"""What all stages share: units of work, the runner, blocks of rows as elements."""

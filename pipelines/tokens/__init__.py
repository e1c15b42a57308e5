"""From kept documents to a frozen tokenizer, token shards and a mixture plan."""

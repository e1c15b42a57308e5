"""Token shards as training windows: mapped files, a computed order, batches of integers."""

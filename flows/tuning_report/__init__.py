"""The page of a study: which learning rate, batch and shape gave which loss."""

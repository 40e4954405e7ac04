"""The frames of the attack corpus, by what they attack."""

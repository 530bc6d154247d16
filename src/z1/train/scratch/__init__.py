"""Training tiny models from scratch on a CPU: tokenizer, initial weights, Muon, the training loop."""

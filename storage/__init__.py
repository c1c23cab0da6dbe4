"""What is kept, and how: the record, predictions, model weights and the archive database."""

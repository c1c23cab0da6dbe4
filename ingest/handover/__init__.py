"""From one product to the next, without a step in the record."""

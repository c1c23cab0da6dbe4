"""A physically shaped sea that nobody observed, for demonstration and tests."""

"""From a provider's file to one month that can be trusted."""

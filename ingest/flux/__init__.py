"""Sea-air CO2 flux from its drivers, by the bulk formula."""

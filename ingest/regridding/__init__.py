"""From one grid to another, conservative and with care at the coast."""

"""The network, module by module: frequency global module, local refiner, fusion head."""

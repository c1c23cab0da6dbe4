"""Any monthly field on latitudes and longitudes, from one file, outside the record."""

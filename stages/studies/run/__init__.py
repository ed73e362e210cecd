"""A study's cells, pictures and plan, as its pipeline runs them."""

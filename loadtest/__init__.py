"""Load on the API, with every accepted job accounted for by its notice."""

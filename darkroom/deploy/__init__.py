"""From credentials to a working endpoint, and back to nothing: steps that can be run again."""

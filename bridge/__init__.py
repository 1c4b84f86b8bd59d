"""From a runtime's queue through Serve into the bucket, and a notice at the end."""

"""Trains the demo model of `models/demo` on pictures that this package draws itself."""

"""Command line, local stack and deployment."""

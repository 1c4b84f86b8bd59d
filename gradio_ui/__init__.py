"""The web page: a prompt goes in, a picture develops. Talks to the API only."""

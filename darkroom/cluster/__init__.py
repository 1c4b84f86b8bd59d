"""What runs on the cluster: rendered from `manifests/`, and checked before it is applied."""

# After dev.tfvars, for an installation whose Ray head sleeps too: what stays awake are the
# operators, and they fit a smaller node. Awake, the head gets a node of its own.
system_nodes = { instance_type = "t4g.medium" }

# The least that runs: one NAT gateway, one small node, nothing kept for long.
name               = "darkroom-dev"
stage              = "dev"
disposable         = true
log_retention_days = 7
alarms             = { monthly_budget_usd = 200 }

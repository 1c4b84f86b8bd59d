# No single zone takes it down: a NAT gateway in each, a system node in each.
name               = "darkroom"
stage              = "prod"
nat_per_zone       = true
system_nodes       = { count = 3 }
log_retention_days = 90
alarms             = { monthly_budget_usd = 1000 }
tiers = {
  standard = { rate = 30, burst = 50 }
  large    = { rate = 200, burst = 400 }
}

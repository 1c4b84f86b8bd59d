# The secrets' values. In a file of its own: Terraform cannot mock what is ephemeral, and the rules
# in tests/ are checked without it.

# Random, made while applying, and written past the state.
ephemeral "aws_secretsmanager_random_password" "of" {
  for_each = local.secrets

  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = local.secrets

  secret_id        = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo = ephemeral.aws_secretsmanager_random_password.of[each.key].random_password
  # A higher number makes a new password.
  secret_string_wo_version = 1
}

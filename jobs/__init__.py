"""What a job is: the one definition that every other part imports. No I/O in here."""

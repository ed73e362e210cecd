"""What two runs' records say: where they diverge, what differs, and whether it matters."""

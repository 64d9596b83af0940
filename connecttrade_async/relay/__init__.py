"""The relay: one session of the brokerage stream for many processes, on Redis or Valkey."""
